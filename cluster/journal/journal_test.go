package journal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/journal"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/internal/golden"
	"patchbay/internal/keys"
	"patchbay/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// streams returns JetStream with the stream of events, which the ledger owns.
func streams(t testing.TB, srv *server.Server) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(testkit.Connect(t, srv), jetstream.WithDefaultTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: subject.StreamEvents, Subjects: []string{subject.EventAll}}); err != nil {
		t.Fatal(err)
	}
	return js
}

// node opens the journal of a node on a server.
func node(t testing.TB, js jetstream.JetStream, name string, boot uint64) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), js, journal.Config{Node: name, Boot: boot, Keys: clusterKey(t), Streams: stream.Terms{Wait: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func clusterKey(t testing.TB) *keys.Cluster {
	t.Helper()
	key, err := keys.ParseCluster([]byte("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// snapshot is one of a call that goes on, as far as the journal looks at it.
func snapshot(rec call.Record) *actors.Snapshot {
	return &actors.Snapshot{V: 1, At: began, Record: rec, Dialog: json.RawMessage(`{"v":1}`), Raw: []byte("INVITE"),
		Job: actors.Job{Key: call.TransactionKey{CallID: rec.SIPCallID, FromTag: "f", CSeq: 1}, Tenant: rec.Tenant}}
}

// begin writes the first entry of a call.
func begin(ctx context.Context, j *journal.Journal, rec call.Record) (journal.Hold, error) {
	return j.Keep(ctx, snapshot(rec), journal.Unwritten)
}

var began = time.Date(2025, 11, 21, 12, 0, 0, 0, time.UTC)

// record is one of a call of tenant acme that lasted n seconds.
func record(id call.ID, n int) call.Record {
	return call.Record{ID: id, Tenant: "acme", Endpoint: "k1", Agent: "a1", Node: "m1", DecisionID: "d1", SIPCallID: fmt.Sprint("c", id),
		From: call.Party{URI: "sip:+4930123456@carrier.example.com", User: "+4930123456", Host: "carrier.example.com"},
		To:   call.Party{URI: "sip:[redacted]@sip.example.com", User: "[redacted]"}, Transport: call.UDP, Source: "192.0.2.1:5060",
		Codec: "PCMU", Status: 200, Cause: call.CauseNormal, EndedBy: call.ByCarrier,
		Stages:  call.Stages{Invited: began, Answered: began.Add(time.Second), Ended: began.Add(time.Duration(n) * time.Second)},
		Quality: call.Quality{PacketsReceived: 100, PacketsSent: 100}}
}

// held returns what a stream holds of a subject.
func held(t testing.TB, js jetstream.JetStream, stream, filter string) (all []string) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := info.State.Subjects[m.Subject]; ok && m.Header.Get("KV-Operation") == "" {
			all = append(all, string(m.Data))
		}
	}
	return all
}

func records(t testing.TB, js jetstream.JetStream) []string {
	return held(t, js, subject.StreamRecords, subject.RecordAll)
}

func entries(t testing.TB, js jetstream.JetStream) []string {
	return held(t, js, "KV_calls", "$KV.calls.>")
}

func pretty(t testing.TB, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// headOf is the line of an entry that is not sealed; nothing of the call may be
// in the clear behind it.
func headOf(t testing.TB, entry string) string {
	t.Helper()
	head, sealed, ok := strings.Cut(entry, "\n")
	if !ok || sealed == "" || strings.Contains(entry, "acme") || strings.Contains(entry, "INVITE") {
		t.Fatalf("not sealed: %q", entry)
	}
	return head
}

func TestACallLeavesOneRecordAndNothingElse(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 7)
	live := record(5, 0)
	live.Status, live.Cause, live.EndedBy, live.Codec, live.Stages.Ended = 0, call.Cause{}, "", "", time.Time{}
	hold, err := begin(t.Context(), j, live)
	if err != nil || hold.Epoch != 1 || hold.Revision == 0 {
		t.Fatalf("began with %+v, %v", hold, err)
	}
	golden.Compare(t, "testdata/entry.live.json", pretty(t, headOf(t, entries(t, js)[0])))
	rev, err := j.End(t.Context(), record(5, 60), hold)
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/entry.ended.json", pretty(t, headOf(t, entries(t, js)[0])))
	if fresh, err := j.Publish(t.Context(), record(5, 60)); !fresh || err != nil {
		t.Fatalf("published: %v, %v", fresh, err)
	}
	for range 2 {
		if err := j.Index(t.Context(), record(5, 60)); err != nil {
			t.Fatal(err)
		}
	}
	if got := held(t, js, subject.StreamRecordIndex, subject.RecordIndexAll); len(got) != 1 {
		t.Errorf("index: %q", got)
	} else {
		golden.Compare(t, "testdata/index.json", pretty(t, got[0]))
	}
	if err := j.Announce(t.Context(), record(5, 60)); err != nil {
		t.Fatal(err)
	}
	if err := j.Forget(t.Context(), 5, rev); err != nil {
		t.Fatal(err)
	}
	if got := records(t, js); len(got) != 1 {
		t.Errorf("records: %q", got)
	} else {
		golden.Compare(t, "testdata/record.json", pretty(t, got[0]))
	}
	if got := held(t, js, subject.StreamEvents, subject.EventAll); len(got) != 1 {
		t.Errorf("events: %q", got)
	} else {
		golden.Compare(t, "testdata/call.record.json", pretty(t, got[0]))
	}
	if got := entries(t, js); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// steps are where a node may die on its way to a record: after each of them.
var steps = []string{"the tombstone", "the record", "its line in the index", "the event"}

func dieAfter(t testing.TB, j *journal.Journal, rec call.Record, hold journal.Hold, last int) {
	t.Helper()
	_, err := j.End(t.Context(), rec, hold)
	if err == nil && last >= 1 {
		_, err = j.Publish(t.Context(), rec)
	}
	if err == nil && last >= 2 {
		err = j.Index(t.Context(), rec)
	}
	if err == nil && last >= 3 {
		err = j.Announce(t.Context(), rec)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestANodeThatDiesBetweenTwoStepsLeavesExactlyOneRecord(t *testing.T) {
	t.Parallel()
	for last, what := range steps {
		t.Run("after "+what, func(t *testing.T) {
			t.Parallel()
			js := streams(t, testkit.NATSServer(t))
			dead, survivor := node(t, js, "m1", 1), node(t, js, "m2", 1)
			rec := record(5, 60)
			hold, err := begin(t.Context(), dead, rec)
			if err != nil {
				t.Fatal(err)
			}
			ended := time.Now() // or a little later: a slow disk may take the steps for longer than a sweep waits
			dieAfter(t, dead, rec, hold, last)
			if s, err := survivor.Sweep(t.Context(), ended, nil); err != nil || !reflect.DeepEqual(s, journal.Sweep{Young: 1}) {
				t.Errorf("too early: %+v, %v", s, err)
			}
			want := journal.Sweep{Known: 1}
			if last == 0 {
				want = journal.Sweep{Published: 1}
			}
			if s, err := survivor.Sweep(t.Context(), time.Now().Add(6*time.Second), nil); err != nil || !reflect.DeepEqual(s, want) {
				t.Errorf("got %+v, %v; want %+v", s, err, want)
			}
			// The node was only slow: it goes on, with what it knew.
			if fresh, err := dead.Finish(t.Context(), rec, hold); fresh || err != nil {
				t.Errorf("the late owner: %v, %v", fresh, err)
			}
			if got := records(t, js); len(got) != 1 {
				t.Errorf("records: %q", got)
			}
			if got := held(t, js, subject.StreamEvents, subject.EventAll); len(got) != 1 {
				t.Errorf("events: %q", got)
			}
			if got := entries(t, js); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
		})
	}
}

func TestOfManyPublishersOneIsFirst(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	rec := record(5, 60)
	owner := node(t, js, "m1", 1)
	hold, err := begin(t.Context(), owner, rec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.End(t.Context(), rec, hold); err != nil {
		t.Fatal(err)
	}
	const racers = 16
	var mu sync.Mutex
	var all sync.WaitGroup
	first := 0
	for i := range racers {
		j := owner
		if i%2 == 1 {
			j = node(t, js, fmt.Sprint("m", i), 1)
		}
		all.Go(func() {
			fresh := false
			var err error
			if j == owner {
				fresh, err = j.Finish(context.Background(), rec, hold)
			} else {
				var s journal.Sweep
				s, err = j.Sweep(context.Background(), time.Now().Add(time.Minute), nil)
				fresh = s.Published == 1
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if fresh {
				first++
			}
		})
	}
	all.Wait()
	if got := records(t, js); len(got) != 1 || first != 1 {
		t.Errorf("%d first; records: %q", first, got)
	}
	if got := entries(t, js); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// TestWhoeverStopsWhereverThereIsOneRecord lets a call's owner and survivors
// take steps in any order, each dying or forgetting what it knew at any of
// them, and then lets one survivor be.
func TestWhoeverStopsWhereverThereIsOneRecord(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	owner, survivor := node(t, js, "m1", 1), node(t, js, "m2", 1)
	id := call.ID(100)
	rapid.Check(t, func(rt *rapid.T) {
		id++
		ctx, rec := context.Background(), record(id, 60)
		hold := journal.Unwritten
		must := func(err error) {
			if err != nil {
				rt.Fatal(err)
			}
		}
		if rapid.Bool().Draw(rt, "entry written") {
			known, err := begin(ctx, owner, rec)
			must(err)
			if rapid.Bool().Draw(rt, "acknowledged") {
				hold = known
			}
		}
		rev, err := owner.End(ctx, rec, hold) // from here on the record is owed
		must(err)
		for range rapid.IntRange(0, 6).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				_, err = owner.End(ctx, rec, hold)
			case 1:
				_, err = owner.Publish(ctx, rec)
			case 2:
				err = owner.Forget(ctx, id, rev) // out of its turn only where the record is there
				if _, missing := owner.Get(ctx, "acme", id); missing != nil {
					_, err = owner.Publish(ctx, rec)
				}
			case 3:
				_, err = owner.Finish(ctx, rec, hold)
			case 4:
				_, err = owner.Finish(ctx, rec, journal.Unwritten)
			default:
				_, err = survivor.Sweep(ctx, time.Now().Add(time.Minute), nil)
			}
			must(err)
		}
		_, err = survivor.Sweep(ctx, time.Now().Add(time.Minute), nil)
		must(err)
		stream, err := js.Stream(ctx, subject.StreamRecords)
		must(err)
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject.Record(id)))
		must(err)
		if n := info.State.Subjects[subject.Record(id)]; n != 1 {
			rt.Fatalf("%d records", n)
		}
	})
}

func TestAnAcknowledgementThatWasLostDoesNoHarm(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	j := node(t, js, "m1", 1)
	rec := record(5, 60)
	first, err := begin(t.Context(), j, rec)
	if err != nil {
		t.Fatal(err)
	}
	again, err := begin(t.Context(), j, rec)
	if err != nil || again.Epoch != first.Epoch || again.Revision <= first.Revision {
		t.Errorf("began again: %+v, %v; after %+v", again, err, first)
	}
	if fresh, err := j.Finish(t.Context(), rec, journal.Unwritten); !fresh || err != nil {
		t.Errorf("finished without knowing of the entry: %v, %v", fresh, err)
	}
	if _, err := begin(t.Context(), j, rec); !errors.Is(err, journal.ErrSuperseded) {
		t.Errorf("began after the end: %v", err)
	}
	if fresh, err := j.Finish(t.Context(), rec, first); fresh || err != nil {
		t.Errorf("finished again: %v, %v", fresh, err)
	}
	if got := records(t, js); len(got) != 1 {
		t.Errorf("records: %q", got)
	}
}

func TestTheRecordIsTheNewOwners(t *testing.T) {
	t.Parallel()
	js := streams(t, testkit.NATSServer(t))
	old, adopter := node(t, js, "m1", 1), node(t, js, "m2", 1)
	hold, err := begin(t.Context(), old, record(5, 0))
	if err != nil {
		t.Fatal(err)
	}
	next := journal.Hold{Epoch: 2, Revision: hold.Revision}
	rev, err := adopter.End(t.Context(), record(5, 90), next)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := old.Finish(t.Context(), record(5, 60), hold); fresh || !errors.Is(err, journal.ErrSuperseded) {
		t.Errorf("the old owner: %v, %v", fresh, err)
	}
	if fresh, err := adopter.Finish(t.Context(), record(5, 90), journal.Hold{Epoch: 2, Revision: rev}); !fresh || err != nil {
		t.Errorf("the adopter: %v, %v", fresh, err)
	}
	rec, err := old.Get(t.Context(), "acme", 5)
	if err != nil || !rec.Stages.Ended.Equal(began.Add(90*time.Second)) {
		t.Errorf("got %+v, %v", rec, err)
	}
}

func TestWithoutJetStreamEveryStepSaysSo(t *testing.T) {
	t.Parallel()
	srv := testkit.NATSServer(t)
	js := streams(t, srv)
	j := node(t, js, "m1", 1)
	if err := srv.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	rec := record(5, 60)
	for what, do := range map[string]func() error{
		"begin":    func() error { _, err := begin(ctx, j, rec); return err },
		"end":      func() error { _, err := j.End(ctx, rec, journal.Unwritten); return err },
		"publish":  func() error { _, err := j.Publish(ctx, rec); return err },
		"announce": func() error { return j.Announce(ctx, rec) },
		"index":    func() error { return j.Index(ctx, rec) },
		"reindex":  func() error { _, err := j.Reindex(ctx); return err },
		"list":     func() error { _, _, err := j.List(ctx, journal.Query{Tenant: "acme", Limit: 1}); return err },
		"forget":   func() error { return j.Forget(ctx, 5, 1) },
		"sweep":    func() error { _, err := j.Sweep(ctx, time.Now(), nil); return err },
		"get":      func() error { _, err := j.Get(ctx, "acme", 5); return err },
	} {
		if err := do(); !errors.Is(err, journal.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
