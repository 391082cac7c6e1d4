package control

import (
	"context"
	"fmt"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A CallTransfer is the request of call.transfer: whom the carrier is to call
// in place of us, or we are to call for it.
type CallTransfer struct {
	ID       string        `json:"id"`
	To       string        `json:"to,omitempty"`       // sip: URI, or a number at the carrier
	Replaces string        `json:"replaces,omitempty"` // id of another live call, whose other side is the target; in place of to
	Mode     string        `json:"mode,omitempty"`     // auto, refer, bridge; "": auto
	Headers  []call.Header `json:"headers,omitempty"`  // of the REFER, or of our INVITE: X-* and User-to-User

	// Of a call of ours to the target.
	Trunk         string `json:"trunk,omitempty"`           // id; "": that of the endpoint's, or the account's, transfer policy
	From          string `json:"from,omitempty"`            // as of call.create; "": by the trunk's policy
	RingTimeoutMs int64  `json:"ring_timeout_ms,omitempty"` // longest wait for the target's answer; 0: 60 s
}

// A Transferring answers a transfer that was begun.
type Transferring struct {
	Transferring call.ID `json:"transferring"`
}

// TransferCall has the carrier of a live call asked to call somebody else, or
// calls them for it and joins the two. The reply says that the call was told; what comes of it are events, and transfer
// of the call's view and record.
func (o *Operations) TransferCall(ctx context.Context, tenant string, in CallTransfer) (Transferring, error) {
	id, err := callID(ID{in.ID})
	if err != nil {
		return Transferring{}, err
	}
	t, err := transferOf(in, id)
	if err == nil {
		err = o.callable(ctx, tenant, in)
	}
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
	t := call.Transfer{Mode: in.Mode, Headers: in.Headers, By: call.ByOperator, Trunk: in.Trunk, From: in.From, RingTimeoutMs: in.RingTimeoutMs}
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
		if err != nil || other == 0 || other == id {
			p.wrong("replaces", endpoint.CodeInvalid, "want the id of another call: 13 base32hex characters")
		}
		t.Other = other
	}
	switch in.Mode {
	case "", call.TransferAuto, call.TransferRefer, call.TransferBridge:
	default:
		p.wrong("mode", endpoint.CodeInvalid, "want auto, refer or bridge")
	}
	if in.Trunk+in.From != "" && (in.Mode == call.TransferRefer || in.Replaces != "") {
		p.wrong("trunk", endpoint.CodeInvalid, "trunk and from are of a call of ours to the target: want to, and mode auto or bridge")
	}
	p.within("ring_timeout_ms", in.RingTimeoutMs, minRingMs, maxRingMs)
	p.checkHeaders(in.Headers)
	if len(p.problems) > 0 {
		return t, invalidAll(p.problems)
	}
	return t, nil
}

// callable refuses a trunk that is none, and a caller that is not the account's.
func (o *Operations) callable(ctx context.Context, tenant string, in CallTransfer) (err error) {
	if in.Trunk+in.From == "" {
		return nil
	}
	p := placing{in: NewCall{To: in.To, From: in.From, Trunk: in.Trunk}, tenant: tenant}
	if in.Trunk == "" { // which that will be the media node knows
		if _, ok := endpoint.ParseTarget(in.From); !ok && !isNumber(in.From) {
			p.problems = append(p.problems, *wrongFrom(endpoint.CodeInvalid, "want sip:user@host, a number, or nothing"))
		}
	} else {
		if p.acct, err = o.account(ctx, tenant); err != nil {
			return err
		}
		for _, part := range []func(context.Context, *placing) error{o.findTrunk, o.findCallee, o.findCaller} {
			if err := part(ctx, &p); err != nil {
				return err
			}
		}
	}
	if len(p.problems) > 0 {
		return invalidAll(p.problems)
	}
	return nil
}

func isNumber(said string) bool {
	_, ok := dialable(said)
	return ok
}
