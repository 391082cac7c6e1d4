package control

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A NewCall is the request of call.create: whom to call, as whom, and who is
// to speak.
type NewCall struct {
	AgentID       string          `json:"agent_id"`
	To            string          `json:"to"`                        // sip: URI, or a number where there is a trunk
	From          string          `json:"from,omitempty"`            // sip: URI or number; "": the trunk's, else anonymous
	Trunk         string          `json:"trunk,omitempty"`           // id; "": the call goes to the host of To
	Username      string          `json:"username,omitempty"`        // for a callee that asks for digest credentials
	Password      string          `json:"password,omitempty"`        // is never stored in clear
	Headers       []call.Header   `json:"headers,omitempty"`         // of the INVITE: X-* and User-to-User
	Context       json.RawMessage `json:"context,omitempty"`         // for the agent
	Metadata      json.RawMessage `json:"metadata,omitempty"`        // for the agent
	Settings      json.RawMessage `json:"settings,omitempty"`        // for the agent: an object of further wishes
	Session       json.RawMessage `json:"session,omitempty"`         // in place of the agent's webrtc.session
	MaxDurationMs int64           `json:"max_duration_ms,omitempty"` // from the answer; 0: the agent's
	RingTimeoutMs int64           `json:"ring_timeout_ms,omitempty"` // from the INVITE to the answer; 0: 60 s
	EarlyMedia    bool            `json:"early_media,omitempty"`     // the agent hears what comes before the answer
	Throttle      string          `json:"throttle,omitempty"`        // id or name of one that the call counts under
}

// A Dialler places calls.
type Dialler interface {
	// Place gives a call to the media node that its transaction key names, if
	// each cap has room for one more. One that was placed before under the same
	// key is not placed again. Errors wrap [ErrUnavailable] or are an *[Error].
	Place(ctx context.Context, job actors.Job, caps []actors.Cap) (node string, err error)
	// Claim counts a call that a media node places itself, if each cap has room
	// for one more. Else the error is an *[Error].
	Claim(job actors.Job, node string, caps []actors.Cap) error
	// Remember keeps the id of a call under an idempotency key, or returns an
	// *endpoint.Repeat or endpoint.ErrReused.
	Remember(ctx context.Context, tenant string, once endpoint.Once) error
}

// CreateCall places a call: a media node rings the callee, and brings the
// agent in when somebody answers.
func (o *Operations) CreateCall(ctx context.Context, tenant string, in NewCall) (CallView, error) {
	before, err := o.repeated(ctx, tenant)
	if err != nil {
		return CallView{}, again(err)
	}
	if before.ID != "" {
		if v, err := o.placedBefore(ctx, tenant, before.ID); !errors.Is(err, endpoint.ErrNotFound) {
			return v, err
		} // it was remembered and never placed, or has no record yet: the media node knows
	}
	p := placing{in: in, tenant: tenant}
	if err := o.check(ctx, &p); err != nil {
		return CallView{}, err
	}
	if before.ID == "" {
		if err := o.throttled(ctx, tenant, in.Throttle); err != nil {
			return CallView{}, err
		}
	}
	id, err := o.claimed(ctx, tenant, before.ID)
	if err != nil {
		return CallView{}, err
	}
	job, err := o.jobOf(&p, id)
	if err != nil {
		return CallView{}, err
	}
	node, err := o.Dialler.Place(ctx, job, p.caps())
	if err != nil {
		return CallView{}, fmt.Errorf("place call %s: %w", id, err)
	}
	return CallView{ID: id, Tenant: tenant, Direction: actors.Outbound, Trunk: in.Trunk, Agent: in.AgentID, Node: node,
		State: string(call.StateCalling), From: party(p.from), To: party(p.to.URI()), Since: o.Now(), Metadata: call.Document(in.Metadata)}, nil
}

// claimed returns the id of the call: a new one, kept under the request's
// idempotency key, or the one that was kept.
func (o *Operations) claimed(ctx context.Context, tenant, before string) (call.ID, error) {
	if before != "" {
		return call.ParseID(before)
	}
	var b [8]byte
	_, _ = rand.Read(b[:])
	id := call.ID(binary.BigEndian.Uint64(b[:]))
	once := callOf(ctx, tenant).once
	if once.Key == "" {
		return id, nil
	}
	once.ID = id.String()
	again, err := repeatOf(o.Dialler.Remember(ctx, tenant, once))
	switch {
	case err != nil:
		return 0, fmt.Errorf("remember call %s: %w", id, err)
	case again.ID != "":
		return call.ParseID(again.ID)
	}
	return id, nil
}

// placedBefore returns a call that was placed under the same idempotency key,
// live or over.
func (o *Operations) placedBefore(ctx context.Context, tenant, kept string) (CallView, error) {
	id, err := call.ParseID(kept)
	if err != nil {
		return CallView{}, fmt.Errorf("read the id of a call: %w", err)
	}
	v, err := o.Calls.Get(ctx, tenant, id)
	if !errors.Is(err, endpoint.ErrNotFound) || o.Records == nil {
		return v, err
	}
	rec, err := o.Records.Get(ctx, tenant, id)
	return viewOfRecord(rec), err
}

func viewOfRecord(r call.Record) CallView {
	return CallView{ID: r.ID, Tenant: r.Tenant, Endpoint: endpoint.Key(r.Endpoint), Direction: directionOf(r.Direction), Trunk: r.Trunk, Agent: r.Agent,
		Worker: r.Worker, Node: r.Node, State: string(call.StateEnded), From: r.From, To: r.To, Source: r.Source, Codec: r.Codec,
		Since: r.Stages.Invited, Answered: r.Stages.Answered, Quality: r.Quality, CallID: r.SIPCallID, Metadata: r.Metadata, Transfer: r.Transfer, Moved: r.Moved}
}

func directionOf(said string) string {
	if said == "" {
		return actors.Inbound
	}
	return said
}
