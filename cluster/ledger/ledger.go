package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/journal"
	"patchbay/cluster/spool"
	"patchbay/cluster/subject"
	"patchbay/internal/keys"
)

// Limits of the event stream and of what waits in memory.
const (
	eventsMaxAge    = 72 * time.Hour
	eventsMaxBytes  = 1 << 30 // where the configuration names none
	eventsDedup     = 2 * time.Minute
	maxEventQueue   = 8192 // events that wait to be published; beyond it lost
	maxEventPending = 4096 // published, not yet acknowledged
	workers         = 16   // calls whose entries and records are written at once
	maxWork         = 512  // steps of calls that wait for one of them; beyond it a record is lost
	maxHeld         = 4096 // live calls of one of them whose entry is known; of further ones none is written

	publishWait = 2 * time.Second        // an answer of JetStream; beyond it what waits goes to the spool
	replayWait  = 10 * time.Second       // likewise while it is replayed: a slow JetStream still takes it
	replayEvery = time.Second            // how often it is tried, and how late events are on the disk
	flushWait   = 5 * time.Second        // at the end of a node, for what is left; what then is not published is spooled
	sweepEvery  = 10 * time.Minute       // how often tombstones are looked for that nobody's death announced
	sweepAgain  = 6 * time.Second        // after one that found some too young, or failed
	fullEvery   = 500 * time.Millisecond // how often a record is tried again that even the spool has no room for
)

// Config is what an operator may set of a Ledger.
type Config struct {
	Journal    journal.Config
	EventBytes int64  // of the stream EVENTS; the oldest events go first; 0: 1 GiB
	SpoolDir   string // one process at a time
	SpoolBytes int64  // on disk; 0: spool.MinBytes
	Sweep      bool   // publish what other nodes left behind: for media nodes
	// Gone says whether the node of a live call is gone, so that somebody must end
	// its calls; nil: never. It must not block.
	Gone func(journal.Head) bool
	// Left takes the entries of those calls, as a sweep found them; nil: nobody
	// does. Release lets go of a call of this node that another has claimed. They
	// must not block.
	Left    func([]journal.Left)
	Release func(call.ID)
}

// A Fate is what became of an event or a record.
type Fate string

// Fates. Their words are labels of metrics and never change.
const (
	FatePublished  Fate = "published"  // on the stream
	FateKnown      Fate = "known"      // a record that was there already: nothing was to do
	FateSpooled    Fate = "spooled"    // on this node's disk until JetStream is back
	FateReplayed   Fate = "replayed"   // from there to the stream
	FateSwept      Fate = "swept"      // another node's record, published in its place
	FateNodeLost   Fate = "node_lost"  // a call that died with its node, recorded by this one
	FateSuperseded Fate = "superseded" // a record that is another node's now
	FateDamaged    Fate = "damaged"    // could not be read from the spool
	FateLost       Fate = "lost"       // had no room, or was refused for good
)

// An Observer hears what becomes of events and records. Nil hooks are
// skipped; they must not block.
type Observer struct {
	Event  func(Fate, int)
	Record func(Fate, int)
	Panic  func(any)
}

// Bus is the ledger's way into NATS.
type Bus struct {
	JetStream jetstream.JetStream // where they are kept
}

// A Ledger is one node's. It implements actors.Ledger.
type Ledger struct {
	cfg     Config
	js      jetstream.JetStream // publishes events
	journal *journal.Journal
	spool   *spool.Spool
	obs     Observer
	log     *slog.Logger
	events  chan outgoing
	work    [workers]worker
	ready   chan struct{}
	swept   chan struct{} // holds one wish to look for tombstones
	checked chan struct{} // holds one wish to look whether calls are still this node's

	// Whether JetStream failed to take events, or records, and has not taken
	// them again since.
	eventsAway, recordsAway atomic.Bool
	queued                  atomic.Int64 // events that wait to be sent, or are about to be
	unsettled               atomic.Int64 // that were sent and neither acknowledged nor spooled
	unwritten               atomic.Int64 // steps of calls that wait for a worker or are with one
	unchecked               atomic.Bool  // it could not be asked whose the calls are
}

