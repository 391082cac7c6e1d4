package main

import (
	"context"
	"encoding/json"

	"patchbay/actors/call"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/control"
	"patchbay/media/connect"
)

// Operations of media nodes for agents that dial in, beside those the call
// door serves itself.
const (
	opWaiting = "waiting"
	opDialIn  = "dial-in"
)

// Codes of a refused dial-in.
const (
	codeNoCodec = "no_common_codec"
	codeOffer   = "bad_offer"
)

type waitingAsk struct {
	Agent string `json:"agent_id"`
}

type dialInAsk struct {
	Token string `json:"token"`
	SDP   string `json:"sdp"`
}

type dialInReply struct {
	SDP string `json:"sdp"`
}

// dialIn is control's way to the calls that wait for agents.
type dialIn struct{ *cluster.Commander }

// Waiting implements control.DialIn.
func (d dialIn) Waiting(ctx context.Context, tenant, agent string) ([]control.WaitingCall, error) {
	body, err := json.Marshal(waitingAsk{agent})
	if err != nil {
		return nil, err
	}
	replies, err := d.Each(ctx, tenant, opWaiting, body)
	var all []control.WaitingCall
	for _, r := range replies {
		var some []control.WaitingCall
		if json.Unmarshal(r, &some) == nil {
			all = append(all, some...)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, err
}

// Answer implements control.DialIn.
func (d dialIn) Answer(ctx context.Context, id call.ID, token, offer string) (string, error) {
	body, err := json.Marshal(dialInAsk{token, offer})
	if err != nil {
		return "", err
	}
	reply, err := d.Do(ctx, "", id, opDialIn, body)
	if err != nil {
		return "", offerRefused(err)
	}
	var answer dialInReply
	return answer.SDP, json.Unmarshal(reply, &answer)
}

// dialInOperations serve them on the media node.
func dialInOperations(d *connect.DialIn) map[string]cluster.Operation {
	return map[string]cluster.Operation{
		opWaiting: asking(opWaiting, func(_ context.Context, tenant string, ask waitingAsk) envelope.Result {
			return result(waitingViews(d.Waiting(tenant, ask.Agent)))
		}),
		opDialIn: func(ctx context.Context, cmd envelope.Command) envelope.Result {
			var ask dialInAsk
			if err := json.Unmarshal(cmd.Body, &ask); err != nil {
				return envelope.Result{Code: envelope.CodeBad, Message: "dial-in: not the JSON that was expected"}
			}
			answer, err := d.Answer(ctx, cmd.Call, ask.Token, ask.SDP)
			if err != nil {
				return refusedOffer(err)
			}
			return result(dialInReply{answer})
		},
	}
}

func waitingViews(calls []connect.WaitingCall) []control.WaitingCall {
	views := make([]control.WaitingCall, len(calls))
	for i, c := range calls {
		views[i] = control.WaitingCall{CallID: c.CallID, Token: c.Token, From: c.From, To: c.To, Since: c.Since}
	}
	return views
}

func result(v any) envelope.Result {
	body, err := json.Marshal(v)
	if err != nil {
		return envelope.Result{Code: envelope.CodeInternal, Message: "internal error"}
	}
	return envelope.Result{Body: body}
}
