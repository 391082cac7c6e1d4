package main

import (
	"context"
	"encoding/json"
	"errors"

	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/envelope"
	"patchbay/control"
	"patchbay/media"
	"patchbay/media/connect"
)

// Operations of media nodes about agents rather than calls.
const (
	opPark    = "park"
	opUnpark  = "unpark"
	opWorkers = "workers"
)

type parkAsk struct {
	Agent  string   `json:"agent_id"`
	Codecs []string `json:"codecs,omitempty"`
	Silent bool     `json:"silent,omitempty"`
	SDP    string   `json:"sdp"`
}

type parkReply struct {
	ID  string `json:"id"`
	SDP string `json:"sdp"`
}

type unparkAsk struct {
	Agent string `json:"agent_id"`
	ID    string `json:"id"`
}

// Park implements control.DialIn. Sessions are spread over the media nodes:
// each serves calls of its own node.
func (d dialIn) Park(ctx context.Context, a endpoint.Agent, offer string) (id, answer string, err error) {
	body, err := json.Marshal(parkAsk{Agent: a.ID, Codecs: a.WebRTC.Codecs, Silent: a.WebRTC.DataChannel == "off", SDP: offer})
	if err != nil {
		return "", "", err
	}
	raw, err := d.Any(ctx, a.Tenant, opPark, body)
	if err != nil {
		return "", "", offerRefused(err)
	}
	var reply parkReply
	err = json.Unmarshal(raw, &reply)
	return reply.ID, reply.SDP, err
}

// Leave implements control.DialIn: only the node that has the session knows it.
func (d dialIn) Leave(ctx context.Context, tenant, agent, id string) error {
	body, err := json.Marshal(unparkAsk{agent, id})
	if err != nil {
		return err
	}
	replies, err := d.Each(ctx, tenant, opUnpark, body)
	if len(replies) > 0 {
		return nil
	}
	if err != nil && !errors.Is(err, endpoint.ErrNotFound) {
		return err
	}
	return endpoint.ErrNotFound
}

// offerRefused tells an agent what is wrong with its offer.
func offerRefused(err error) error {
	var refused *cluster.CommandError
	if errors.As(err, &refused) && (refused.Code == codeNoCodec || refused.Code == codeOffer) {
		return &control.Error{Code: control.CodeInvalid, Message: refused.Message,
			Problems: []endpoint.Problem{{Field: "body", Code: refused.Code, Message: refused.Message}}}
	}
	return err
}

// refusedOffer is the same on the media node's side.
func refusedOffer(err error) envelope.Result {
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		return envelope.Result{Code: envelope.CodeNotMine, Message: "nothing waits under this id"}
	case errors.Is(err, media.ErrAgentBusy):
		return envelope.Result{Code: envelope.CodeBusy, Message: "no more sessions can stand by"}
	case errors.Is(err, media.ErrNoCodec):
		return envelope.Result{Code: codeNoCodec, Message: "the offer has no codec of the call"}
	}
	return envelope.Result{Code: codeOffer, Message: "the offer cannot be used"}
}

// agentOperations serve them on the media node.
func agentOperations(c connectors) map[string]cluster.Operation {
	return map[string]cluster.Operation{
		opPark: asking(opPark, func(ctx context.Context, tenant string, ask parkAsk) envelope.Result {
			id, answer, err := c.dialIn.Park(ctx, connect.Parking{Tenant: tenant, Agent: ask.Agent, Codecs: ask.Codecs, Silent: ask.Silent}, ask.SDP)
			if err != nil {
				return refusedOffer(err)
			}
			return result(parkReply{id, answer})
		}),
		opUnpark: asking(opUnpark, func(_ context.Context, tenant string, ask unparkAsk) envelope.Result {
			if err := c.dialIn.Unpark(tenant, ask.Agent, ask.ID); err != nil {
				return refusedOffer(err)
			}
			return result(struct{}{})
		}),
		opWorkers: asking(opWorkers, func(_ context.Context, tenant string, ask waitingAsk) envelope.Result {
			return result(presence{Workers: c.health.Workers(ask.Agent), Standby: c.dialIn.Standby(tenant, ask.Agent)})
		}),
	}
}

// asking reads a command's body for do.
func asking[T any](op string, do func(ctx context.Context, tenant string, ask T) envelope.Result) cluster.Operation {
	return func(ctx context.Context, cmd envelope.Command) envelope.Result {
		var ask T
		if err := json.Unmarshal(cmd.Body, &ask); err != nil {
			return envelope.Result{Code: envelope.CodeBad, Message: op + ": not the JSON that was expected"}
		}
		return do(ctx, cmd.Tenant, ask)
	}
}

// A presence is what one media node knows of who is there for an agent.
type presence struct {
	Workers []connect.WorkerState `json:"workers"`
	Standby int                   `json:"standby"`
}

// workforces is control's way to what media nodes know of an agent's workers.
type workforces struct{ *cluster.Commander }

// Workers implements control.Workers. Every node hears every heartbeat; of a
// worker the latest counts. Sessions that stand by are each node's own.
func (w workforces) Workers(ctx context.Context, tenant, agent string) (control.Workforce, error) {
	body, err := json.Marshal(waitingAsk{agent})
	if err != nil {
		return control.Workforce{}, err
	}
	replies, err := w.Each(ctx, tenant, opWorkers, body)
	var all control.Workforce
	for _, raw := range replies {
		var p presence
		if json.Unmarshal(raw, &p) != nil {
			continue
		}
		all.Standby += p.Standby
		for _, worker := range p.Workers {
			all.Add(control.WorkerView{ID: worker.WorkerID, State: worker.State, Load: worker.Load, Calls: worker.Calls, Max: worker.Max, Seen: worker.Seen})
		}
	}
	if len(replies) > 0 {
		err = nil // one node's word is enough: each hears all workers
	}
	return all, err
}
