package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/placement"
	"patchbay/cluster/tenure"
)

// Times of an actor node.
const (
	ownershipTick = 50 * time.Millisecond
	// sentBeats is how many of its own beats a node knows the times of.
	sentBeats = 64
)

// OwnershipConfig is what an actor node says of itself.
type OwnershipConfig struct {
	Node     string
	Boot     uint64      // of this incarnation
	Weight   int         // among actor nodes; at least 1
	Draining func() bool // it takes no partitions, and gives away what it has; nil: never
}

// An OwnershipObserver hears of partitions that come and go. Nil hooks are
// skipped.
type OwnershipObserver struct {
	Moved func(owned, taken, left int) // owned: partitions afterwards
}

// An Ownership decides which partitions an actor node owns, from the beats of
// all, and opens and closes its doors accordingly. It implements actors.Tenure.
// The rules are those of cluster/tenure.
type Ownership struct {
	cfg      OwnershipConfig
	presence *Presence
	obs      OwnershipObserver
	now      func() time.Time
	offering func(k uint8) bool
	doors    []*PartitionDoor
	changed  chan struct{}
	ready    chan struct{}

	mu     sync.Mutex
	book   tenure.Book
	claims placement.Set
	sent   [sentBeats]sentBeat
	heard  time.Time // when the newest of our own beats that came back was sent
	first  time.Time // when the first one had come back
	open   bool

	standings atomic.Pointer[tenure.Standings]
	owned     atomic.Pointer[placement.Set]
}

type sentBeat struct {
	seq uint64
	at  time.Time
}

// NewOwnership returns an Ownership of no partition. now is the clock.
func NewOwnership(p *Presence, cfg OwnershipConfig, now func() time.Time, obs OwnershipObserver) *Ownership {
	cfg.Weight = max(cfg.Weight, 1)
	o := &Ownership{cfg: cfg, presence: p, obs: obs, now: now, changed: make(chan struct{}, 1), ready: make(chan struct{})}
	o.standings.Store(&tenure.Standings{Nodes: 1})
	o.owned.Store(&placement.Set{})
	return o
}

// Serve says who decides, and where. offering reports that calls of a partition
// are on their way to a media node. Call it before Run.
func (o *Ownership) Serve(offering func(k uint8) bool, doors ...*PartitionDoor) {
	o.offering, o.doors = offering, doors
}

// Beats is what the node's beats as an actor say. They must run before Run.
func (o *Ownership) Beats() BeatConfig {
	return BeatConfig{Role: RoleActor, Node: o.cfg.Node, Boot: o.cfg.Boot, Capacity: o.cfg.Weight,
		Draining: func() bool { return !o.opened() || o.draining() },
		Claims:   func() placement.Set { o.mu.Lock(); defer o.mu.Unlock(); return o.claims },
		Changed:  o.changed, Greet: o.presence.Greetings(), Sent: o.sending}
}

func (o *Ownership) sending(seq uint64) {
	now := o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent[seq%sentBeats] = sentBeat{seq, now}
}

func (o *Ownership) draining() bool { return o.cfg.Draining != nil && o.cfg.Draining() }

func (o *Ownership) opened() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open
}

// Ready is closed once the node takes INVITEs.
func (o *Ownership) Ready() <-chan struct{} { return o.ready }

// Run follows the beats until ctx ends. It fails when the node cannot subscribe.
func (o *Ownership) Run(ctx context.Context) error {
	tick := time.NewTicker(ownershipTick)
	defer tick.Stop()
	for {
		if err := o.Step(); err != nil {
			return fmt.Errorf("own partitions: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Step looks at the beats once. Run does so every 50 ms.
func (o *Ownership) Step() error {
	now := o.now()
	others, media, heard := o.presence.view(o.cfg.Node, o.cfg.Boot)
	o.mu.Lock()
	opens := o.hear(now, heard, len(others))
	v := &tenure.View{Now: now, Since: o.presence.since, Heard: o.heard, Others: others, Media: media, Busy: o.offering,
		Me: placement.Node{Name: o.cfg.Node, Capacity: o.cfg.Weight, Draining: !o.open || o.draining()}}
	c := o.book.Update(v)
	claims, owned := o.book.Claims(), o.book.Owned()
	news := claims != o.claims
	o.claims = claims
	o.standings.Store(o.book.Standings(v))
	o.owned.Store(&owned)
	o.mu.Unlock()
	if news || opens {
		select {
		case o.changed <- struct{}{}:
		default:
		}
	}
	return o.turn(c, opens, owned.Len())
}

// hear notes that our own beats come back, and reports that the node opens now.
func (o *Ownership) hear(now time.Time, seq uint64, others int) (opens bool) {
	if b := o.sent[seq%sentBeats]; seq > 0 && b.seq == seq {
		o.heard = b.at
	}
	if seq > 0 && o.first.IsZero() {
		o.first = now
	}
	if o.open || o.first.IsZero() || now.Sub(o.first) < tenure.Greeting(others) {
		return false
	}
	o.open = true
	return true
}

// turn opens and closes the doors.
func (o *Ownership) turn(c tenure.Change, opens bool, owned int) error {
	for _, d := range o.doors {
		if opens {
			if err := d.Open(); err != nil {
				return err
			}
		}
		for _, k := range c.Take {
			if err := d.Own(k); err != nil {
				return err
			}
		}
		for _, k := range c.Leave {
			d.Release(k)
		}
	}
	if opens {
		close(o.ready)
	}
	if len(c.Take)+len(c.Leave) > 0 && o.obs.Moved != nil {
		o.obs.Moved(owned, len(c.Take), len(c.Leave))
	}
	return nil
}

// Standing implements actors.Tenure. It takes no lock.
func (o *Ownership) Standing(k uint8, now time.Time) (s endpoint.Standing, settled bool) {
	return o.standings.Load().At(k, now)
}

// Owned returns the partitions that this node owns, in order.
func (o *Ownership) Owned() []uint8 { return o.owned.Load().List() }

// Released reports that the node has no partition left that another could not
// take yet: it may stop. Only a draining node, or one that has never taken any,
// comes to that.
func (o *Ownership) Released() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.claims == placement.Set{}
}
