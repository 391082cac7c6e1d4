package media

import (
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// transfer asks the call to have its carrier call somebody else. What comes of
// it is told by events.
func (b *bridge) transfer(c Command, number int) error {
	to, ok := endpoint.ParseTransfer(c.To)
	switch {
	case !ok:
		return ErrBadTarget
	case c.Mode == call.TransferBridge:
		return ErrNoBridge
	case c.Mode != "" && c.Mode != call.TransferAuto && c.Mode != call.TransferRefer:
		return ErrBadMode
	case !GoodHeaders(c.Headers):
		return ErrBadHeaders
	}
	b.post(call.Event{Kind: call.TransferAsked, Dispatch: number,
		Transfer: &call.Transfer{To: to, Mode: c.Mode, Headers: c.Headers, By: call.ByAgent}})
	return nil
}

// A Greeter is an AgentLeg whose agent gives the 200 that the carrier gets
// further header fields.
type Greeter interface{ Headers() []call.Header }

func greetingOf(leg AgentLeg) []call.Header {
	if g, ok := leg.(Greeter); ok {
		return g.Headers()
	}
	return nil
}

// GoodHeaders holds an agent's header fields to the rules for those of calls
// that we place.
func GoodHeaders(all []call.Header) bool {
	if len(all) > endpoint.MaxOutgoingHeaders {
		return false
	}
	for _, h := range all {
		if endpoint.CheckHeader(h.Name, h.Value) != "" {
			return false
		}
	}
	return true
}

// A transferNews is what an agent is told about a transfer.
type transferNews struct {
	To     string  `json:"to,omitempty"`
	ToCall call.ID `json:"to_call,omitempty"`
	Status int     `json:"status,omitempty"`
	Reason string  `json:"reason,omitempty"`
}

func newsOf(m *call.Transferred) *transferNews {
	if m == nil {
		return nil
	}
	return &transferNews{To: m.To, ToCall: m.Call, Status: m.Status, Reason: m.Reason}
}
