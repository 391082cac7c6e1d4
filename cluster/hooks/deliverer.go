package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks/plan"
	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
	"patchbay/internal/pause"
	"patchbay/internal/webhook"
)

// Times of a deliverer.
const (
	tick     = time.Second            // how often shards and their owners are looked at
	gapWait  = 10 * time.Second       // for events that come before one that has come
	again    = 250 * time.Millisecond // after JetStream or the store did not answer
	sayEvery = 5 * time.Second        // how often it is told that something fails
	goodbye  = 5 * time.Second        // for requests on the line when a shard is given away
	markLate = time.Minute            // how old a mark may get while nobody wants the events
)

// A Directory knows who wants events.
type Directory interface {
	// WebhooksOf returns all webhooks of a tenant, Webhook one, Agent an agent, and
	// Account the account, from memory where that is fresh.
	WebhooksOf(ctx context.Context, tenant string) ([]endpoint.Webhook, error)
	Webhook(ctx context.Context, tenant, id string) (endpoint.Webhook, error)
	Agent(ctx context.Context, tenant, id string) (endpoint.Agent, error)
	Account(ctx context.Context, tenant string) (endpoint.Account, error)
	// HookedShards returns the shards whose events anybody wants.
	HookedShards(ctx context.Context) ([subject.EventShards]bool, error)
}

// Config is what an operator may set of a Deliverer, and its ways out.
type Config struct {
	Node     string
	Streams  stream.Terms // on which its streams are made
	Plan     plan.Terms
	Timeout  time.Duration // of one try
	MaxBytes int64         // of what waits; 0: 1 GiB
	LeaseTTL time.Duration // 0: 15 s; whole seconds, more than 2
	GapWait  time.Duration // 0: 10 s

	Directory Directory
	Tell      func(ctx context.Context, o webhook.Occasion) webhook.Receipt
	Unseal    func(endpoint.SecretRef) (string, error)
}

// An Observer hears what becomes of deliveries. Nil hooks are skipped; they must
// not block.
type Observer struct {
	Tried func(took time.Duration, taken bool)
	Ended func(end string) // EndDelivered, EndDead, EndDropped
	Panic func(any)
}

// A Deliverer is one control node's part in bringing events to webhooks.
type Deliverer struct {
	cfg   Config
	js    jetstream.JetStream
	obs   Observer
	log   *slog.Logger
	slots chan struct{} // deliveries under way on this node
	ready chan struct{}
	once  sync.Once

	idle   [subject.EventShards]uint64 // where a shard's events begin that nobody wanted so far
	full   atomic.Bool                 // nothing more is taken up until something has ended
	lease  *lease
	going  sync.WaitGroup // shards that are being given away
	mu     sync.Mutex
	shards map[uint8]*shard
	said   map[string]time.Time // by what was being done: when it was last told that it failed
}

// Open makes the streams, or waits for them, and returns a Deliverer.
func Open(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger, obs Observer) (*Deliverer, error) {
	if err := Declare(ctx, js, cfg.Streams, cfg.MaxBytes); err != nil {
		return nil, err
	}
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = leaseTTL
	}
	if cfg.LeaseTTL <= leaseMargin {
		return nil, fmt.Errorf("open webhooks: a lease of %v is no longer than its margin, %v", cfg.LeaseTTL, leaseMargin)
	}
	if cfg.GapWait == 0 {
		cfg.GapWait = gapWait
	}
	return &Deliverer{cfg: cfg, js: js, obs: obs, log: log, slots: make(chan struct{}, cfg.Plan.AtOnce), ready: make(chan struct{}),
		lease: &lease{js: js, node: cfg.Node, ttl: cfg.LeaseTTL}, shards: map[uint8]*shard{}, said: map[string]time.Time{}}, nil
}

// Ready is closed once the node knows whether anybody wants events.
func (d *Deliverer) Ready() <-chan struct{} { return d.ready }

// Run delivers until ctx ends, then gives its shards to others.
func (d *Deliverer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if wanted, err := d.wanted(ctx); err != nil || !wanted {
			d.told(err, "look for webhooks")
			pause.For(ctx, tick)
			continue
		}
		if err := d.serve(ctx); err != nil && ctx.Err() == nil {
			d.told(err, "keep the lease")
			pause.For(ctx, again)
		}
	}
	return nil
}

