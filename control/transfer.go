package control

import (
	"context"
	"fmt"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A CallTransfer is the request of call.transfer: whom the carrier is to call
// in place of us.
type CallTransfer struct {
	ID       string        `json:"id"`
	To       string        `json:"to,omitempty"`       // sip: URI, or a number at the carrier
	Replaces string        `json:"replaces,omitempty"` // id of another live call, whose other side is the target; in place of to
	Mode     string        `json:"mode,omitempty"`     // auto, refer; "": auto
	Headers  []call.Header `json:"headers,omitempty"`  // of the REFER: X-* and User-to-User
}

// A Transferring answers a transfer that was begun.
type Transferring struct {
	Transferring call.ID `json:"transferring"`
}

// TransferCall has the carrier of a live call asked to call somebody else. The
// reply says that the call was told; what comes of it are events, and transfer
// of the call's view and record.
func (o *Operations) TransferCall(ctx context.Context, tenant string, in CallTransfer) (Transferring, error) {
	id, err := callID(ID{in.ID})
	if err != nil {
		return Transferring{}, err
	}
	t, err := transferOf(in, id)
	if err != nil {
		return Transferring{}, err
	}
	v, err := o.Calls.Get(ctx, tenant, id)
	if err != nil {
		return Transferring{}, fmt.Errorf("get call %s: %w", id, err)
	}
	if err := transferable(v); err != nil {
		return Transferring{}, err
	}
	if t.Other != 0 {
		other, err := o.Calls.Get(ctx, tenant, t.Other)
		if err != nil {
			return Transferring{}, fmt.Errorf("get call %s: %w", t.Other, err)
		}
		if !established(other) {
			return Transferring{}, &Error{Code: CodeConflict, Message: "the call that is to be replaced is not established"}
		}
	}
	if err := o.Calls.Transfer(ctx, tenant, id, t); err != nil {
		return Transferring{}, fmt.Errorf("transfer call %s: %w", id, err)
	}
	return Transferring{id}, nil
}

// transferable refuses a call that has nobody to ask yet, or is being
// transferred already.
func transferable(v CallView) error {
	switch {
	case v.Transfer != nil && v.Transfer.State == call.TransferPending:
		return &Error{Code: CodeConflict, Message: "another transfer of the call is under way"}
	case !established(v):
		return &Error{Code: CodeConflict, Message: "the call is not established"}
	}
	return nil
}

func established(v CallView) bool {
	return v.State == string(call.StateEstablished) || v.State == string(call.StateHeld)
}

// transferOf reads the request, and finds all that is wrong with it.
func transferOf(in CallTransfer, id call.ID) (call.Transfer, error) {
	t := call.Transfer{Mode: in.Mode, Headers: in.Headers, By: call.ByOperator}
	var p placing
	switch {
	case (in.To == "") == (in.Replaces == ""):
		p.wrong("to", endpoint.CodeRequired, "want to or replaces, not both")
	case in.To != "":
		var ok bool
		if t.To, ok = endpoint.ParseTransfer(in.To); !ok {
			p.wrong("to", endpoint.CodeInvalid, "want sip:user@host[:port][;transport=udp|tcp|tls], or a number")
		}
	default:
		other, err := call.ParseID(in.Replaces)
		if err != nil || other == id {
			p.wrong("replaces", endpoint.CodeInvalid, "want the id of another call: 13 base32hex characters")
		}
		t.Other = other
	}
	switch in.Mode {
	case "", call.TransferAuto, call.TransferRefer:
	case call.TransferBridge:
		p.wrong("mode", "not_served", "transfer by bridge is not served yet")
	default:
		p.wrong("mode", endpoint.CodeInvalid, "want auto or refer")
	}
	p.checkHeaders(in.Headers)
	if len(p.problems) > 0 {
		return t, invalidAll(p.problems)
	}
	return t, nil
}
