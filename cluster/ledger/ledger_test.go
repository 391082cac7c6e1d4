package ledger_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/ledger"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/internal/dirlock"
)

// checkWhole fails unless every call has exactly one record and its three
// events once, in order, and nothing else is kept of it.
func checkWhole(t *testing.T, c *cluster.Conn, first, last call.ID) {
	t.Helper()
	k := look(t, c)
	for id := first; id <= last; id++ {
		if n := k.records[id.String()]; n != 1 {
			t.Errorf("call %v has %d records", id, n)
		}
		if got := k.seqs[id.String()]; !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("call %v has events %v", id, got)
		}
	}
	if len(k.records) != int(last-first)+1 || k.twice != 0 || k.entries != 0 {
		t.Errorf("%d records, %d events twice, %d entries left", len(k.records), k.twice, k.entries)
	}
}

func TestACallLeavesItsEventsAndOneRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	heard, err := c.Control().SubscribeSync(subject.Prefix + "evt.*.acme.call.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Control().Flush(); err != nil {
		t.Fatal(err)
	}
	b := start(t, c, t.TempDir(), 1)
	b.live(5)
	eventually(t, "an entry", func() bool { return entries(t, c) == 1 })
	b.Event("acme", event(5, 1, call.EventStarted)) // a repetition
	b.over(5)
	eventually(t, "nothing waits anywhere", func() bool { return b.Waiting() == (ledger.Waiting{}) })
	b.stop()
	checkWhole(t, c, 5, 5)
	told := "" // in any order: the record has a way of its own, and an event may have waited in the spool
	for !strings.Contains(told, "call.started") || !strings.Contains(told, "call.answered") {
		m, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatalf("heard %s, %v; want call.started and call.answered", told, err)
		}
		told += string(m.Data)
	}
	_, published := b.of(ledger.FatePublished)
	_, replayed := b.of(ledger.FateReplayed) // on a busy machine, by way of the spool
	_, known := b.of(ledger.FateKnown)       // or after an answer that came too late
	if published+replayed+known != 1 || b.Waiting() != (ledger.Waiting{}) {
		t.Errorf("%d records published, %d replayed, %d known, %+v", published, replayed, known, b.Waiting())
	}
}

// TestJetStreamMayBeAwayDuringCalls is the outage of a minute in short: some
// calls end before it, some begin before and end in it, some live in it only,
// some live through it.
func TestJetStreamMayBeAwayDuringCalls(t *testing.T) {
	t.Parallel()
	t.Run("with NATS", func(t *testing.T) { t.Parallel(); s := newSite(t); outage(t, s, s.stop, s.start) })
	t.Run("alone", func(t *testing.T) { t.Parallel(); s := newSite(t); outage(t, s, s.stopJetStream, s.startJetStream) })
}

func outage(t *testing.T, s *site, away, back func()) {
	c := s.connect()
	b := start(t, c, t.TempDir(), 1)
	group := func(n int, do func(call.ID)) {
		for id := call.ID(n * 100); id < call.ID(n*100+50); id++ {
			do(id)
		}
	}
	group(1, b.live)
	group(2, b.live)
	group(3, b.live)
	group(1, b.over)
	away()
	began := time.Now()
	group(4, b.live)
	group(5, b.live)
	group(2, b.over)
	group(4, b.over)
	if took := time.Since(began); took > patience { // 500 events, 100 entries and 100 records; JetStream is waited for 2 s each time
		t.Errorf("calls waited %v for the ledger", took)
	}
	eventually(t, "records of 2 and 4 on the disk", func() bool { _, n := b.of(ledger.FateSpooled); return n >= 100 })
	back()
	eventually(t, "an empty spool", func() bool { // what was under way when it went comes to the spool once nobody has acknowledged it
		w := b.Waiting()
		return w.Events+w.Records+w.SpooledEvents+w.SpooledRecords == 0
	})
	eventually(t, "the entries of calls that began meanwhile", func() bool { return entries(t, c) == 100 })
	group(3, b.over)
	group(5, b.over)
	b.drained(t)
	k := look(t, c)
	for n := 1; n <= 5; n++ {
		group(n, func(id call.ID) {
			if k.records[id.String()] != 1 {
				t.Errorf("call %d has %d records", id, k.records[id.String()])
			}
			got := slices.Clone(k.seqs[id.String()])
			slices.Sort(got) // those published while it went away may come late
			if !slices.Equal(got, []int{1, 2, 3}) {
				t.Errorf("call %d has events %v", id, got)
			}
		})
	}
	if len(k.records) != 250 || k.twice != 0 || k.entries != 0 {
		t.Errorf("%d records, %d events twice, %d entries left", len(k.records), k.twice, k.entries)
	}
	if _, lost := b.of(ledger.FateLost); lost != 0 {
		t.Errorf("%d records lost", lost)
	}
}

