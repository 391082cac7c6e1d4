package undertaker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/placement"
)

// Waits and limits.
const (
	lookEvery  = 250 * time.Millisecond
	knocks     = 2                       // without an answer, before a node counts as dead
	knockAgain = time.Second             // after one that was answered, or nothing could be read
	apart      = 300 * time.Millisecond  // between two survivors in a call's order
	stragglers = 1500 * time.Millisecond // then the whole bucket is looked through: the last calls of a node may be in none of its beats
	firstSweep = 4 * time.Second         // after the start: by then it is known who lives, and nodes that died before are missed by nobody else
	claimWait  = 2 * time.Second         // for JetStream's answer to one claim
	claimAgain = 500 * time.Millisecond  // after one that JetStream did not answer
	maxGraves  = 64                      // nodes whose calls are being ended at once; further ones wait
	maxDiggers = 16                      // calls of one node that are claimed at once
	maxLeft    = 64                      // sweeps' findings that wait; beyond it the next sweep finds them again
)

// Ports are what an undertaker needs of its node. Funcs may be called from any
// goroutine.
type Ports struct {
	// Silent lists the media nodes that carried calls and are not heard.
	Silent func() []cluster.Silent
	// Surviving lists the media nodes that are heard, this one among them if it
	// hears itself.
	Surviving func() []placement.Node
	// Heard reports whether that incarnation of a media node is heard now.
	Heard func(node string, boot uint64) bool
	// Knock asks a silent node itself.
	Knock func(context.Context, cluster.Silent) cluster.Sign
	// Sweep asks for a look through the whole bucket; what it finds comes to
	// [Undertaker.Left].
	Sweep   func()
	Journal Journal
	Ledger  Ledger
	Calls   Calls
}

// A Journal reads and claims the entries of calls; *journal.Journal is one.
type Journal interface {
	Find(ctx context.Context, ids []call.ID, wanted func(journal.Head) bool) ([]journal.Left, error)
	Claim(ctx context.Context, l journal.Left) (journal.Hold, error)
}

// A Ledger takes what is left of a call; *ledger.Ledger is one.
type Ledger interface {
	Adopt(ctx context.Context, id call.ID, hold journal.Hold) bool
	Record(rec call.Record)
}

// Calls end a call from its snapshot; *actors.Calls are that.
type Calls interface {
	Bury(s *actors.Snapshot, owner uint64) error
}

// An Observer hears what an undertaker does. Nil hooks are skipped; they must
// not block.
type Observer struct {
	Doubted func(node string) // it was not heard, and has answered
	Buried  func(id call.ID)
	Panic   func(any)
}

// An Undertaker is one media node's.
type Undertaker struct {
	node  string
	boot  uint64
	ports Ports
	obs   Observer
	log   *slog.Logger
	left  chan []journal.Left
	ready chan struct{}

	// Of Run alone.
	graves  map[grave]*dig
	closed  chan outcome
	busy    int
	sweepAt time.Time
	work    sync.WaitGroup
}

// A grave is one incarnation of a node.
type grave struct {
	node string
	boot uint64
}

// A dig is how far the work on a grave has come.
type dig struct {
	busy, done bool
	again      time.Time // not before
}

// An outcome is the end of work on a grave: not done, and it is tried again.
type outcome struct {
	grave grave
	done  bool
}

// New returns the undertaker of the media node of that name and start.
func New(node string, boot uint64, ports Ports, log *slog.Logger, obs Observer) *Undertaker {
	return &Undertaker{node: node, boot: boot, ports: ports, obs: obs, log: log, left: make(chan []journal.Left, maxLeft),
		ready: make(chan struct{}), graves: make(map[grave]*dig), closed: make(chan outcome)}
}

// Left takes the entries of live calls that a sweep has found without their
// node. It does not block.
func (u *Undertaker) Left(found []journal.Left) {
	select {
	case u.left <- found:
	default:
	}
}

// Ready is closed at once.
func (u *Undertaker) Ready() <-chan struct{} { return u.ready }

// Run looks for dead nodes until ctx ends.
func (u *Undertaker) Run(ctx context.Context) error {
	close(u.ready)
	u.sweepAt = time.Now().Add(firstSweep)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer u.work.Wait()
	for {
		select {
		case now := <-tick.C:
			u.look(ctx, now)
		case found := <-u.left:
			u.sort(ctx, found)
		case o := <-u.closed:
			u.over(o)
		case <-ctx.Done():
			return nil
		}
	}
}

// look begins work on the nodes that have fallen silent, and forgets those that
// the table has forgotten.
func (u *Undertaker) look(ctx context.Context, now time.Time) {
	if !u.sweepAt.IsZero() && !now.Before(u.sweepAt) {
		u.sweepAt = time.Time{}
		u.ports.Sweep()
	}
	silent := make(map[grave]bool)
	for _, s := range u.ports.Silent() {
		g := grave{s.Node, s.Boot}
		silent[g] = true
		if d := u.graves[g]; d == nil || !d.busy && !d.done && !now.Before(d.again) {
			u.begin(ctx, g, s, nil)
		}
	}
	for g, d := range u.graves {
		if !silent[g] && !d.busy {
			delete(u.graves, g)
		}
	}
}

// sort begins work on what a sweep has found.
func (u *Undertaker) sort(ctx context.Context, found []journal.Left) {
	of := make(map[grave][]journal.Left)
	for _, l := range found {
		g := grave{l.Node, l.Boot}
		of[g] = append(of[g], l)
	}
	for g, left := range of {
		if d := u.graves[g]; d == nil || !d.busy {
			u.begin(ctx, g, cluster.Silent{Node: g.node, Boot: g.boot, Slot: left[0].Slot}, left)
		}
	}
}

// begin works on a grave in a goroutine of its own. left is what is known to
// be there; nil: it is to be found.
func (u *Undertaker) begin(ctx context.Context, g grave, s cluster.Silent, left []journal.Left) {
	if u.busy >= maxGraves || g == (grave{u.node, u.boot}) { // this start does not hear itself, and lives
		return
	}
	d := u.graves[g]
	if d == nil {
		d = &dig{}
		u.graves[g] = d
	}
	d.busy = true
	u.busy++
	u.work.Go(func() {
		o := outcome{grave: g}
		u.guard(func() { o.done = u.attend(ctx, s, left) })
		select {
		case u.closed <- o:
		case <-ctx.Done():
		}
	})
}

func (u *Undertaker) over(o outcome) {
	u.busy--
	d := u.graves[o.grave]
	d.busy, d.done = false, d.done || o.done
	d.again = time.Now().Add(knockAgain)
	if o.done {
		u.sweepAt = time.Now().Add(stragglers)
	}
}

func (u *Undertaker) guard(do func()) {
	defer func() {
		if v := recover(); v != nil && u.obs.Panic != nil {
			u.obs.Panic(v)
		}
	}()
	do()
}