// Open creates what the ledger writes to, and opens the spool with what an
// earlier start left there.
func Open(ctx context.Context, bus Bus, cfg Config, cluster *keys.Cluster, log *slog.Logger, obs Observer) (*Ledger, error) {
	l := &Ledger{cfg: cfg, obs: obs, log: log, events: make(chan outgoing, maxEventQueue),
		ready: make(chan struct{}), swept: make(chan struct{}, 1), checked: make(chan struct{}, 1)}
	for i := range l.work {
		l.work[i] = worker{ledger: l, queue: make(chan step, maxWork), back: make(chan struct{}, 1), check: make(chan struct{}, 1),
			held: make(map[call.ID]*held)}
	}
	l.cfg.Journal.Keys = cluster
	if err := l.openStreams(ctx, bus.JetStream); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	var err error
	l.spool, err = spool.Open(cfg.SpoolDir, cfg.SpoolBytes, cluster, l.spoolObserver())
	if err != nil {
		return nil, fmt.Errorf("open ledger (node.spool_dir): %w", err)
	}
	return l, nil
}

func (l *Ledger) openStreams(ctx context.Context, js jetstream.JetStream) (err error) {
	l.js, err = jetstream.New(js.Conn(),
		jetstream.WithPublishAsyncMaxPending(maxEventPending), jetstream.WithPublishAsyncTimeout(publishWait))
	if err != nil {
		return err
	}
	l.journal, err = Declare(ctx, l.js, l.cfg)
	return err
}

// Declare makes the streams that ledgers write to, or waits for them.
func Declare(ctx context.Context, js jetstream.JetStream, cfg Config) (*journal.Journal, error) {
	bytes := cfg.EventBytes
	if bytes <= 0 {
		bytes = eventsMaxBytes
	}
	err := cfg.Journal.Streams.Open(ctx, js, jetstream.StreamConfig{
		Name: subject.StreamEvents, Description: "Patchbay: events of calls",
		Subjects: []string{subject.EventAll}, Storage: jetstream.FileStorage,
		MaxAge: eventsMaxAge, MaxBytes: bytes, Duplicates: eventsDedup, Compression: journal.Compression,
	})
	if err != nil {
		return nil, err
	}
	return journal.Open(ctx, js, cfg.Journal)
}

// Journal is where records are read.
func (l *Ledger) Journal() *journal.Journal { return l.journal }

// Event implements actors.Ledger: it puts an event of a call behind those that
// wait.
func (l *Ledger) Event(tenant string, ev actors.CallEvent) {
	ev.V = envelope.Version
	data, err := json.Marshal(ev)
	if err != nil {
		l.loseEvents(1, "not_encoded", err)
		return
	}
	e := outgoing{to: subject.Event(subject.EventShard(tenant), tenant, ev.Type), id: ev.ID, data: data}
	l.queued.Add(1)
	select {
	case l.events <- e:
	default:
		l.queued.Add(-1)
		l.loseEvents(1, "queue_full", nil)
	}
}

// Keep implements actors.Ledger: the call's entry is written behind.
func (l *Ledger) Keep(s *actors.Snapshot) {
	w := l.workerOf(s.Record.ID)
	if len(w.queue) < maxWork/2 { // the other half is for records
		w.give(step{id: s.Record.ID, snapshot: s})
	}
}

// Record implements actors.Ledger: the record is published behind, once.
func (l *Ledger) Record(rec call.Record) {
	if !l.workerOf(rec.ID).give(step{id: rec.ID, rec: &rec}) {
		l.loseRecord(rec, "queue_full", nil)
	}
}

// Adopt says where the entry of a call stands that this node has claimed. What
// is told of the call afterwards follows from there. It blocks while the queue
// is full; false: ctx ended first.
func (l *Ledger) Adopt(ctx context.Context, id call.ID, hold journal.Hold) bool {
	l.unwritten.Add(1)
	select {
	case l.workerOf(id).queue <- step{id: id, hold: &hold}:
		return true
	case <-ctx.Done():
		l.unwritten.Add(-1)
		return false
	}
}

