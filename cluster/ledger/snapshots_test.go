package ledger_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/call"
	"patchbay/cluster/journal"
	"patchbay/cluster/ledger"
)

// A let is the calls that a ledger was told to let go of, and those that its
// sweeps have found.
type let struct {
	mu   sync.Mutex
	gone []call.ID
	left []journal.Left
}

func (l *let) superseded(id call.ID)   { l.mu.Lock(); defer l.mu.Unlock(); l.gone = append(l.gone, id) }
func (l *let) hear(cfg *ledger.Config) { cfg.Left, cfg.Release = l.found, l.superseded }

func (l *let) found(left []journal.Left) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = append(l.left, left...)
}

func (l *let) releases() []call.ID { l.mu.Lock(); defer l.mu.Unlock(); return slices.Clone(l.gone) }
func (l *let) lefts() []journal.Left {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.left)
}

// claimAll lets another node claim every live call of m1.
func claimAll(t *testing.T, j *journal.Journal) (holds map[call.ID]journal.Hold) {
	t.Helper()
	s, err := j.Sweep(t.Context(), time.Now(), func(h journal.Head) bool { return h.Node == "m1" })
	if err != nil {
		t.Fatal(err)
	}
	holds = map[call.ID]journal.Hold{}
	for _, l := range s.Left {
		if holds[l.Record.ID], err = j.Claim(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	return holds
}

func TestCallsThatAnotherNodeHasClaimedAreLetGo(t *testing.T) {
	t.Parallel()
	for what, notice := range map[string]func(b *book){
		"when it is asked whose they are": func(b *book) { b.Check() },
		"at the next snapshot":            func(b *book) { b.Keep(snapshot(record(5))) },
		"at the end of the call":          func(b *book) { b.over(5) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			c := s.connect()
			var l let
			b := start(t, c, t.TempDir(), 1, l.hear)
			b.live(5)
			eventually(t, "its entry", func() bool { return entries(t, c) == 1 })
			other := open(t, c, t.TempDir(), 1, func(cfg *ledger.Config) { cfg.Journal.Node = "m2" })
			holds := claimAll(t, other.Journal())
			notice(b)
			if what != "at the end of the call" {
				eventually(t, "the call let go", func() bool { return slices.Contains(l.releases(), 5) }) // again where a busy machine looked paused
				b.over(5)                                                                                 // all the same
			}
			eventually(t, "the record refused", func() bool { _, n := b.of(ledger.FateSuperseded); return n == 1 })
			if fresh, err := other.Journal().Finish(t.Context(), journal.NodeLost(record(5), began), holds[5]); !fresh || err != nil {
				t.Errorf("the claimant: %v, %v", fresh, err)
			}
			b.drained(t)
			rec, err := other.Journal().Get(t.Context(), "acme", 5)
			if k := look(t, c); err != nil || rec.Cause != call.CauseNodeLost || k.records[call.ID(5).String()] != 1 {
				t.Errorf("%+v, %v; %+v", rec, err, k)
			}
		})
	}
}

func TestARecordFollowsFromWhereTheCallWasClaimed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	dead := open(t, c, t.TempDir(), 1)
	if _, err := dead.Journal().Keep(t.Context(), snapshot(record(5)), journal.Unwritten); err != nil {
		t.Fatal(err)
	}
	b := start(t, c, t.TempDir(), 1, func(cfg *ledger.Config) { cfg.Journal.Node = "m2" })
	for id, hold := range claimAll(t, b.Journal()) {
		if !b.Adopt(context.Background(), id, hold) {
			t.Fatal("not adopted")
		}
		b.Record(journal.NodeLost(record(id), began))
	}
	eventually(t, "its record", func() bool { _, n := b.of(ledger.FateNodeLost); return n == 1 })
	b.drained(t)
	if k := look(t, c); k.records[call.ID(5).String()] != 1 || k.entries != 0 {
		t.Errorf("%+v", k)
	}
}

func TestOfManySnapshotsThatWaitTheLastIsWrittenAndOfAnEndedCallNone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	b := open(t, c, t.TempDir(), 1) // does not run yet
	for n := range 50 {
		rec := record(5)
		rec.Resumed = n
		b.Keep(snapshot(rec))
		b.Keep(snapshot(record(16 + 5))) // the same worker's
	}
	b.Record(record(16 + 5))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	eventually(t, "the record and the entry", func() bool {
		k := look(t, c)
		return k.records[call.ID(16+5).String()] == 1 && k.entries == 1
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	left, err := b.Journal().Find(t.Context(), []call.ID{5}, func(journal.Head) bool { return true })
	if err != nil || len(left) != 1 || left[0].Record.Resumed != 49 {
		t.Errorf("%+v, %v", left, err)
	}
	writes := uint64(0)
	each(t, c, "KV_calls", func(m *jetstream.RawStreamMsg) { writes = max(writes, m.Sequence) })
	if writes > 5 { // an entry, a tombstone, its end, and what was under way
		t.Errorf("%d writes of 100 snapshots and a record", writes)
	}
}

func TestSnapshotsOfAnOutageSurviveTheNode(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	c := s.connect()
	b := start(t, c, dir, 1)
	s.stop()
	for id := call.ID(1); id <= 10; id++ {
		b.live(id)
	}
	b.over(10)
	eventually(t, "the outage is noticed", func() bool { return b.Waiting().SpooledRecords == 1 })
	eventually(t, "snapshots on the disk", func() bool { return b.Waiting().SpooledSnapshots >= 9 })
	b.stop() // and nobody told how nine of the calls ended
	s.start()
	var l let
	again := start(t, s.connect(), dir, 2, l.hear, func(cfg *ledger.Config) {
		cfg.Gone = func(h journal.Head) bool { return h.Node == "m1" && h.Boot == 1 }
	})
	eventually(t, "nine calls without their node", func() bool {
		again.Sweep()
		return len(l.lefts()) >= 9
	})
	if k := look(t, c); k.records[call.ID(10).String()] != 1 {
		t.Errorf("the record of the call that ended: %+v", k.records)
	}
	if ids := l.lefts(); slices.ContainsFunc(ids, func(l journal.Left) bool { return l.Record.ID == 10 || l.Boot != 1 || l.Snapshot == nil }) {
		t.Errorf("found %+v", ids)
	}
}
