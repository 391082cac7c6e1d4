package main

import (
	"crypto/rand"
	"encoding/binary"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/internal/lifecycle"
	"patchbay/internal/telemetry"
	"patchbay/media"
	"patchbay/media/peer"
	"patchbay/sip/dialog"
	"patchbay/sip/txn"
)

// mediaModule carries calls.
var mediaModule = fx.Module("media",
	fx.Provide(newStack, newMediaNode, newDialogs, newWire, newCalls),
	fx.Invoke(attachMedia),
)

func newDialogs(g *ground) (*dialog.Factory, error) {
	s := g.cfg.SIP
	return dialog.NewFactory(dialog.Options{Keys: g.tokens, Slot: g.slot, Timers: txn.Timers{T1: s.T1, T2: s.T2, T4: s.T4},
		Advertise: s.Advertise, BaseDomain: s.BaseDomain})
}

func newWire(g *ground, obs observers) *cluster.Wire {
	return cluster.NewWire(g.conn, g.presence.Gone, obs.wire())
}

func newCalls(g *ground, d *dialog.Factory, w actors.Wire, m *media.Node, l actors.Ledger, obs observers) *actors.Calls {
	c := g.cfg.Media
	return actors.NewCalls(g.cfg.Node.Name,
		actors.CallLimits{Loops: c.Loops, Mailbox: c.Mailbox, MaxCalls: c.MaxCalls, AgentTimeout: c.AgentTimeout,
			MaxDuration: c.MaxDuration, T1: g.cfg.SIP.T1},
		actors.CallPorts{Dialogs: d, Wire: w, Switchboard: m, Ledger: l}, randomID, obs.calls())
}

func randomID() call.ID {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return call.ID(binary.BigEndian.Uint64(b[:]))
}

func newStack(g *ground, obs observers) (*peer.Stack, error) {
	return peer.NewStack(g.cfg.Media, peer.Hooks{Panic: func(where string) { obs.panicked("peer", where) }})
}

func newMediaNode(g *ground, s *peer.Stack, obs observers) (*media.Node, error) {
	return media.NewNode(g.cfg.Media, map[endpoint.Connector]media.Connector{endpoint.ConnectNATS: scratchConnector{s, g.conn.Control()}}, g.log, media.Observer{})
}

func attachMedia(lc fx.Lifecycle, app fx.Shutdowner, g *ground, c *actors.Calls, m *media.Node, s *peer.Stack, obs observers) {
	obs.metrics.Gauge(telemetry.NameCallsLive, "Live calls of this node.", func() float64 { return float64(c.Count()) })
	obs.metrics.Gauge(telemetry.NamePorts, "RTP port pairs in use.", func() float64 { return float64(m.Stats().PortsUsed) })
	obs.metrics.Gauge(telemetry.NameMailbox+"_call", "Messages waiting in call actors' mailboxes.", func() float64 { return float64(c.Depth()) })
	lifecycle.Attach(lc, app, g.log, newRunning(g.slots.Run))
	lifecycle.Attach(lc, app, g.log, newOpening(func() (func(), error) {
		door, err := cluster.OpenCallDoor(g.conn, g.slot, c, nil, obs.door("call"))
		if err != nil {
			return nil, err
		}
		return func() { door.Close(); c.Stop(); _ = m.Close(); s.Wait() }, nil
	}))
	lifecycle.Attach(lc, app, g.log, cluster.NewBeats(g.conn, cluster.BeatConfig{Role: cluster.RoleMedia, Node: g.cfg.Node.Name, Boot: g.boot,
		Slot: g.slot, Capacity: g.cfg.Media.MaxCalls, Live: c.Live, Changed: c.Changed()}))
}