// wanted finds out where the events stand, then whether any are wanted: what
// happens in between is not missed.
func (d *Deliverer) wanted(ctx context.Context) (wanted bool, err error) {
	hooked, err := d.hooked(ctx)
	if err != nil {
		return false, err
	}
	d.once.Do(func() { close(d.ready) })
	for _, h := range hooked {
		wanted = wanted || h
	}
	return wanted, nil
}

// hooked returns the shards whose events are wanted, and remembers of the others
// where they stand.
func (d *Deliverer) hooked(ctx context.Context) (hooked [subject.EventShards]bool, err error) {
	short, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	events, err := d.js.Stream(short, subject.StreamEvents)
	if err != nil {
		return hooked, fmt.Errorf("%w: %w", errAway, err)
	}
	last := events.CachedInfo().State.LastSeq
	if hooked, err = d.cfg.Directory.HookedShards(ctx); err != nil {
		return hooked, err
	}
	for n, h := range hooked {
		if !h {
			d.idle[n] = last
		}
	}
	return hooked, nil
}

// serve holds a lease for as long as it can, and with it its share of the
// shards.
func (d *Deliverer) serve(ctx context.Context) error {
	grace, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	held, end, err := d.lease.take(grace, time.Now())
	if err != nil {
		return err
	}
	defer end()
	defer d.halt()
	every := time.NewTicker(tick)
	defer every.Stop()
	renewed := time.Now()
	for {
		if time.Since(renewed) >= d.cfg.LeaseTTL/renewals {
			if err := d.lease.renew(held); err == nil {
				renewed = time.Now()
			} else if held.Err() != nil || isRevision(err) {
				return err
			}
		}
		if err := d.look(held); err != nil && held.Err() == nil {
			d.told(err, "share the shards")
		}
		select {
		case <-every.C:
		case <-held.Done():
			return fmt.Errorf("%w: the lease of %s has lapsed", errAway, d.cfg.Node)
		case <-ctx.Done():
			d.leave(held)
			return nil
		}
	}
}

// leave gives all shards away, and the lease back.
func (d *Deliverer) leave(held context.Context) {
	d.lease.leave(held)
	var all sync.WaitGroup
	for _, s := range d.owned() {
		all.Go(func() { d.release(held, s) })
	}
	all.Wait()
	d.going.Wait() // those of before may have requests on the line
	d.lease.end(held)
}

// owned returns the shards that run here.
func (d *Deliverer) owned() []*shard {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*shard, 0, len(d.shards))
	for _, s := range d.shards {
		all = append(all, s)
	}
	return all
}

// halt ends all shards at once: they are another's, for all that is known here.
func (d *Deliverer) halt() {
	for _, s := range d.owned() {
		s.cancel()
		<-s.done
		d.forget(s)
	}
	d.going.Wait()
}

func (d *Deliverer) forget(s *shard) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shards[s.n] == s {
		delete(d.shards, s.n)
	}
}

// A Waiting is what waits on this node.
type Waiting struct {
	Deliveries int
	Oldest     time.Time // when the event happened that has waited longest; zero: none waits
	Suspended  int       // targets that are left alone for a while
	Shards     int
	Full       bool // as much waits as may: events wait where they are
}

// Waiting returns what waits on this node.
func (d *Deliverer) Waiting() (w Waiting) {
	now := time.Now()
	w.Full = d.full.Load()
	for _, s := range d.owned() {
		s.mu.Lock()
		w.Deliveries += s.plan.Len()
		w.Suspended += s.plan.Open(now)
		if at := s.plan.Oldest(); !at.IsZero() && (w.Oldest.IsZero() || at.Before(w.Oldest)) {
			w.Oldest = at
		}
		s.mu.Unlock()
		w.Shards++
	}
	return w
}

// told says what keeps deliveries waiting, of each thing now and then: while
// JetStream is away everything fails again and again.
func (d *Deliverer) told(err error, doing string) {
	if err == nil {
		return
	}
	now := time.Now()
	d.mu.Lock()
	late := now.Sub(d.said[doing]) >= sayEvery
	if late {
		d.said[doing] = now
	}
	d.mu.Unlock()
	if late {
		d.log.Warn("webhooks wait", "action", doing, "err", err)
	}
}

// guard contains a panic: it costs what was being worked on.
func (d *Deliverer) guard(do func()) {
	defer func() {
		if v := recover(); v != nil && d.obs.Panic != nil {
			d.obs.Panic(v)
		}
	}()
	do()
}
