//go:build signalling

// Built with the tag signalling, a node answers each offer at once and carries
// no media, so that `make bench` can say what signalling alone costs. It says so
// at start, and no other target builds it.

package main

import (
	"encoding/json"
	"log/slog"
	"net/netip"

	"patchbay/actors"
	"patchbay/actors/call"
)

func newSwitchboard(log *slog.Logger) actors.Switchboard {
	log.Warn("this is a build for measuring: calls are answered and carry no media")
	return silent{}
}

// silent answers offers with their first codec and an address where nobody is.
type silent struct{}

func (silent) Open(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	post(call.Event{Kind: call.AgentChosen, Agent: "none", Dispatch: req.Asked.Number})
	post(call.Event{Kind: call.AgentJoined, Dispatch: req.Asked.Number, Answer: &call.Answer{
		Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9), Codec: req.Invitation.Offer.Codecs[0], Ptime: 20, Direction: call.SendRecv}})
	return nothing{}
}

func (silent) Farewell(actors.Farewell) {}

// nothing is the bridge of such a call.
type nothing struct{}

func (nothing) Notify(string, call.Event) {}
func (nothing) Ask(actors.Asked)          {}
func (nothing) Answered()                 {}
func (nothing) Snapshot() json.RawMessage { return nil }
func (nothing) Quality() call.Quality     { return call.Quality{} }
func (nothing) Close(call.Cause)          {}
