package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/journal"
	"patchbay/cluster/subject"
	"patchbay/internal/testkit"
)

func of(node string) func(journal.Head) bool {
	return func(h journal.Head) bool { return h.Node == node }
}

// found returns the one live entry of a node.
func found(t testing.TB, j *journal.Journal, node string) journal.Left {
	t.Helper()
	s, err := j.Sweep(t.Context(), time.Now(), of(node))
	if err != nil || len(s.Left) != 1 {
		t.Fatalf("%d entries of %s, %v", len(s.Left), node, err)
	}
	return s.Left[0]
}

func TestASnapshotIsReadAsItWasKept(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	owner, other := node(t, js, "m1", 7), node(t, js, "m2", 1)
	if _, err := begin(t.Context(), owner, record(5, 0)); err != nil {
		t.Fatal(err)
	}
	for what, read := range map[string]func() ([]journal.Left, error){
		"by a sweep": func() ([]journal.Left, error) {
			s, err := other.Sweep(t.Context(), time.Now(), of("m1"))
			return s.Left, err
		},
		"by its id": func() ([]journal.Left, error) {
			return other.Find(t.Context(), []call.ID{4, 5, 6}, of("m1"))
		},
	} {
		left, err := read()
		if err != nil || len(left) != 1 {
			t.Fatalf("%s: %d entries, %v", what, len(left), err)
		}
		l := left[0]
		if l.Node != "m1" || l.Boot != 7 || l.Epoch != 1 || !reflect.DeepEqual(l.Record, record(5, 0)) || string(l.Snapshot.Raw) != "INVITE" || l.Snapshot.Job.Tenant != "acme" {
			t.Errorf("%s: %+v", what, l)
		}
	}
	if left, err := other.Find(t.Context(), []call.ID{5}, of("m3")); err != nil || len(left) != 0 {
		t.Errorf("of nobody: %v, %v", left, err)
	}
}

func TestTheOwnerOfACallThatWasClaimedFindsOut(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	owner, survivor := node(t, js, "m1", 1), node(t, js, "m2", 1)
	hold, err := begin(t.Context(), owner, record(5, 0))
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := owner.Held(t.Context(), 5, hold); !ours || err != nil {
		t.Errorf("before: %v, %v", ours, err)
	}
	next, err := survivor.Claim(t.Context(), found(t, survivor, "m1"))
	if err != nil || next.Epoch != 2 {
		t.Fatalf("claimed %+v, %v", next, err)
	}
	if ours, err := owner.Held(t.Context(), 5, hold); ours || err != nil {
		t.Errorf("after: %v, %v", ours, err)
	}
	if _, err := owner.Keep(t.Context(), snapshot(record(5, 0)), hold); !errors.Is(err, journal.ErrSuperseded) {
		t.Errorf("the owner keeps it: %v", err)
	}
	if _, err := owner.Finish(t.Context(), record(5, 60), hold); !errors.Is(err, journal.ErrSuperseded) {
		t.Errorf("the owner ends it: %v", err)
	}
	lost := journal.NodeLost(record(5, 0), began.Add(time.Minute))
	if fresh, err := survivor.Finish(t.Context(), lost, next); !fresh || err != nil {
		t.Errorf("the survivor ends it: %v, %v", fresh, err)
	}
	if ours, err := owner.Held(t.Context(), 5, hold); ours || err != nil {
		t.Errorf("after its end: %v, %v", ours, err)
	}
	if rec, err := owner.Get(t.Context(), "acme", 5); err != nil || rec.Cause != call.CauseNodeLost || rec.EndedBy != call.ByNode {
		t.Errorf("got %+v, %v", rec, err)
	}
	if got := records(t, js); len(got) != 1 {
		t.Errorf("records: %q", got)
	}
}

func TestOfManySurvivorsOneClaims(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	owner := node(t, js, "m0", 1)
	hold, err := begin(t.Context(), owner, record(5, 0))
	if err != nil {
		t.Fatal(err)
	}
	left := found(t, owner, "m0")
	var won, kept atomic.Int32
	var all sync.WaitGroup
	for i := range 12 {
		j := node(t, js, fmt.Sprint("m", i+1), 1)
		all.Go(func() {
			for range 3 { // one whose first answer was lost tries again
				if _, err := j.Claim(context.Background(), left); err == nil {
					won.Add(1)
					return
				}
			}
		})
	}
	all.Go(func() { // the owner was only slow
		if _, err := owner.Keep(context.Background(), snapshot(record(5, 0)), hold); err == nil {
			kept.Add(1)
		}
	})
	all.Wait()
	if won.Load()+kept.Load() != 1 {
		t.Errorf("%d claims landed, the owner's write %d times; want one in all", won.Load(), kept.Load())
	}
}

