package media

import (
	"encoding/json"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// maxWaiting is how many notifications are kept for an agent that has not
// joined yet; later ones are dropped.
const maxWaiting = 8

// A message is one JSON object that tells an agent about its call.
type message struct {
	V      int     `json:"v"`
	Type   string  `json:"type"`
	CallID call.ID `json:"call_id"`
	Epoch  uint64  `json:"epoch,omitempty"`
	Resume bool    `json:"resume,omitempty"` // the agent took over an answered call
	// Direction is "outbound" where we called To.
	Direction string        `json:"direction,omitempty"`
	From      *call.Party   `json:"from,omitempty"`
	To        *call.Party   `json:"to,omitempty"`
	Headers   []call.Header `json:"headers,omitempty"`
	*untold
	Digit      string `json:"digit,omitempty"`
	DurationMs int64  `json:"duration_ms,omitempty"`
	Digits     string `json:"digits,omitempty"` // of call.dtmf_failed, as Status and Reason
	Status     int    `json:"status,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Cause      string `json:"cause,omitempty"`
	Q850       int    `json:"q850,omitempty"`
	// Transfer is of the events about one.
	Transfer *transferNews `json:"transfer,omitempty"`
}

// An untold is what the agents of connector dialin and of dialect fastrtc did
// not hear with an offer. Names are those of the offers of other agents.
type untold struct {
	Metadata map[string]string `json:"metadata,omitempty"`
	Session  json.RawMessage   `json:"session,omitempty"`
	Context  json.RawMessage   `json:"context,omitempty"`
	Given    json.RawMessage   `json:"call_metadata,omitempty"`
	Settings json.RawMessage   `json:"call_settings,omitempty"`
}

// maxTold is the longest message to an agent, bytes. Beyond it call.started
// leaves out what was untold.
const maxTold = 16 << 10

// untoldOf is nil where the offer said it all, or nothing is left to say.
func untoldOf(asked actors.Asked) *untold {
	t := asked.Agent.WebRTC
	if t.Connector != endpoint.ConnectDialIn && t.Dialect != endpoint.DialectFastRTC {
		return nil
	}
	u := &untold{Session: t.Session, Context: asked.Context, Given: asked.Metadata, Settings: asked.Settings}
	if !t.NoMetadata {
		u.Metadata = asked.Agent.Metadata
	}
	return u
}

// notification renders an event for the agent; nil where the agent does not
// want it.
func notification(req actors.BridgeRequest, asked actors.Asked, name string, ev call.Event) []byte {
	if untellable(req, name) {
		return nil
	}
	m := message{V: 1, Type: name, CallID: req.ID}
	if asked.Epoch > 1 {
		m.Epoch, m.Resume = asked.Epoch, true
	}
	switch name {
	case call.EventAgentJoined:
		m.Type = call.EventAnswered // as an agent of a new call is told
	case call.EventStarted:
		m.started(req, asked)
	case call.EventDigit:
		if !hears(asked.Agent.DTMF).DataChannel {
			return nil
		}
		m.Digit, m.DurationMs = ev.Digit, ev.Held.Milliseconds()
	case call.EventDigitsFailed:
		m.Digits, m.Status, m.Reason = ev.Keys, ev.Status, ev.Reason
	case call.EventTransferring, call.EventTransferred, call.EventTransferFailed, call.EventReferred, call.EventReferFailed:
		m.Transfer = newsOf(ev.Moved)
	case call.EventMoved:
		m.mover(asked, ev.Mover)
	case call.EventEnded:
		m.Cause, m.Q850 = ev.Cause.Word, ev.Cause.Q850
	}
	return m.text()
}

// started says what is known of the call.
func (m *message) started(req actors.BridgeRequest, asked actors.Asked) {
	if req.Outbound {
		m.Direction = call.Outbound
	}
	if !asked.Agent.WebRTC.NoMetadata {
		from, to := req.Invitation.From, req.Invitation.To
		from.Trusted = asked.Agent.TrustCallerID
		m.From, m.To, m.Headers = &from, &to, req.Invitation.Headers
	}
	m.untold = untoldOf(asked)
}

// untellable reports events that are no news to an agent: it made it ring, of
// other agents it is not told, and ringing of ours is not it that the carrier
// hears.
func untellable(req actors.BridgeRequest, name string) bool {
	switch name {
	case call.EventRinging, call.EventAgentFailed, call.EventAgentLeft, call.EventJoined:
		return true
	}
	return name == call.EventEarly && req.Ringback != ""
}

// mover says whom the agent speaks to from here on.
func (m *message) mover(asked actors.Asked, v *call.Moved) {
	if v == nil || asked.Agent.WebRTC.NoMetadata {
		return
	}
	from := v.To
	from.Trusted = asked.Agent.TrustCallerID
	m.From, m.Headers = &from, v.Headers
}

// text is the message as it is sent, without what was untold where that is too
// much, or no JSON.
func (m message) text() []byte {
	b, err := json.Marshal(m)
	if m.untold != nil && (err != nil || len(b) > maxTold) {
		m.untold = nil
		b, err = json.Marshal(m)
	}
	if err != nil { // strings and numbers only: it cannot be
		return nil
	}
	return b
}
