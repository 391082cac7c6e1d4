package control

import (
	"encoding/json"

	"patchbay/actors/call"
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
	MaxDurationMs int64           `json:"max_duration_ms,omitempty"` // from the answer; 0: the agent's
	RingTimeoutMs int64           `json:"ring_timeout_ms,omitempty"` // from the INVITE to the answer; 0: 60 s
	EarlyMedia    bool            `json:"early_media,omitempty"`     // the agent hears what comes before the answer
}
