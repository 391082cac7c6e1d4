package undertaker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"patchbay/actors"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/placement"
	"patchbay/internal/pause"
)

// attend ends the calls of a node that is not heard, once it is certain that it
// is dead. It reports whether nothing is left to do; else it is to be called
// again.
func (u *Undertaker) attend(ctx context.Context, s cluster.Silent, left []journal.Left) (done bool) {
	if !u.ours(s) && !u.certain(ctx, s) {
		return false
	}
	swept := left != nil
	if !swept {
		find, cancel := context.WithTimeout(ctx, claimWait)
		defer cancel()
		var err error
		left, err = u.ports.Journal.Find(find, s.Calls, func(h journal.Head) bool { return h.Node == s.Node && h.Boot == s.Boot })
		if err != nil {
			u.log.Warn("calls of a dead node not read", "node", s.Node, "err", err)
			return false
		}
	}
	if len(left) > 0 {
		u.log.Warn("a media node is dead: its calls are ended", "node", s.Node, "boot", s.Boot, "calls", len(left))
	}
	u.bury(ctx, s, left)
	return !swept
}

// ours reports an earlier start of this very node, which is over for certain. One
// that seems to be later began before the clock was set back, or is another
// process under the same name: that is found out as of any node.
func (u *Undertaker) ours(s cluster.Silent) bool { return s.Node == u.node && s.Boot < u.boot }

// certain reports that the node is dead and that this one is in a position to
// say so.
func (u *Undertaker) certain(ctx context.Context, s cluster.Silent) bool {
	for range knocks {
		if !slices.ContainsFunc(u.ports.Surviving(), func(n placement.Node) bool { return n.Name == u.node }) {
			return false // deaf: it is this node that is cut off
		}
		switch u.ports.Knock(ctx, s) {
		case cluster.Gone:
			return !u.ports.Heard(s.Node, s.Boot)
		case cluster.Alive:
			if u.obs.Doubted != nil {
				u.obs.Doubted(s.Node)
			}
			return false
		case cluster.Mute:
		}
	}
	return ctx.Err() == nil && !u.ports.Heard(s.Node, s.Boot)
}

// A turn is one call and this node's place among those who may end it.
type turn struct {
	journal.Left
	rank int
}

// bury takes each call when this node's turn has come.
func (u *Undertaker) bury(ctx context.Context, s cluster.Silent, left []journal.Left) {
	start := time.Now()
	nodes := u.ports.Surviving()
	turns := make([]turn, len(left))
	for i, l := range left {
		turns[i] = turn{l, u.rank(l, nodes)}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.rank, b.rank) })
	gate := make(chan struct{}, maxDiggers)
	var all sync.WaitGroup
	defer all.Wait()
	for _, t := range turns {
		if !pause.For(ctx, time.Until(start.Add(time.Duration(t.rank)*apart))) {
			return
		}
		gate <- struct{}{}
		all.Go(func() {
			defer func() { <-gate }()
			u.guard(func() { u.one(ctx, s, t.Left) })
		})
	}
}

// rank is how many survivors come before this node in the call's order. What
// died with an earlier start of this very node it ends at once: it alone knows
// for certain.
func (u *Undertaker) rank(l journal.Left, nodes []placement.Node) int {
	if l.Node == u.node || l.Snapshot == nil {
		return 0
	}
	order := placement.Order(l.Snapshot.Job.Key, nodes)
	if i := slices.IndexFunc(order, func(n placement.Node) bool { return n.Name == u.node }); i >= 0 {
		return i
	}
	return len(order)
}

// one claims a call and ends it. While JetStream does not answer it tries on:
// a claim that has landed unheard is nobody else's to find.
func (u *Undertaker) one(ctx context.Context, s cluster.Silent, l journal.Left) {
	if !u.ours(s) && u.ports.Heard(s.Node, s.Boot) {
		return // it was only slow
	}
	for {
		claim, cancel := context.WithTimeout(ctx, claimWait)
		hold, err := u.ports.Journal.Claim(claim, l)
		cancel()
		switch {
		case err == nil:
			u.end(ctx, l, hold)
			return
		case errors.Is(err, journal.ErrUnavailable):
			if !pause.For(ctx, claimAgain) {
				return
			}
		default: // another was faster, or the node has come back
			return
		}
	}
}

// end ends a call that is this node's now.
func (u *Undertaker) end(ctx context.Context, l journal.Left, hold journal.Hold) {
	id := l.Record.ID
	if !u.ports.Ledger.Adopt(ctx, id, hold) {
		return
	}
	err := errNoSnapshot
	if l.Snapshot != nil && len(l.Snapshot.Dialog) > 0 {
		err = u.ports.Calls.Bury(l.Snapshot, hold.Epoch)
	}
	if err != nil {
		u.log.Warn("the carrier of a dead node's call cannot be told", "call_id", id, "node", l.Node, "err", err)
		u.ports.Ledger.Record(journal.NodeLost(l.Record, time.Now()))
	}
	if u.obs.Buried != nil {
		u.obs.Buried(id)
	}
}

var (
	errNoSnapshot = errors.New("undertaker: its entry is of a release without snapshots")

	_ Calls = (*actors.Calls)(nil)
)