// Check asks for a look whether the live calls are still this node's, soon.
func (l *Ledger) Check() {
	select {
	case l.checked <- struct{}{}:
	default:
	}
}

func (l *Ledger) workerOf(id call.ID) *worker { return &l.work[uint64(id)%workers] }

// Sweep asks for a look at what other nodes left behind, soon.
func (l *Ledger) Sweep() {
	select {
	case l.swept <- struct{}{}:
	default:
	}
}

// Ready is closed once the ledger publishes.
func (l *Ledger) Ready() <-chan struct{} { return l.ready }

// Run publishes and replays until ctx ends, then what is left in memory: to
// JetStream for at most 5 s, the rest to the spool. Then it closes the spool.
func (l *Ledger) Run(ctx context.Context) error {
	defer l.Close()
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var all sync.WaitGroup
	acks := make(chan outgoing, maxEventPending)
	all.Go(func() { defer close(acks); l.pump(ctx, acks) })
	all.Go(func() { l.settle(grace, acks) })
	for i := range l.work {
		all.Go(func() { l.work[i].run(ctx, grace) })
	}
	var behind sync.WaitGroup // ends at once: it starts again where it stopped
	behind.Go(func() { l.replay(ctx) })
	behind.Go(func() { l.watch(ctx) })
	if l.cfg.Sweep {
		behind.Go(func() { l.sweep(ctx) })
	}
	close(l.ready)
	<-ctx.Done()
	end := time.AfterFunc(flushWait, cancel)
	defer end.Stop()
	behind.Wait()
	all.Wait()
	return nil
}

// Close closes the spool of a ledger that does not run. It may be called
// twice.
func (l *Ledger) Close() {
	if err := l.spool.Close(); err != nil {
		l.log.Error("spool not closed in order", "err", err)
	}
}

// A Waiting is what has not reached JetStream.
type Waiting struct {
	Events, Records               int // in memory, or sent and not acknowledged
	SpooledEvents, SpooledRecords int // on disk
	SpooledSnapshots              int // likewise; memory has them, too
	SpoolBytes                    int64
}

// Waiting returns how much waits. What goes from one place to the next meanwhile
// may be counted at both, never at none: places are looked at in that order.
func (l *Ledger) Waiting() (w Waiting) {
	w.Events = int(l.queued.Load())
	w.Events += int(l.unsettled.Load())
	w.Records = int(l.unwritten.Load())
	w.SpooledEvents, w.SpooledRecords, w.SpooledSnapshots = l.spool.Waiting(spool.Events), l.spool.Waiting(spool.Records), l.spool.Waiting(spool.Snapshots)
	w.SpoolBytes = l.spool.Bytes()
	return w
}

// guard contains a panic: it costs what was being worked on.
func (l *Ledger) guard(do func()) {
	defer func() {
		if v := recover(); v != nil && l.obs.Panic != nil {
			l.obs.Panic(v)
		}
	}()
	do()
}

func (l *Ledger) event(f Fate, n int) {
	if l.obs.Event != nil && n > 0 {
		l.obs.Event(f, n)
	}
}

func (l *Ledger) record(f Fate, n int) {
	if l.obs.Record != nil && n > 0 {
		l.obs.Record(f, n)
	}
}

func (l *Ledger) loseEvents(n int, why string, err error) {
	l.log.Warn("events lost", "reason", why, "count", n, "err", err)
	l.event(FateLost, n)
}

// loseRecord leaves in the log what an operator needs to make the record by
// hand: the line "call ended" has the rest.
func (l *Ledger) loseRecord(rec call.Record, why string, err error) {
	l.log.Error("record lost", "reason", why, "call_id", rec.ID, "tenant", rec.Tenant, "endpoint", rec.Endpoint,
		"invited", rec.Stages.Invited, "answered", rec.Stages.Answered, "ended", rec.Stages.Ended, "status", rec.Status, "err", err)
	l.record(FateLost, 1)
}
