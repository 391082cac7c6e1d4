package connect

import (
	"encoding/json"
	"errors"
	"fmt"

	"patchbay/actors/call"
	"patchbay/media"
)

// MaxAnswer is the largest answer of an agent, bytes.
const MaxAnswer = 64 << 10

// maxName is the longest worker or session id that is kept.
const maxName = 128

// An Invitation is what an agent learns of its call. From, To and Headers are
// what the caller claims.
type Invitation struct {
	V         int               `json:"v"`
	CallID    call.ID           `json:"call_id"`
	Epoch     uint64            `json:"epoch"`            // counts the agents that an answered call has had; 1 at first
	Resume    bool              `json:"resume,omitempty"` // the agent takes over an answered call
	Trusted   bool              `json:"trusted"`
	Direction string            `json:"direction,omitempty"` // outbound: we called To; absent: From called
	From      *call.Party       `json:"from,omitempty"`
	To        *call.Party       `json:"to,omitempty"`
	Headers   []call.Header     `json:"headers,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`      // of the agent, as its owner set it
	Session   json.RawMessage   `json:"session,omitempty"`       // of the agent, as its owner set it
	Context   json.RawMessage   `json:"context,omitempty"`       // of the call: from its headers and the owner's webhook
	Given     json.RawMessage   `json:"call_metadata,omitempty"` // of the call, as the owner's webhook set it
	Settings  json.RawMessage   `json:"call_settings,omitempty"` // of the call: what else the owner's webhook wants of the agent
}

// firstEpoch is a call's before any agent has taken it over.
const firstEpoch = 1

func invitation(req media.JoinRequest) Invitation {
	inv := Invitation{V: 1, CallID: req.ID, Epoch: max(req.Epoch, firstEpoch), Session: req.Agent.WebRTC.Session,
		Context: req.Context, Given: req.Metadata, Settings: req.Settings}
	inv.Resume = inv.Epoch > firstEpoch
	if req.Outbound {
		inv.Direction = call.Outbound
	}
	if req.Agent.WebRTC.NoMetadata {
		return inv
	}
	inv.Trusted = req.Agent.TrustCallerID
	from, to := req.Invitation.From, req.Invitation.To
	from.Trusted = inv.Trusted
	inv.From, inv.To = &from, &to
	inv.Headers, inv.Metadata = req.Invitation.Headers, req.Agent.Metadata
	return inv
}

// An Offer is the request of connector nats.
type Offer struct {
	Invitation
	Type string `json:"type"` // offer
	SDP  string `json:"sdp"`
}

// A Question is the request of connector http, dialect json.
type Question struct {
	SDP  string     `json:"sdp"`
	Type string     `json:"type"` // offer
	Call Invitation `json:"call"`
}

// An Answer is the reply of both. Error is set instead of SDP where the agent
// does not take the call: 503 says that another worker may.
type Answer struct {
	SDP       string `json:"sdp,omitempty"`
	Type      string `json:"type,omitempty"` // answer
	SessionID string `json:"session_id,omitempty"`
	WorkerID  string `json:"worker_id,omitempty"`
	// Headers are further ones of the 200 that the carrier gets: X-* and
	// User-to-User.
	Headers []call.Header `json:"sip_headers,omitempty"`
	Error   *AnswerError  `json:"error,omitempty"`
}

// An AnswerError says why a worker does not take a call.
type AnswerError struct {
	Code    int    `json:"code"` // as in HTTP; 503: busy
	Message string `json:"message,omitempty"`
}

// A greeting is what an agent's answer gives the carrier beside its codec.
type greeting struct{ headers []call.Header }

// Headers are those of the 200 (media.Greeter).
func (g *greeting) Headers() []call.Header { return g.headers }

// codeBusy says a worker is full.
const codeBusy = 503

// errBusy says that one agent had no room; another may.
var errBusy = errors.New("busy")

var errTooLarge = fmt.Errorf("%w: its answer is larger than 64 KiB", media.ErrAgentRefused)

// readAnswer reads a reply. It returns errBusy, or an error that wraps
// [media.ErrAgentRefused].
func readAnswer(b []byte) (Answer, error) {
	var a Answer
	if len(b) > MaxAnswer {
		return a, errTooLarge
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("%w: its answer is no JSON object", media.ErrAgentRefused)
	}
	switch {
	case a.Error != nil && a.Error.Code == codeBusy:
		return a, errBusy
	case a.Error != nil:
		return a, fmt.Errorf("%w: error %d", media.ErrAgentRefused, a.Error.Code)
	case a.SDP == "" || a.Type != "answer":
		return a, fmt.Errorf(`%w: its answer lacks "sdp" or "type":"answer"`, media.ErrAgentRefused)
	}
	if !media.GoodHeaders(a.Headers) {
		return a, fmt.Errorf("%w: %w", media.ErrAgentRefused, media.ErrBadHeaders)
	}
	a.WorkerID, a.SessionID = a.WorkerID[:min(len(a.WorkerID), maxName)], a.SessionID[:min(len(a.SessionID), maxName)]
	return a, nil
}
