package ultravox

import (
	"encoding/json"
	"time"

	"patchbay/actors/call"
)

// What the documents give a call that says nothing else.
const (
	DefaultJoin     = 30 * time.Second
	DefaultDuration = time.Hour
	defaultModel    = "ultravox-v0.7"
)

// Facts are what there is to tell of one call.
type Facts struct {
	ID          call.ID
	Created     time.Time // the INVITE came, or the call was asked for
	Joined      time.Time // answered; zero: not (yet)
	Ended       time.Time // zero: it is live
	AgentID     string
	AgentName   string
	Outgoing    *Outgoing     // nil: an incoming call
	Status      int           // final response to the INVITE, of a call that is over
	Cause       call.Cause    // of a call that is over
	JoinTimeout time.Duration // 0: DefaultJoin
	MaxDuration time.Duration // 0: DefaultDuration
	Metadata    map[string]string
	Billed      bool // whether the amounts of a call that is over are told yet
	// Settings are fields of the request that made the call, shown as they came
	// over what the call would show without them.
	Settings map[string]json.RawMessage
}

// An Outgoing says whom a call of ours is for. It has no password.
type Outgoing struct {
	To       string `json:"to"`
	From     string `json:"from,omitempty"`
	Username string `json:"username,omitempty"`
}

// A Call is the call object of the API. Every key of it is always there.
type Call struct {
	CallID                string            `json:"callId"`
	ClientVersion         *string           `json:"clientVersion"`
	Created               string            `json:"created"`
	Joined                *string           `json:"joined"`
	Ended                 *string           `json:"ended"`
	EndReason             *string           `json:"endReason"`
	BilledDuration        *string           `json:"billedDuration"`
	BilledSideInputTokens *int              `json:"billedSideInputTokens"`
	BilledSideOutput      *int              `json:"billedSideOutputTokens"`
	BillingStatus         string            `json:"billingStatus"`
	FirstSpeaker          json.RawMessage   `json:"firstSpeaker"`
	FirstSpeakerSettings  json.RawMessage   `json:"firstSpeakerSettings"`
	InactivityMessages    json.RawMessage   `json:"inactivityMessages"`
	InitialOutputMedium   json.RawMessage   `json:"initialOutputMedium"`
	JoinTimeout           string            `json:"joinTimeout"`
	JoinURL               *string           `json:"joinUrl"`
	LanguageHint          json.RawMessage   `json:"languageHint"`
	MaxDuration           string            `json:"maxDuration"`
	Medium                medium            `json:"medium"`
	Model                 json.RawMessage   `json:"model"`
	RecordingEnabled      json.RawMessage   `json:"recordingEnabled"`
	RetentionPolicy       *string           `json:"retentionPolicy"`
	SystemPrompt          json.RawMessage   `json:"systemPrompt"`
	Temperature           json.RawMessage   `json:"temperature"`
	TimeExceededMessage   json.RawMessage   `json:"timeExceededMessage"`
	Voice                 json.RawMessage   `json:"voice"`
	TranscriptOptional    json.RawMessage   `json:"transcriptOptional"`
	VADSettings           json.RawMessage   `json:"vadSettings"`
	ShortSummary          *string           `json:"shortSummary"`
	Summary               *string           `json:"summary"`
	Agent                 *agent            `json:"agent"`
	AgentID               *string           `json:"agentId"`
	ExperimentalSettings  json.RawMessage   `json:"experimentalSettings"`
	Metadata              map[string]string `json:"metadata"`
	InitialState          json.RawMessage   `json:"initialState"`
	RequestContext        json.RawMessage   `json:"requestContext"`
	SIPDetails            *sipDetails       `json:"sipDetails"`
}

type agent struct {
	AgentID string `json:"agentId"`
	Name    string `json:"name"`
}

type medium struct {
	SIP sipMedium `json:"sip"`
}

type sipMedium struct {
	Incoming *struct{} `json:"incoming,omitempty"`
	Outgoing *Outgoing `json:"outgoing,omitempty"`
}

