package main

import (
	"time"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/ledger"
	"patchbay/cluster/stats"
	"patchbay/cluster/store"
	"patchbay/config"
	"patchbay/internal/dialguard"
	"patchbay/internal/lifecycle"
	"patchbay/internal/telemetry"
	"patchbay/internal/web"
	"patchbay/internal/webhook"
	"patchbay/sip/edge"
	"patchbay/sip/locate"
)

// stopTimeout is the longest the parts of a node may take to stop, once its
// calls have ended.
const stopTimeout = 20 * time.Second

// roleModules says which parts each role runs, in the order in which they
// start. A node starts what its roles share first, then its roles: actors,
// media, control, edge. It stops in the reverse order.
var roleModules = []struct {
	role   string
	module fx.Option
}{
	{"actor", actorModule},
	{"media", mediaModule},
	{"control", controlModule},
	{"edge", edgeModule},
}

// bindings says what stands behind each interface that one door needs of
// another. There are no others.
var bindings = fx.Provide(
	func(u *unanswered) edge.Router { return u },
	func(s *store.Store) actors.Store { return s },
	func(in *cluster.Intake) actors.Intake { return in },
	func(p *cluster.Presence) actors.Load { return p },
	func(o *cluster.Ownership) actors.Tenure { return o },
	func(l *cluster.Leads) actors.Elsewhere { return l },
	func(w *cluster.Wire) actors.Wire { return w },
	func(l *ledger.Ledger) actors.Ledger { return l },
	func(e *actors.Endpoints) cluster.Decider { return e },
	func(e *actors.Endpoints) cluster.Counsel { return e },
	func(w *webhook.Client) actors.Fallback { return w },
	func(r *cluster.Rulings) actors.Rulings { return r },
)

// options returns the application of a node that stands on g.
func options(g *ground, obs observers) fx.Option {
	parts := []fx.Option{
		quiet(g.log), fx.StartTimeout(g.cfg.NATS.StartWait), fx.StopTimeout(stopTimeout),
		fx.Supply(g, obs, obs.metrics, g.log, g.conn, g.store, g.presence, g.ledger, g.tokens,
			g.cfg.SIP, g.cfg.Actor, g.cfg.Media, g.cfg.Control, g.cfg.HTTP),
		bindings, sharedModule(g),
	}
	for _, r := range roleModules {
		if g.has(r.role) {
			parts = append(parts, r.module)
		}
	}
	return fx.Options(parts...)
}

// sharedModule is what several roles need of the node, if it has one of them,
// and the web listener.
func sharedModule(g *ground) fx.Option {
	parts := []fx.Option{fx.Provide(newWeb, newIntake, newLocator)}
	if g.store != nil {
		parts = append(parts, fx.Invoke(lifecycle.Attach[*store.Store]))
	}
	if g.ledger != nil {
		parts = append(parts, fx.Invoke(attachLedger))
	}
	return fx.Module("shared", append(parts, fx.Invoke(lifecycle.Attach[*web.Server]))...)
}

func newWeb(g *ground, m *telemetry.Metrics) *web.Server {
	s := web.New(g.cfg.HTTP, m.Handler(), g.log)
	s.Require("nats", g.conn.Healthy)
	s.Require("drain", g.notDraining)
	s.Require("start", g.started) // the listener is up before the roles are
	return s
}

// actorModule decides on INVITEs.
var actorModule = fx.Module("actor",
	fx.Provide(newWebhook, newCounter, newOwnership, newLeads, newEndpoints),
	fx.Invoke(lifecycle.Attach[*stats.Counter], attachEndpoints),
)

func newIntake(g *ground, obs observers) (*cluster.Intake, error) {
	return cluster.NewIntake(g.conn, g.presence.Media, g.cfg.Actor.IntakeTimeout, g.cfg.SIP.MaxPending, obs.intake())
}

// newWebhook asks owners' webhooks, within what the node may dial.
func newWebhook(g *ground) *webhook.Client {
	guard := dialguard.Guard{AllowPrivate: g.cfg.Actor.AllowPrivate, AllowLoopback: g.onLoopbackOnly()}
	if guard.AllowLoopback {
		g.log.Info("webhooks on loopback may be asked: HTTP and NATS of this node listen on loopback only")
	}
	return webhook.New(guard, g.keys.Open)
}

// edgeModule faces the carriers.
var edgeModule = fx.Module("edge",
	fx.Provide(newRouter, func(r *cluster.Router) *unanswered { return newUnanswered(r) }, newBlocklist, newEdge),
	fx.Invoke(lifecycle.Attach[*store.Blocklist], attachEdge),
)

func newRouter(g *ground, obs observers) (*cluster.Router, error) {
	return cluster.NewRouter(g.conn, cluster.RouterConfig{MaxPending: g.cfg.SIP.MaxPending, OwnerTimeout: g.cfg.SIP.OwnerTimeout}, obs.router())
}

func newEdge(g *ground, r edge.Router, u *unanswered, blocked *store.Blocklist, names *locate.Locator, obs observers) *edge.Edge {
	return edge.New(g.cfg.SIP, g.edgeID(), g.boot, g.tokens, r, edge.WithLogger(g.log), edge.WithObserver(obs.edge()),
		edge.WithHealth(func() bool { return g.conn.Healthy() == nil }), edge.WithBlocklist(blocked.Contains), edge.WithTaken(u.waits),
		edge.WithDialable(g.trunkGuard().Check), edge.WithLocate(names.Locate))
}

// newLocator looks up where SIP requests go, for every role of the node that
// sends some.
func newLocator(g *ground, obs observers) (*locate.Locator, error) {
	return locate.New(locate.Config{Servers: g.cfg.SIP.NameServers(), Asked: obs.named})
}

func newBlocklist(g *ground) *store.Blocklist { return store.NewBlocklist(g.conn.JetStream(), g.log) }

// sipTransports are those over which the edge can send a request of ours to
// whoever it is for: a browser cannot be called.
func sipTransports(s config.SIP) []call.Transport {
	if s.UDP == "" {
		return []call.Transport{call.TCP, call.TLS}
	}
	return []call.Transport{call.UDP, call.TCP, call.TLS}
}

func attachEdge(lc fx.Lifecycle, app fx.Shutdowner, g *ground, e *edge.Edge, r *cluster.Router, u *unanswered, obs observers) {
	lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) {
		door, err := cluster.OpenEdgeDoor(g.conn, g.edgeID(), sipTransports(g.cfg.SIP), func(tx call.Transmission, told func(bool)) {
			u.sent(tx.Raw)
			e.Send(tx, told)
		}, obs.door("edge"))
		if err != nil {
			return nil, err
		}
		return func() { door.Close(); r.Close() }, nil
	}))
	beats := cluster.NewBeats(g.conn, cluster.BeatConfig{Role: cluster.RoleEdge, Node: g.edgeID(), Boot: g.boot})
	lifecycle.Attach(lc, app, g.log, newLeaving(beats, g.edgeLeaves))
	lifecycle.Attach(lc, app, g.log, e)
}
