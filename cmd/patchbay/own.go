package main

import (
	"runtime"
	"time"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/cluster"
	"patchbay/cluster/stats"
	"patchbay/internal/lifecycle"
	"patchbay/internal/telemetry"
	"patchbay/internal/webhook"
)

// newOwnership decides which endpoints are this node's. Nodes with more
// processors own more of them.
func newOwnership(g *ground, obs observers) *cluster.Ownership {
	g.ownership = cluster.NewOwnership(g.presence, cluster.OwnershipConfig{Node: g.cfg.Node.Name, Boot: g.boot,
		Weight: runtime.GOMAXPROCS(0), Draining: g.draining.Load}, time.Now, obs.ownership())
	return g.ownership
}

// newLeads finds the owners of endpoints that numbers lead to.
func newLeads(g *ground, obs observers) (*cluster.Leads, error) {
	return cluster.NewLeads(g.conn, g.cfg.SIP.OwnerTimeout, g.cfg.SIP.MaxPending, func(any) { obs.panicked("leads", "ask") })
}

// endpointNeeds is what the endpoint actors of a node are made of.
type endpointNeeds struct {
	fx.In

	Store    actors.Store
	Intake   actors.Intake
	Load     actors.Load
	Fallback actors.Fallback
	Tenure   actors.Tenure
	Others   actors.Elsewhere
	Ledger   actors.Ledger
	Counter  *stats.Counter
}

// notFound are the statuses of actor.not_found_status.
var notFound = map[string]int{"404": 404, "603": 603}

func newEndpoints(g *ground, n endpointNeeds, obs observers) *actors.Endpoints {
	a := g.cfg.Actor
	return actors.NewEndpoints(actors.EndpointLimits{Mailbox: a.Mailbox, Remembered: a.Remembered, StoreTimeout: a.StoreTimeout, NotFound: notFound[a.NotFound], Silent: a.NotFound == "drop"},
		actors.EndpointPorts{Store: n.Store, Intake: n.Intake, Load: n.Load, Fallback: n.Fallback, Tenure: n.Tenure, Elsewhere: n.Others},
		counting(obs.endpoints(n.Ledger), n.Counter))
}

// deciding is what an actor node decides with.
type deciding struct {
	fx.In

	Endpoints *actors.Endpoints
	Decider   cluster.Decider
	Counsel   cluster.Counsel
	Ownership *cluster.Ownership
	Intake    *cluster.Intake
	Leads     *cluster.Leads
	Webhook   *webhook.Client
}

// attachEndpoints lets a node decide. When it ends it says goodbye first: its
// partitions are others' while it still answers what has come.
func attachEndpoints(lc fx.Lifecycle, app fx.Shutdowner, g *ground, d deciding, obs observers) {
	obs.metrics.Gauge(telemetry.NameMailbox+"_endpoint", "Messages waiting in endpoint actors' mailboxes.",
		func() float64 { return float64(d.Endpoints.Depth()) })
	obs.metrics.Gauge(telemetry.NamePartitions, "Partitions of endpoints that this node owns, of 256.",
		func() float64 { return float64(len(d.Ownership.Owned())) })
	door, rulings := cluster.NewEndpointDoor(g.conn, d.Decider, obs.door("endpoint")), cluster.NewRulingDoor(g.conn, d.Counsel, obs.door("ruling"))
	d.Ownership.Serve(d.Endpoints.Offering, door, rulings)
	lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) {
		return func() {
			door.Close()
			rulings.Close()
			d.Endpoints.Stop()
			d.Intake.Close()
			d.Leads.Close()
			d.Webhook.Close()
		}, nil
	}))
	lifecycle.Attach(lc, app, g.log, cluster.NewBeats(g.conn, d.Ownership.Beats()))
	lifecycle.Attach(lc, app, g.log, d.Ownership)
}
