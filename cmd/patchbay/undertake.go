package main

import (
	"context"
	"maps"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/journal"
	"patchbay/cluster/undertaker"
	"patchbay/internal/lifecycle"
)

// newUndertaker ends the calls of media nodes that have died, this one's
// earlier starts among them.
func newUndertaker(g *ground, calls *actors.Calls, obs observers) *undertaker.Undertaker {
	return undertaker.New(g.cfg.Node.Name, g.boot, undertaker.Ports{
		Silent:    g.presence.Silent,
		Surviving: g.presence.Surviving,
		Heard: func(node string, boot uint64) bool {
			runs, _ := g.presence.Runs(node, boot)
			return runs
		},
		Knock:   func(ctx context.Context, s cluster.Silent) cluster.Sign { return cluster.Knock(ctx, g.conn, s) },
		Sweep:   g.ledger.Sweep,
		Journal: g.ledger.Journal(),
		Ledger:  g.ledger,
		Calls:   calls,
	}, g.log, obs.undertaker())
}

func attachUndertaker(lc fx.Lifecycle, app fx.Shutdowner, g *ground, u *undertaker.Undertaker, calls *actors.Calls) {
	g.carried.Store(&carried{release: calls.Release, left: u.Left})
	lifecycle.Attach(lc, app, g.log, u)
}

// A carried is what the ledger tells of calls to those who carry them.
type carried struct {
	release func(call.ID)
	left    func([]journal.Left)
}

// superseded lets go of a call that another node has claimed.
func (g *ground) superseded(id call.ID) {
	if c := g.carried.Load(); c != nil {
		c.release(id)
	}
}

// leftBehind gives the calls that a sweep has found to who ends them.
func (g *ground) leftBehind(found []journal.Left) {
	if c := g.carried.Load(); c != nil {
		c.left(found)
	}
}

// gone says whether the node of a live call is gone, as far as this one can
// tell. An earlier start of this node may seem a later one, where the clock was
// set back since.
func (g *ground) gone(h journal.Head) bool {
	if h.Node == g.cfg.Node.Name && h.Boot <= g.boot {
		return h.Boot < g.boot
	}
	runs, known := g.presence.Runs(h.Node, h.Boot)
	return known && !runs
}

// operations are what the node's call door serves beside its own.
func (g *ground) operations(c connectors) map[string]cluster.Operation {
	all := maps.Clone(c.operations())
	name, alive := cluster.AliveOperation(g.cfg.Node.Name, g.boot)
	all[name] = alive
	return all
}