func TestWhatIsSpooledIsPublishedAtTheNextStart(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	c := s.connect()
	b := start(t, c, dir, 1)
	for id := call.ID(1); id <= 10; id++ {
		b.live(id)
	}
	eventually(t, "their entries", func() bool { return entries(t, c) == 10 })
	s.stop()
	for id := call.ID(1); id <= 10; id++ {
		b.over(id)
	}
	b.stop() // the node goes down in the middle of it
	if w := b.Waiting(); w.SpooledRecords != 10 || w.SpooledEvents < 10 {
		t.Fatalf("spooled: %+v", w)
	}
	s.start()
	again := start(t, s.connect(), dir, 2)
	eventually(t, "an empty spool", func() bool { w := again.Waiting(); return w.SpooledEvents == 0 && w.SpooledRecords == 0 })
	again.stop()
	checkWhole(t, c, 1, 10)
	if _, n := again.of(ledger.FateReplayed); n != 10 {
		t.Errorf("%d records replayed", n)
	}
	if _, n := again.of(ledger.FateNodeLost); n != 0 {
		t.Errorf("%d calls counted as lost with their node, and their records were in the spool", n)
	}
}

func TestARecordThatWasReplayedTwiceIsThereOnce(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	c := s.connect()
	b := start(t, c, dir, 1)
	s.stop()
	for id := call.ID(1); id <= 20; id++ {
		b.live(id)
		b.over(id)
	}
	b.stop()
	s.start()
	copied := copyDir(t, dir) // a node that dies after the replay and before it clears the spool
	start(t, c, dir, 2).drained(t)
	start(t, c, copied, 3).drained(t)
	checkWhole(t, c, 1, 20)
}

func TestSurvivorsPublishTombstones(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	dead := open(t, c, t.TempDir(), 1, func(cfg *ledger.Config) { cfg.Journal.Node = "m2" })
	hold, err := dead.Journal().Keep(t.Context(), snapshot(record(5)), journal.Unwritten)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Journal().End(t.Context(), record(5), hold); err != nil {
		t.Fatal(err)
	}
	b := start(t, c, t.TempDir(), 1) // finds it too young, and comes again
	b.Sweep()
	eventually(t, "the record", func() bool { _, n := b.of(ledger.FateSwept); return n == 1 })
	if k := look(t, c); k.records[call.ID(5).String()] != 1 || k.entries != 0 {
		t.Errorf("got %+v", k)
	}
}

func TestAnotherOwnersRecordIsLeftToIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	b := start(t, c, t.TempDir(), 1)
	b.live(5)
	eventually(t, "its entry", func() bool { return entries(t, c) == 1 })
	adopter := open(t, c, t.TempDir(), 1, func(cfg *ledger.Config) { cfg.Journal.Node = "m2" })
	rev := uint64(0)
	each(t, c, "KV_calls", func(m *jetstream.RawStreamMsg) { rev = m.Sequence })
	if fresh, err := adopter.Journal().Finish(t.Context(), record(5), journal.Hold{Epoch: 2, Revision: rev}); !fresh || err != nil {
		t.Fatalf("the adopter: %v, %v", fresh, err)
	}
	b.over(5)
	b.drained(t)
	if _, n := b.of(ledger.FateKnown); n != 1 || look(t, c).records[call.ID(5).String()] != 1 {
		t.Errorf("%d known, %+v", n, look(t, c))
	}
}

