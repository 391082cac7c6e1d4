package endpoint

import "fmt"

// An Action says which kind of verdict was reached.
type Action uint8

// The zero Action rejects: a verdict nobody filled in must not let a call in.
const (
	Reject Action = iota
	Accept
	Consult
)

var actionNames = [...]string{Reject: "reject", Accept: "accept", Consult: "consult"}

// String returns the name used on the wire.
func (a Action) String() string { return actionNames[a] }

// MarshalText implements encoding.TextMarshaler.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Action) UnmarshalText(text []byte) error {
	for i, name := range actionNames {
		if name == string(text) {
			*a = Action(i)
			return nil
		}
	}
	return fmt.Errorf("unknown action %q", text)
}

// A Reason tells a machine why a call was rejected. Values never change.
type Reason string

// Reasons a call is rejected before a media node owns it.
const (
	ReasonUnknown          Reason = "unknown_endpoint"
	ReasonInactive         Reason = "endpoint_inactive"
	ReasonSourceNotAllowed Reason = "source_not_allowed"
	ReasonNoAgent          Reason = "no_agent"
	ReasonAgentInactive    Reason = "agent_inactive"
	ReasonConcurrency      Reason = "concurrency_limit"
	ReasonRate             Reason = "rate_limit"
	ReasonNoOwner          Reason = "no_owner"                 // 480: strict caps, and nobody keeps them at the moment
	ReasonUnsupported      Reason = "handler_not_supported"    // stored by a vendor's API, not served yet
	ReasonDigest           Reason = "digest_not_supported"     // 480: of kind credential; nobody can register yet
	ReasonEncryption       Reason = "encryption_not_supported" // 488: required by the owner
	ReasonNoRoute          Reason = "no_route"                 // 404: no rule of the account, and no webhook
	ReasonBusy             Reason = "node_busy"                // a mailbox is full: 503
	ReasonUnavailable      Reason = "store_unavailable"        // configuration cannot be read: 503
	ReasonNoMedia          Reason = "no_media_node"            // nobody can carry the call: 503
	ReasonDraining         Reason = "draining"                 // 503
	ReasonMerged           Reason = "merged_request"           // 482: the same INVITE came by another path (RFC 3261 8.2.2.2)
	ReasonCancelled        Reason = "cancelled"                // 487: its CANCEL came first
	ReasonBadInvite        Reason = "bad_invite"               // the media node could not make a call of it
	ReasonInternal         Reason = "internal"                 // 500: a fault of ours
)

// Reasons a call is rejected after its owner's webhook was asked. The webhook
// is the owner's, so none of them is 503, which would speak for us (design
// D10).
const (
	ReasonWebhookRejected  Reason = "webhook_rejected"    // the status is the owner's
	ReasonWebhookTimeout   Reason = "webhook_timeout"     // 504
	ReasonWebhookFailed    Reason = "webhook_failed"      // 502: not reached, or no 2xx
	ReasonWebhookReply     Reason = "webhook_bad_reply"   // 502: not the contract's
	ReasonWebhookSuspended Reason = "webhook_suspended"   // 502: it failed too often just now
	ReasonWebhookBusy      Reason = "webhook_busy"        // 486: too many of the endpoint's calls wait for it
	ReasonWebhookAgent     Reason = "webhook_agent"       // 502: it named an agent that the account does not have
	ReasonNoStartCallAgent Reason = "no_start_call_agent" // 502: startCall, and the account names no agent for it
)

// A Verdict is the outcome for one Invite: the truth, for the owner's eyes.
// What the carrier is shown of it is [Verdict.Shown].
type Verdict struct {
	Action Action `json:"action"`
	Agent  string `json:"agent,omitempty"`  // id, of Accept
	Status int    `json:"status,omitempty"` // SIP final response, of Reject
	Reason Reason `json:"reason,omitempty"` // of Reject
	Rule   Rule   `json:"rule,omitempty"`   // that decided
	Route  int    `json:"route,omitempty"`  // of RuleRoute: the rule's place in the account's list, from 1
}

// ByAccount reports an agent that the account's policy named, not the endpoint.
func (v Verdict) ByAccount() bool { return v.Rule == RuleRoute || v.Rule == RuleAllAgents }
