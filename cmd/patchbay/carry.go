package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"

	"go.uber.org/fx"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/internal/lifecycle"
	"patchbay/internal/telemetry"
	"patchbay/media"
	"patchbay/media/connect"
	"patchbay/media/peer"
	"patchbay/sip/dialog"
	"patchbay/sip/txn"
)

// mediaModule carries calls.
var mediaModule = fx.Module("media",
	fx.Provide(newStack, newWorkers, newDialIn, newMediaNode, newDialogs, newWire, newCalls),
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