type sipDetails struct {
	BilledDuration    *string `json:"billedDuration"`
	TerminationReason *string `json:"terminationReason"`
}

// Render returns the call object.
func Render(f Facts) Call {
	c := Call{
		CallID: CallID(f.ID), Created: Stamp(f.Created), Joined: stampOrNull(f.Joined), Ended: stampOrNull(f.Ended),
		BillingStatus: "BILLING_STATUS_PENDING", SIPDetails: &sipDetails{},
		JoinTimeout: Seconds(orElse(f.JoinTimeout, DefaultJoin)), MaxDuration: Seconds(orElse(f.MaxDuration, DefaultDuration)),
		Metadata: f.Metadata, Medium: medium{sipMedium{Outgoing: f.Outgoing}},
	}
	if f.Outgoing == nil {
		c.Medium.SIP.Incoming = &struct{}{}
	}
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	if f.AgentID != "" {
		c.AgentID, c.Agent = &f.AgentID, &agent{f.AgentID, f.AgentName}
	}
	c.settings(f.Settings)
	if !f.Ended.IsZero() {
		c.ended(&f)
	}
	return c
}

// settings shows what the request asked for, or the documents' defaults.
func (c *Call) settings(asked map[string]json.RawMessage) {
	for _, s := range []struct {
		name  string
		into  *json.RawMessage
		unset string
	}{
		{"firstSpeaker", &c.FirstSpeaker, `"FIRST_SPEAKER_AGENT"`},
		{"firstSpeakerSettings", &c.FirstSpeakerSettings, `{"agent":{}}`},
		{"inactivityMessages", &c.InactivityMessages, `[]`},
		{"initialOutputMedium", &c.InitialOutputMedium, `"MESSAGE_MEDIUM_VOICE"`},
		{"languageHint", &c.LanguageHint, `null`},
		{"model", &c.Model, `"` + defaultModel + `"`},
		{"recordingEnabled", &c.RecordingEnabled, `false`},
		{"systemPrompt", &c.SystemPrompt, `null`},
		{"temperature", &c.Temperature, `0`},
		{"timeExceededMessage", &c.TimeExceededMessage, `null`},
		{"voice", &c.Voice, `null`},
		{"transcriptOptional", &c.TranscriptOptional, `true`},
		{"vadSettings", &c.VADSettings, `null`},
		{"experimentalSettings", &c.ExperimentalSettings, `{}`},
		{"initialState", &c.InitialState, `{}`},
		{"requestContext", &c.RequestContext, `{}`},
	} {
		*s.into = json.RawMessage(s.unset)
		if value, ok := asked[s.name]; ok {
			*s.into = value
		}
	}
}

// ended adds what is known of a call that is over.
func (c *Call) ended(f *Facts) {
	reason, sip := f.endReason(), f.termination()
	c.EndReason, c.SIPDetails.TerminationReason = &reason, &sip
	if !f.Billed {
		return
	}
	talked, carried := time.Duration(0), time.Duration(0)
	if !f.Joined.IsZero() {
		talked = f.Ended.Sub(f.Joined)
	}
	if carried = talked; f.Outgoing != nil { // billed from its start
		carried = f.Ended.Sub(f.Created)
	}
	c.BillingStatus = "BILLING_STATUS_BILLED"
	switch {
	case reason == EndSystem:
		c.BillingStatus, talked = "BILLING_STATUS_FREE_SYSTEM_ERROR", 0
	case talked <= 0:
		c.BillingStatus = "BILLING_STATUS_FREE_ZERO_EFFECTIVE_DURATION"
	}
	call, leg := billed(talked), billed(carried)
	c.BilledDuration, c.SIPDetails.BilledDuration = &call, &leg
}

// Event is the body of a webhook: the event's name, and the call as it then
// stands.
type Event struct {
	Event string `json:"event"`
	Call  Call   `json:"call"`
}

func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := Stamp(t)
	return &s
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
