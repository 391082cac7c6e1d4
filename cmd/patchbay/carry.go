package main

import (
	"crypto/rand"
	"encoding/binary"
	"maps"
	"net/netip"
	"time"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/placement"
	"patchbay/internal/dialguard"
	"patchbay/internal/lifecycle"
	"patchbay/internal/telemetry"
	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
	"patchbay/sip/dialog"
	"patchbay/sip/locate"
	"patchbay/sip/txn"
)

// mediaModule carries calls.
var mediaModule = fx.Module("media",
	fx.Provide(newStack, newDialIn, newConnectors, newMediaNode, newSwitchboard, newDialogs, newWire, newRulings, newCalls, newUndertaker),
	fx.Invoke(attachMedia, attachUndertaker),
)

func newDialogs(g *ground) (*dialog.Factory, error) {
	s := g.cfg.SIP
	return dialog.NewFactory(dialog.Options{Keys: g.tokens, Slot: g.slot, Timers: txn.Timers{T1: s.T1, T2: s.T2, T4: s.T4},
		Advertise: s.Advertise, BaseDomain: s.BaseDomain, SessionExpires: s.SessionExpires, Reliable: s.Reliable})
}

func newWire(g *ground, obs observers) (*cluster.Wire, error) {
	w, err := cluster.NewWire(g.conn, g.presence.Gone, obs.wire())
	if err == nil {
		w.Among(func() []string { return g.presence.Alive(cluster.RoleEdge) })
	}
	return w, err
}

func newRulings(g *ground, obs observers) (*cluster.Rulings, error) {
	return cluster.NewRulings(g.conn, g.cfg.Media.MaxCalls, obs.rulings())
}

func newCalls(g *ground, d *dialog.Factory, w actors.Wire, m actors.Switchboard, l actors.Ledger, r actors.Rulings, n *media.Node, names *locate.Locator, obs observers) *actors.Calls {
	c := g.cfg.Media
	return actors.NewCalls(g.cfg.Node.Name,
		actors.CallLimits{Loops: c.Loops, Mailbox: c.Mailbox, MaxCalls: c.MaxCalls, AgentTimeout: c.AgentTimeout,
			MaxDuration: c.MaxDuration, T1: g.cfg.SIP.T1},
		actors.CallPorts{Dialogs: d, Wire: w, Switchboard: m, Ledger: l, Rulings: r, Locator: names.ForCalls(g.log),
			Open: g.keys.Open, Targets: cluster.NewTargets(g.conn, func(any) { obs.panicked("transfers", "ask") }), Coupler: n}, randomID, obs.calls())
}

func randomID() call.ID {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return call.ID(binary.BigEndian.Uint64(b[:]))
}

func newStack(g *ground, obs observers) (*peer.Stack, error) {
	return peer.NewStack(g.cfg.Media, peer.Hooks{Panic: func(where string) { obs.panicked("peer", where) }})
}

func newDialIn(s *peer.Stack) *connect.DialIn { return connect.NewDialIn(s, time.Now) }

// newConnectors are the ways to agents. What a worker on NATS is told of its
// call, and what it asks, goes through one subscription of the node.
func newConnectors(g *ground, s *peer.Stack, d *connect.DialIn, obs observers) (connectors, error) {
	workers, err := cluster.OpenWorkers(g.conn, obs.door("worker"))
	if err != nil {
		return connectors{}, err
	}
	health := connect.NewHealth(time.Now)
	if err := workers.Heartbeats(health.Note); err != nil {
		workers.Close()
		return connectors{}, err
	}
	guard := dialguard.Guard{AllowPrivate: g.cfg.Media.AllowPrivate, AllowLoopback: g.onLoopbackOnly()}
	if guard.AllowLoopback {
		g.log.Info("agents on loopback may be dialled: HTTP and NATS of this node listen on loopback only")
	}
	return connectors{workers: workers, health: health, http: connect.NewHTTP(s, guard, g.keys.Open),
		nats: connect.NewNATS(s, workers, health, cluster.ErrNoWorker), dialIn: d}, nil
}

// connectors are a node's ways to agents.
type connectors struct {
	workers *cluster.Workers
	health  *connect.Health
	nats    *connect.NATS
	http    *connect.HTTP
	dialIn  *connect.DialIn
}

// operations are what the node's call door serves beside its own.
func (c connectors) operations() map[string]cluster.Operation {
	all := dialInOperations(c.dialIn)
	maps.Copy(all, agentOperations(c))
	return all
}

func newMediaNode(g *ground, c connectors, obs observers) (*media.Node, error) {
	return media.NewNode(g.cfg.Media, map[endpoint.Connector]media.Connector{
		endpoint.ConnectNATS: c.nats, endpoint.ConnectHTTP: c.http, endpoint.ConnectDialIn: c.dialIn,
	}, g.log, media.Observer{Panicked: func(where string) { obs.panicked("media", where) }})
}

func attachMedia(lc fx.Lifecycle, app fx.Shutdowner, g *ground, calls *actors.Calls, m *media.Node, s *peer.Stack, c connectors, r *cluster.Rulings, w *cluster.Wire, obs observers) {
	gauge := func(name, help string, value func() int) {
		obs.metrics.Gauge(name, help, func() float64 { return float64(value()) })
	}
	gauge(telemetry.NameCallsLive, "Live calls of this node.", calls.Count)
	gauge(telemetry.NamePorts, "RTP port pairs in use.", func() int { return m.Stats().PortsUsed })
	gauge(telemetry.NameMailbox+"_call", "Messages waiting in call actors' mailboxes.", calls.Depth)
	lifecycle.Attach(lc, app, g.log, newRunning(g.slots.Run))
	lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) {
		door, err := cluster.OpenCallDoor(g.conn, g.slot, calls, g.operations(c), obs.door("call"))
		if err != nil {
			return nil, err
		}
		return func() {
			door.Close()
			calls.Stop()
			r.Close()
			w.Close()
			_ = m.Close() // never fails: it waits
			c.dialIn.Close()
			s.Wait()
			c.http.Close()
			c.workers.Close()
		}, nil
	}))
	me := placement.Node{Name: g.cfg.Node.Name, Slot: g.slot, Capacity: g.cfg.Media.MaxCalls}
	g.presence.Contest(me, calls)
	lifecycle.Attach(lc, app, g.log, cluster.NewBeats(g.conn, cluster.BeatConfig{Role: cluster.RoleMedia, Node: me.Name, Boot: g.boot, Greet: g.presence.Greetings(),
		Slot: me.Slot, Capacity: me.Capacity, Draining: calls.Draining, Live: calls.Live, Young: calls.Young, Again: calls.Again, Changed: calls.Changed()}))
}

// onLoopbackOnly reports that nobody outside this machine reaches the node's
// HTTP and NATS (design D10).
func (g *ground) onLoopbackOnly() bool {
	if !g.has("broker") {
		return false
	}
	listens := []string{g.cfg.HTTP.Listen, g.cfg.NATS.Listen, g.cfg.NATS.Cluster}
	if g.has("control") {
		listens = append(listens, g.cfg.HTTP.TLS)
	}
	for _, listen := range listens {
		at, err := netip.ParseAddrPort(listen)
		if listen != "" && (err != nil || !at.Addr().IsLoopback()) {
			return false
		}
	}
	return true
}