func TestAClaimWhoseAnswerWasLostIsKnownAgain(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	owner, survivor := node(t, js, "m1", 1), node(t, js, "m2", 1)
	if _, err := begin(t.Context(), owner, record(5, 0)); err != nil {
		t.Fatal(err)
	}
	left := found(t, survivor, "m1")
	first, err := survivor.Claim(t.Context(), left)
	if err != nil {
		t.Fatal(err)
	}
	again, err := survivor.Claim(t.Context(), left)
	if err != nil || again != first {
		t.Errorf("claimed again: %+v, %v; want %+v", again, err, first)
	}
}

// TestAnEntryCannotBeMovedOrChanged puts sealed text under other heads and keys.
func TestAnEntryCannotBeMovedOrChanged(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	if _, err := begin(t.Context(), j, record(5, 0)); err != nil {
		t.Fatal(err)
	}
	entry := entries(t, js)[0]
	for what, put := range map[string]struct{ key, text string }{
		"under another call":    {call.ID(6).String(), entry},
		"of another node":       {call.ID(7).String(), strings.Replace(entry, `"node":"m1"`, `"node":"m2"`, 1)},
		"cut short":             {call.ID(8).String(), entry[:len(entry)-1]},
		"of a later version":    {call.ID(9).String(), strings.Replace(entry, `"v":2`, `"v":3`, 1)},
		"of no version at all":  {call.ID(10).String(), "{}\n"},
		"something else wholly": {call.ID(11).String(), "hello"},
	} {
		if _, err := js.Publish(t.Context(), "$KV.calls.c."+put.key, []byte(put.text)); err != nil {
			t.Fatal(err)
		}
		id, err := call.ParseID(put.key)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := j.Find(t.Context(), []call.ID{id}, func(journal.Head) bool { return true }); err != nil || len(left) != 0 {
			t.Errorf("%s: read as %+v, %v", what, left, err)
		}
	}
	s, err := j.Sweep(t.Context(), time.Now(), func(journal.Head) bool { return true })
	if err != nil || len(s.Left) != 1 || s.Unread != 6 {
		t.Errorf("swept %d entries and could not read %d, %v", len(s.Left), s.Unread, err)
	}
}

func TestALongSnapshotGoesWithoutTheAgentsThatWouldBeAskedNext(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	s := snapshot(record(5, 0))
	for i := range 100 {
		s.Job.Failover = append(s.Job.Failover, endpoint.Agent{ID: fmt.Sprint("a", i), Metadata: map[string]string{"x": strings.Repeat("y", 2000)}})
	}
	if _, err := j.Keep(t.Context(), s, journal.Unwritten); err != nil {
		t.Fatal(err)
	}
	if l := found(t, j, "m1"); len(l.Snapshot.Job.Failover) != 0 || string(l.Snapshot.Raw) != "INVITE" || len(s.Job.Failover) != 100 {
		t.Errorf("got %d agents, INVITE %q", len(l.Snapshot.Job.Failover), l.Snapshot.Raw)
	}
}

// TestWhoeverClaimsWheneverThereIsOneRecord lets an owner go on, come back and
// start anew while survivors claim and end its call, in any order.
func TestWhoeverClaimsWheneverThereIsOneRecord(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	owner, restarted := node(t, js, "m1", 1), node(t, js, "m1", 2)
	survivors := []*journal.Journal{node(t, js, "m2", 1), node(t, js, "m3", 1), restarted}
	id := call.ID(5000)
	rapid.Check(t, func(rt *rapid.T) {
		id++
		ctx, rec := context.Background(), record(id, 60)
		hold, err := begin(ctx, owner, rec)
		must := func(err error) {
			if err != nil && !errors.Is(err, journal.ErrSuperseded) {
				rt.Fatal(err)
			}
		}
		must(err)
		holds := map[int]journal.Hold{}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			who := rapid.IntRange(0, len(survivors)-1).Draw(rt, "who")
			j := survivors[who]
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				left, err := j.Find(ctx, []call.ID{id}, func(h journal.Head) bool { return h.Node == "m1" && h.Boot == 1 })
				must(err)
				if len(left) == 1 {
					if hold, err := j.Claim(ctx, left[0]); err == nil {
						holds[who] = hold
					}
				}
			case 1:
				if h, ok := holds[who]; ok {
					_, err := j.Finish(ctx, journal.NodeLost(rec, began), h)
					must(err)
				}
			case 2:
				if next, err := owner.Keep(ctx, snapshot(rec), hold); err == nil {
					hold = next
				}
			case 3:
				_, err := owner.Finish(ctx, rec, hold)
				must(err)
			case 4:
				_, err := j.Sweep(ctx, time.Now().Add(time.Minute), nil)
				must(err)
			}
		}
		_, err = owner.Finish(ctx, rec, hold)
		superseded := errors.Is(err, journal.ErrSuperseded)
		must(err)
		for who, h := range holds {
			_, err := survivors[who].Finish(ctx, journal.NodeLost(rec, began), h)
			must(err)
		}
		got, err := owner.Get(ctx, "acme", id)
		if err != nil {
			rt.Fatalf("no record: %v", err)
		}
		if len(holds) > 1 {
			rt.Fatalf("%d nodes claimed it", len(holds))
		}
		if superseded && got.Cause != call.CauseNodeLost || len(holds) == 0 && got.Cause == call.CauseNodeLost {
			rt.Fatalf("the owner was superseded: %v, %d claims, and the record says %s", superseded, len(holds), got.Cause.Word)
		}
	})
}

