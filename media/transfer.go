package media

import (
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// transfer asks the call to have its carrier call somebody else, or to have
// them called for it. What comes of it is told by events.
func (b *bridge) transfer(c Command, number int) error {
	t, err := transferOf(c, b.req.ID)
	if err != nil {
		return err
	}
	b.post(call.Event{Kind: call.TransferAsked, Dispatch: number, Transfer: t})
	return nil
}

// transferOf reads what the agent of a call asks for.
func transferOf(c Command, own call.ID) (*call.Transfer, error) {
	t := &call.Transfer{Mode: c.Mode, Headers: c.Headers, By: call.ByAgent}
	var ok bool
	switch {
	case c.Replaces == "":
		if t.To, ok = endpoint.ParseTransfer(c.To); !ok {
			return nil, ErrBadTarget
		}
	default:
		other, err := call.ParseID(c.Replaces)
		if err != nil || c.To != "" || other == own || other == 0 {
			return nil, ErrBadReplaces
		}
		t.Other = other
	}
	switch c.Mode {
	case "", call.TransferAuto, call.TransferRefer, call.TransferBridge:
	default:
		return nil, ErrBadMode
	}
	if !GoodHeaders(c.Headers) {
		return nil, ErrBadHeaders
	}
	return t, nil
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
