package hooks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"patchbay/cluster/hooks/plan"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
	"patchbay/cluster/tail"
	"patchbay/internal/pause"
)

// errLost says that what a shard knows is not what the stream holds: it begins
// again, if it is still this node's.
var errLost = errors.New("hooks: the shard is not as this node left it")

// A shard is what this node does for one shard of the events.
type shard struct {
	d      *Deliverer
	n      uint8
	ctx    context.Context // ends with the lease
	cancel context.CancelFunc
	done   chan struct{}
	kick   chan struct{} // holds a token when there may be something to send
	quiet  chan struct{} // closed: nothing new is begun
	once   sync.Once

	// Of the goroutine that follows the events.
	batch  []tail.Message
	trace  traces
	noted  map[uint64]place // by sequence: of events that may be taken up again
	marked time.Time        // when the mark was written last

	mu      sync.Mutex
	plan    *plan.Plan
	at      uint64 // of the event stream, taken up
	markRev uint64
	states  map[string]*known
	ending  map[string]bool // deliveries whose owner may know of their end, and which the plan still has
}

func newShard(ctx context.Context, d *Deliverer, n uint8, seq, rev uint64) *shard {
	s := &shard{d: d, n: n, done: make(chan struct{}), kick: make(chan struct{}, 1), quiet: make(chan struct{}),
		marked: time.Now(), plan: plan.New(d.cfg.Plan), at: seq, markRev: rev, states: map[string]*known{}, noted: map[uint64]place{}, ending: map[string]bool{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// run serves the shard until it is told to leave, or to stop.
func (s *shard) run() {
	defer close(s.done)
	defer s.cancel()
	for s.ctx.Err() == nil {
		err := s.load()
		if err == nil {
			break
		}
		s.d.told(err, "read what waits")
		pause.For(s.ctx, again)
	}
	var both sync.WaitGroup
	both.Go(s.follow)
	both.Go(s.send)
	both.Wait()
}

// over reports that the shard serves no more.
func (s *shard) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// leave begins nothing new, waits for what is on the line, and stops; false: it
// was told so before.
func (s *shard) leave() (first bool) {
	s.once.Do(func() { first = true; close(s.quiet) })
	if !first {
		return false
	}
	timer := time.AfterFunc(goodbye, s.cancel)
	defer timer.Stop()
	<-s.done
	return true
}

func (s *shard) leaving() bool {
	select {
	case <-s.quiet:
		return true
	default:
		return s.ctx.Err() != nil
	}
}

// lost gives the shard up: it is claimed anew, and read anew, if it is still
// this node's.
func (s *shard) lost(err error) {
	if s.ctx.Err() == nil {
		s.d.log.Warn("webhooks of a shard are read anew", "shard", s.n, "err", err)
	}
	s.cancel()
}

func (s *shard) nudge() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// errWhole ends a reading that has come to our own claim: all before it was
// seen, whatever replica has told it.
var errWhole = errors.New("that was all")

// load reads what waits.
func (s *shard) load() error {
	s.mu.Lock()
	s.plan = plan.New(s.d.cfg.Plan)
	upTo := s.markRev
	s.mu.Unlock()
	waiting := map[string]*plan.Delivery{}
	err := tail.Follow(s.ctx, s.d.js, tail.Query{Stream: subject.StreamHooks, Filter: subject.HookShard(s.n)}, func(uint64) {}, func(m tail.Message) error {
		if m.Subject == subject.HookMark(s.n) && m.Sequence >= upTo {
			return errWhole
		}
		return s.recall(waiting, m)
	})
	if !errors.Is(err, errWhole) {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range waiting {
		s.plan.Add(d)
	}
	return nil
}

// recall takes one message of the shard's past.
func (s *shard) recall(waiting map[string]*plan.Delivery, m tail.Message) error {
	if !isDue(s.n, m.Subject) {
		return nil
	}
	if lookup.Marker(m.Header) != "" {
		delete(waiting, m.Subject)
		return nil
	}
	it, err := decode[item](m.Subject, m.Data)
	if err != nil {
		s.d.log.Error("a delivery cannot be read: it stays where it is", "subject", m.Subject, "err", err)
		return nil
	}
	waiting[m.Subject] = planned(&it, m.Sequence)
	return nil
}

func isDue(shard uint8, to string) bool {
	prefix := subject.HookDueOf(shard, "x")
	prefix = prefix[:len(prefix)-len("x.*")]
	return len(to) > len(prefix) && to[:len(prefix)] == prefix
}

// planned is an item as the plan has it.
func planned(it *item, version uint64) *plan.Delivery {
	return &plan.Delivery{ID: it.ID, Tenant: it.Tenant, Target: it.Target, Lane: it.Lane, Order: it.Order, Tries: it.Tries,
		Born: it.Born, Next: it.Next, Held: it.Held, Version: version}
}