func TestAFullSpoolKeepsRecordsAndLetsOldEventsGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	b := start(t, c, t.TempDir(), 1, func(cfg *ledger.Config) { cfg.SpoolBytes = 1 << 20 })
	s.stop()
	b.live(1)
	b.over(1)
	eventually(t, "spooling", func() bool { return b.Waiting().SpooledRecords == 1 })
	for n := range 6000 {
		ev := event(2, uint64(n), call.EventDigit)
		ev.Data = map[string]any{"digit": strings.Repeat("5", 300)}
		b.Event("acme", ev)
	}
	eventually(t, "events that made room", func() bool { n, _ := b.of(ledger.FateLost); return n > 1000 })
	for id := call.ID(3); id <= 40; id++ {
		b.over(id)
	}
	eventually(t, "records on the disk", func() bool { return b.Waiting().SpooledRecords == 39 })
	if w := b.Waiting(); w.SpoolBytes > 1<<20 {
		t.Errorf("%d bytes", w.SpoolBytes)
	}
	s.start()
	b.drained(t)
	if k := look(t, c); len(k.records) != 39 {
		t.Errorf("%d records", len(k.records))
	}
	if _, lost := b.of(ledger.FateLost); lost != 0 {
		t.Errorf("%d records lost", lost)
	}
}

func TestRecordsWaitInMemoryWhenEvenTheSpoolIsFull(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	b := start(t, c, t.TempDir(), 1, func(cfg *ledger.Config) { cfg.SpoolBytes = 1 << 20 })
	s.stop()
	const calls = 600 // about half of them fit
	long := strings.Repeat("x", 3000)
	for id := call.ID(1); id <= calls; id++ {
		rec := record(id)
		rec.SIPCallID = long
		b.Record(rec)
	}
	eventually(t, "a full spool", func() bool { w := b.Waiting(); return w.Records > 50 && w.SpooledRecords > 100 })
	s.start()
	eventually(t, "everything published", func() bool { w := b.Waiting(); return w.Records == 0 && w.SpooledRecords == 0 })
	b.drained(t)
	if k := look(t, c); len(k.records) != calls {
		t.Errorf("%d of %d records", len(k.records), calls)
	}
	if _, lost := b.of(ledger.FateLost); lost != 0 {
		t.Errorf("%d records lost", lost)
	}
}

func TestALedgerThatIsFullLosesAndCounts(t *testing.T) {
	t.Parallel()
	b := open(t, newSite(t).connect(), t.TempDir(), 1)
	for i := range 8192 + 10 {
		b.Event("acme", event(5, uint64(i), "dtmf")) // nobody publishes
	}
	for range 512 {
		b.Keep(snapshot(record(5)))
	}
	if b.Waiting().Records != 256 {
		t.Errorf("%d beginnings wait: half of the room is for records", b.Waiting().Records)
	}
	for range 256 + 7 {
		b.Record(record(5))
	}
	events, records := b.of(ledger.FateLost)
	if events != 10 || records != 7 || b.Waiting().Events != 8192 {
		t.Errorf("%d events and %d records lost, %+v", events, records, b.Waiting())
	}
}

func TestOneSpoolHasOneLedger(t *testing.T) {
	t.Parallel()
	c, dir := newSite(t).connect(), t.TempDir()
	open(t, c, dir, 1)
	cfg := ledger.Config{Journal: journal.Config{Node: "m2", Boot: 1, Streams: stream.Terms{Wait: patience}}, SpoolDir: dir}
	_, err := ledger.Open(t.Context(), ledger.Bus{JetStream: c.JetStream()}, cfg, clusterKey(t), quiet, ledger.Observer{})
	if !errors.Is(err, dirlock.ErrInUse) || !strings.Contains(err.Error(), "node.spool_dir") {
		t.Errorf("got %v", err)
	}
}

var _ actors.Ledger = (*ledger.Ledger)(nil)

func BenchmarkEventReturnsAtOnce(b *testing.B) {
	l := start(b, newSite(b).connect(), b.TempDir(), 1)
	ev := event(5, 1, call.EventDigit)
	ev.Data = map[string]any{"digit": "5", "duration_ms": 100}
	b.ReportAllocs()
	for b.Loop() {
		l.Event("acme", ev)
	}
}

func BenchmarkRecordsPerSecond(b *testing.B) {
	l := start(b, newSite(b).connect(), b.TempDir(), 1)
	var id atomic.Uint64
	b.ReportAllocs()
	for b.Loop() {
		n := call.ID(id.Add(1))
		for l.Waiting().Records > 64 {
			time.Sleep(50 * time.Microsecond)
		}
		l.Keep(snapshot(record(n)))
		l.Record(record(n))
	}
}