// TestEntriesOfVersion1AreStillRead is about a node that is replaced by this
// release while calls are up.
func TestEntriesOfVersion1AreStillRead(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 9)
	live, err := json.Marshal(map[string]any{"v": 1, "epoch": 1, "state": "live", "node": "m1", "boot": 7, "record": record(5, 0)})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := json.Marshal(map[string]any{"v": 1, "epoch": 1, "state": "ended", "node": "m1", "boot": 7, "record": record(6, 60)})
	if err != nil {
		t.Fatal(err)
	}
	for id, text := range map[call.ID][]byte{5: live, 6: ended} {
		if _, err := js.Publish(t.Context(), "$KV.calls.c."+id.String(), text); err != nil {
			t.Fatal(err)
		}
	}
	s, err := j.Sweep(t.Context(), time.Now().Add(time.Minute), of("m1"))
	if err != nil || s.Published != 1 || len(s.Left) != 1 || s.Left[0].Snapshot != nil || !reflect.DeepEqual(s.Left[0].Record, record(5, 0)) {
		t.Fatalf("got %+v, %v", s, err)
	}
	hold, err := j.Claim(t.Context(), s.Left[0])
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := j.Finish(t.Context(), journal.NodeLost(record(5, 0), began), hold); !fresh || err != nil {
		t.Errorf("%v, %v", fresh, err)
	}
	if got := records(t, js); len(got) != 2 {
		t.Errorf("records: %q", got)
	}
}

// BenchmarkKeep is what a node pays, off the path of its calls, for each
// snapshot: encoding, sealing, and a write of a stream with one replica.
func BenchmarkKeep(b *testing.B) {
	js := streams(b, testkit.NATSServer(b))
	j := node(b, js, "m1", 1)
	hold := journal.Unwritten
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if hold, err = j.Keep(b.Context(), snapshot(record(5, 0)), hold); err != nil {
			b.Fatal(err)
		}
	}
}

func TestARecordThatHasNoRoomHidesNoCall(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	owner, other := node(t, js, "m1", 7), node(t, js, "m2", 1)
	for n := range 3 { // of the first two a tombstone is left, one before and one after the live call
		id := call.ID(n + 1)
		hold, err := begin(t.Context(), owner, record(id, n))
		if err == nil && id != 2 {
			_, err = owner.End(t.Context(), record(id, n), hold)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	full, err := js.Stream(t.Context(), subject.StreamRecords)
	if err != nil {
		t.Fatal(err)
	}
	cfg := full.CachedInfo().Config
	cfg.MaxBytes = 1
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s, err := other.Sweep(t.Context(), time.Now().Add(time.Minute), of("m1"))
	if !errors.Is(err, journal.ErrUnavailable) || s.Published != 0 {
		t.Errorf("with RECORDS full: %d published, %v", s.Published, err)
	}
	if len(s.Left) != 1 || s.Left[0].Record.ID != 2 {
		t.Errorf("%d live calls were found, want the one of the dead node", len(s.Left))
	}
	cfg.MaxBytes = -1
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if s, err = other.Sweep(t.Context(), time.Now().Add(time.Minute), of("m1")); err != nil || s.Published != 2 || len(s.Left) != 1 {
		t.Errorf("with room again: %+v, %v", s, err)
	}
}
