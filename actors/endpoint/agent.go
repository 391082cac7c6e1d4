package endpoint

import (
	"encoding/json"
	"time"
)

// An Agent is the AI that answers, and how media nodes reach it.
type Agent struct {
	V             int               `json:"v"`
	ID            string            `json:"id"` // UUID
	Tenant        string            `json:"tenant"`
	ProjectID     string            `json:"project_id,omitempty"`
	Name          string            `json:"name"`
	IsActive      bool              `json:"is_active"`
	WebRTC        AgentTransport    `json:"webrtc"`
	ContextSchema json.RawMessage   `json:"context_schema,omitempty"`
	CallTemplate  json.RawMessage   `json:"call_template,omitempty"`
	MaxDurationMs int64             `json:"max_duration_ms,omitempty"` // 0: the node's default, 3600 s
	JoinTimeoutMs int64             `json:"join_timeout_ms,omitempty"` // 0: the node's default, 20 s
	Failover      []string          `json:"failover,omitempty"`        // ids of agents that are asked where this one does not take a call, in order
	DTMF          DTMFPolicy        `json:"dtmf"`
	TrustCallerID bool              `json:"trust_caller_id,omitempty"`
	WebhookURL    *string           `json:"webhook_url,omitempty"`
	WebhookEvents []string          `json:"webhook_events,omitempty"`
	WebhookKind   WebhookKind       `json:"webhook_kind,omitempty"` // "": native
	Metadata      map[string]string `json:"metadata,omitempty"`
	CreatedAt     time.Time         `json:"created_at"`
	UpdatedAt     time.Time         `json:"updated_at"`
	Revision      Revision          `json:"-"`
}

// A Connector is a way to bring an agent its call.
type Connector string

// Connectors that are served (docs/agents.md).
const (
	ConnectNATS   Connector = "nats"   // a worker in a queue group answers our offer
	ConnectHTTP   Connector = "http"   // we POST our offer to a URL
	ConnectDialIn Connector = "dialin" // the agent POSTs its offer to the call
)

// Dialects of connector http (docs/agents.md).
const (
	DialectJSON    = "json"    // ours
	DialectOpenAI  = "openai"  // OpenAI Realtime and who speaks its "create call"
	DialectPipecat = "pipecat" // SmallWebRTC
	DialectFastRTC = "fastrtc"
	DialectWHIP    = "whip" // RFC 9725, with audio both ways
)

// An AgentTransport says how media nodes reach an agent.
type AgentTransport struct {
	Connector   Connector         `json:"connector"`
	Dialect     string            `json:"dialect,omitempty"`   // of http: DialectJSON when empty
	URL         string            `json:"url,omitempty"`       // of http
	AuthType    string            `json:"auth_type,omitempty"` // of http: "", bearer
	AuthSecret  SecretRef         `json:"auth_secret,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Codecs      []string          `json:"codecs,omitempty"`     // narrows what is offered, in the carrier's order; empty: all of the carrier's
	TimeoutMs   int               `json:"timeout_ms,omitempty"` // one attempt; 0: 3000
	Attempts    int               `json:"attempts,omitempty"`   // 0: 2
	Session     json.RawMessage   `json:"session,omitempty"`
	DataChannel string            `json:"data_channel,omitempty"` // auto, off
	OnClose     string            `json:"on_close,omitempty"`     // "", call.OnCloseHangup, OnCloseFallback, OnCloseHold
	CallTools   bool              `json:"call_tools,omitempty"`   // of dialect openai: the model may hang up and press keys
	NoSilence   bool              `json:"no_silence_fill,omitempty"`
	NoMetadata  bool              `json:"no_metadata,omitempty"`
}

// A DTMFPolicy says how an agent hears digits.
type DTMFPolicy struct {
	RTP         bool `json:"rtp,omitempty"`          // telephone-event where the agent negotiated it
	DataChannel bool `json:"data_channel,omitempty"` // events on the data channel
}
