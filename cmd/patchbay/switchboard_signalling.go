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
	joined := call.Event{Kind: call.AgentJoined, Dispatch: req.Asked.Number, Answer: &call.Answer{Addr: nowhere, Ptime: 20, Direction: call.SendRecv}}
	if o := req.Invitation.Offer; o != nil {
		joined.Answer.Codec = o.Codecs[0]
	} else {
		codecs, _ := call.Formats([]string{"PCMU"})
		joined.Answer.Codec = codecs[0]
		joined.Offer = joined.Answer.Describe()
	}
	post(joined)
	return nothing{post: post}
}

// nowhere is an address where nobody is.
var nowhere = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9)

// Reserve offers a carrier PCMU at an address where nobody is.
func (silent) Reserve(_ actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	codecs, dtmf := call.Formats([]string{"PCMU"})
	post(call.Event{Kind: call.CarrierReady, Offer: &call.Offer{Addr: nowhere, RTCP: nowhere, Codecs: codecs, DTMF: dtmf,
		Ptime: call.OfferedPtime, Direction: call.SendRecv}})
	return nothing{post: post}
}

func (silent) Farewell(actors.Farewell) {}

// nothing is the bridge of such a call.
type nothing struct{ post func(call.Event) }

func (nothing) Notify(string, call.Event) {}
func (nothing) Join(call.Answer)          {}
func (nothing) Update(call.Agreement)     {}
func (nothing) Press(string)              {}
func (nothing) Answered()                 {}
func (nothing) Snapshot() json.RawMessage { return nil }
func (nothing) Early()                    {}
func (nothing) Quality() call.Quality     { return call.Quality{} }
func (nothing) Close(call.Cause)          {}

// Ask says that the agent is there.
func (n nothing) Ask(next actors.Asked) {
	n.post(call.Event{Kind: call.AgentJoined, Dispatch: next.Number, Answer: &call.Answer{Addr: nowhere, Direction: call.SendRecv}})
}
