package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/e2e/rig"
	"patchbay/internal/caller"
	"patchbay/internal/testkit"
)

// Of tests that run at once Go begins with the first of the first file. This is
// the one that lasts longest: begun among the others it has no end of its own.

// The outage: its length, and what carriers do before, in and after it.
const (
	outage    = time.Minute
	aside     = 6 * time.Second        // of calls before and after
	callEvery = 700 * time.Millisecond // a call begins
	longest   = 9 * time.Second        // of those; each is longer than the one before, to this, then short again
)

// A crowd is carriers that call while something happens.
type crowd struct {
	uri   string
	calls sync.WaitGroup
	mu    sync.Mutex
	done  map[string]caller.Report // by SIP Call-ID
	errs  []error
}

func (c *crowd) call(talk time.Duration) {
	c.calls.Go(func() {
		rep, err := caller.Call(context.Background(), caller.Options{URI: c.uri, Codecs: []string{"PCMU"}, Talk: talk})
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done[rep.CallID] = rep
		if err != nil {
			c.errs = append(c.errs, err)
		}
	})
}

// arrive lets calls begin for a while.
func (c *crowd) arrive(during time.Duration) {
	for n, end := 0, time.Now().Add(during); time.Now().Before(end); n++ {
		c.call(2*time.Second + time.Duration(n)*time.Second%longest)
		time.Sleep(callEvery)
	}
}

// check fails the test unless each call was answered at once, heard its agent
// throughout and hung up by itself.
func (c *crowd) check(t *testing.T) {
	t.Helper()
	c.calls.Wait()
	for _, err := range c.errs {
		t.Errorf("a call: %v", err)
	}
	var waits []time.Duration
	for id, rep := range c.done {
		waits = append(waits, rep.Answered)
		if !rep.OK() || rep.EndedByPeer || rep.Lost != 0 || rep.ByeStatus != 200 {
			t.Errorf("call %s: %d %s, %d bursts of its tone came back, %d packets missed, ended by us: %t %s, its BYE got %d",
				id, rep.Status, rep.Phrase, rep.Bursts, rep.Lost, rep.EndedByPeer, rep.Reason, rep.ByeStatus)
		}
	}
	slices.Sort(waits)
	if median := waits[len(waits)/2]; median > time.Second {
		t.Errorf("half of the calls waited %v and more for their answer", median)
	}
}

// TestJetStreamIsAwayForAMinuteUnderCalls stops two of three servers for a
// minute: NATS goes on at the one that the node has, and JetStream takes nothing.
// Calls live through it, begin and end in it, and across its ends. None of them
// notices, and afterwards each has its record and its events, once.
func TestJetStreamIsAwayForAMinuteUnderCalls(t *testing.T) {
	t.Parallel()
	servers := testkit.NATSCluster(t)
	b := beside(t, strings.TrimPrefix(servers.URL(0), "nats://"), rig.Settings{"nats.replicas": "3"})
	c := &crowd{uri: b.URI(b.endpoint(t, nil).Slug), done: map[string]caller.Report{}}
	c.call(outage + 2*aside) // it lives through all of it
	c.arrive(aside)

	servers.Stop(1)
	servers.Stop(2)
	away := time.Now()
	c.arrive(outage)
	if n := b.Metric("patchbay_spool_records"); n < 50 {
		t.Errorf("after %v %v records are on the disk, want those of the calls that ended meanwhile", time.Since(away), n)
	}
	if status, _, err := b.Get("/readyz"); err != nil || status != 503 {
		t.Errorf("/readyz says %d, %v while JetStream is away, want 503", status, err)
	}
	servers.Start(1)
	servers.Start(2)
	c.arrive(aside)
	c.check(t)

	b.Idle(t, settle)
	for _, kept := range []string{"patchbay_spool_records", "patchbay_spool_events"} {
		rig.Eventually(t, 3*settle, kept, 0, func() float64 { return b.Metric(kept) })
	}
	b.onceEach(t, len(c.done))
	for id, rec := range b.recorded(t) {
		rep, known := c.done[id]
		if !known || rec.Status != 200 || rec.Cause != call.CauseNormal || rec.EndedBy != call.ByCarrier || rec.Stages.FirstAgentRTP.IsZero() {
			t.Errorf("the record of call %s, known: %t, %d: %+v", id, known, rep.Status, rec)
		}
	}
	b.toldOnce(t, len(c.done))
}

// recorded is what the stream of records holds, by SIP Call-ID.
func (b *bed) recorded(t *testing.T) map[string]call.Record {
	t.Helper()
	all := map[string]call.Record{}
	b.stored(t, "RECORDS", func(data []byte) {
		var rec call.Record
		if err := json.Unmarshal(data, &rec); err != nil {
			t.Error(err)
		}
		all[rec.SIPCallID] = rec
	})
	return all
}

// toldOnce looks at the events of so many calls: each kind that a call has is
// there once.
func (b *bed) toldOnce(t *testing.T, calls int) {
	t.Helper()
	want := map[string]int{call.EventStarted: 1, call.EventRinging: 1, call.EventAnswered: 1, call.EventEnded: 1, "call.record": 1}
	told := map[call.ID]map[string]int{}
	b.stored(t, "EVENTS", func(data []byte) {
		var ev actors.CallEvent
		if err := json.Unmarshal(data, &ev); err != nil {
			t.Error(err)
		}
		if ev.Call == 0 {
			return // of no call
		}
		if told[ev.Call] == nil {
			told[ev.Call] = map[string]int{}
		}
		told[ev.Call][ev.Type]++
	})
	for id, kinds := range told {
		if !maps.Equal(kinds, want) {
			t.Errorf("call %s has the events %v, want %v", id, kinds, want)
		}
	}
	if len(told) != calls {
		t.Errorf("%d calls have events, want %d", len(told), calls)
	}
}

// stored reads a stream from its first message to its last. Any server may be
// asked for one (AllowDirect), who has the latest a little later than their leader.
func (b *bed) stored(t *testing.T, name string, read func(data []byte)) {
	t.Helper()
	js, err := jetstream.New(b.op.Conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithDeletedDetails(true))
	if err != nil {
		t.Fatal(err)
	}
	for seq := max(info.State.FirstSeq, 1); seq <= info.State.LastSeq; seq++ {
		if slices.Contains(info.State.Deleted, seq) {
			continue
		}
		var m *jetstream.RawStreamMsg
		rig.Until(t, settle, func() (string, bool) {
			m, err = stream.GetMsg(t.Context(), seq)
			return fmt.Sprintf("message %d of %s: %v", seq, name, err), err == nil
		})
		read(m.Data)
	}
}
