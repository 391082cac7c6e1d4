package actors

import (
	"encoding/json"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A Dial is the part of a [Job] that says whom a call of ours is for.
type Dial struct {
	ID            call.ID            `json:"call_id"`         // chosen by whoever places the call, who must know it before
	Trunk         string             `json:"trunk,omitempty"` // id
	To            string             `json:"to"`              // SIP URI
	From          string             `json:"from,omitempty"`  // SIP URI; "": anonymous
	Hops          []string           `json:"hops,omitempty"`  // SIP URIs that the INVITE is sent to, the next where one does not serve; none: To
	Username      string             `json:"username,omitempty"`
	Password      endpoint.SecretRef `json:"password,omitempty"` // sealed
	Realm         string             `json:"realm,omitempty"`    // the only one that is answered; "": any
	Headers       []call.Header      `json:"headers,omitempty"`
	Context       json.RawMessage    `json:"context,omitempty"`  // for the agent, JSON
	Metadata      json.RawMessage    `json:"metadata,omitempty"` // likewise
	Settings      json.RawMessage    `json:"settings,omitempty"` // likewise: further wishes
	RingTimeoutMs int64              `json:"ring_timeout_ms,omitempty"`
	MaxDurationMs int64              `json:"max_duration_ms,omitempty"`
	EarlyMedia    bool               `json:"early_media,omitempty"` // the agent is asked at the carrier's first SDP, and hears it before the answer
	For           call.ID            `json:"for_call,omitempty"`    // call of the node that is transferred to this one: there is no agent
	// MaxForwards is what a call that this one goes on for had left, less one.
	MaxForwards int                   `json:"max_forwards,omitempty"`
	Refer       *endpoint.ReferPolicy `json:"refer,omitempty"` // the trunk's, for REFERs of the carrier; nil: they are 603
}
