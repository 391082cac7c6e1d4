package control

import (
	"encoding/json"
	"time"

	"patchbay/actors/endpoint"
)

// An EndpointSpec is what an owner may set of an endpoint. Create takes one
// whole, update a merge patch of it (RFC 7396).
type EndpointSpec struct {
	Name               string                     `json:"name"`
	IsActive           bool                       `json:"is_active"`
	Handler            endpoint.Handler           `json:"handler"`
	IP                 IPSpec                     `json:"ip"`
	MaxConcurrentCalls *int                       `json:"max_concurrent_calls,omitempty"`
	MaxCallsPerSecond  *int                       `json:"max_calls_per_second,omitempty"`
	CapPolicy          endpoint.CapPolicy         `json:"cap_policy,omitempty"` // share, strict or open, while the endpoint has no owner; absent: share
	Auth               AuthSpec                   `json:"auth"`
	Media              endpoint.MediaPolicy       `json:"media"`
	CallerID           string                     `json:"caller_id,omitempty"`
	SendAs             *string                    `json:"send_as,omitempty"`
	AcceptRefer        *endpoint.ReferPolicy      `json:"accept_refer,omitempty"` // absent: a carrier's REFER is refused
	CallerIDTrusted    *bool                      `json:"caller_id_trusted,omitempty"`
	Transfer           *endpoint.TransferPolicy   `json:"transfer,omitempty"` // of the account, but for what this says
	Perm               endpoint.Permissions       `json:"perm"`
	SubAccount         *string                    `json:"sub_account,omitempty"`
	Register           *RegisterSpec              `json:"register,omitempty"` // of kind register
	Compat             map[string]json.RawMessage `json:"compat,omitempty"`
	endpoint.EarlyPolicy
}

// An AuthSpec is how callers prove themselves: none, or digest of an endpoint
// of kind credential. Password is write-only; PasswordSetAt says since when it
// counts, and cannot be written.
type AuthSpec struct {
	Mode          string     `json:"mode"`
	Username      string     `json:"username,omitempty"`
	Password      string     `json:"password,omitempty"`
	PasswordSetAt *time.Time `json:"password_set_at,omitempty"`
}

// A RegisterSpec is how we register at somebody's PBX. Password is write-only:
// it reads back as SecretSet. Status, Detail and Successful cannot be written.
type RegisterSpec struct {
	Username      string `json:"username"`
	AuthUser      string `json:"auth_user,omitempty"`
	Server        string `json:"server"` // host, or host:port
	OutboundProxy string `json:"outbound_proxy,omitempty"`
	Transport     string `json:"transport,omitempty"` // udp, tcp, tls
	Region        string `json:"region,omitempty"`
	Password      string `json:"password,omitempty"`
	SecretSet     bool   `json:"secret_set,omitempty"`
	ExpiresS      int64  `json:"expires_s,omitempty"`
	Status        string `json:"status,omitempty"`
	Detail        string `json:"detail,omitempty"`
	Successful    *bool  `json:"successful,omitempty"`
}

// An IPSpec is an allowlist as its owner writes it.
type IPSpec struct {
	Mode    endpoint.IPMode `json:"mode"`
	Entries []IPEntrySpec   `json:"entries,omitempty"`
}

// An IPEntrySpec is one line of it.
type IPEntrySpec struct {
	Raw         string  `json:"raw"` // address or CIDR range, kept verbatim
	Name        string  `json:"name,omitempty"`
	Description string  `json:"description,omitempty"`
	Disabled    bool    `json:"disabled,omitempty"`
	ACLID       *string `json:"acl_id,omitempty"` // of the line in another product's list
}

// An EndpointView is an endpoint as its owner reads it: what can be set, and
// what the server knows. SIPURI of a bearer slug is a credential.
type EndpointView struct {
	ID         string            `json:"id"`
	NumericID  string            `json:"numeric_id,omitempty"` // of kind credential
	Key        endpoint.Key      `json:"key"`                  // names it in logs, metrics and events
	Kind       endpoint.Kind     `json:"kind"`
	SIPURI     string            `json:"sip_uri,omitempty"`
	Slug       string            `json:"slug,omitempty"`
	ProjectID  string            `json:"project_id,omitempty"`
	User       string            `json:"user,omitempty"`   // at the account's domain
	Domain     string            `json:"domain,omitempty"` // label that the user is at
	LastCallAt *time.Time        `json:"last_call_at,omitempty"`
	Totals     *Totals           `json:"totals,omitempty"`
	Origin     string            `json:"origin,omitempty"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	Revision   endpoint.Revision `json:"revision"`
	EndpointSpec
}

// An AgentSpec is what an owner may set of an agent.
type AgentSpec struct {
	Name          string              `json:"name"`
	IsActive      bool                `json:"is_active"`
	WebRTC        TransportSpec       `json:"webrtc"`
	MaxDurationMs int64               `json:"max_duration_ms,omitempty"`
	JoinTimeoutMs int64               `json:"join_timeout_ms,omitempty"`
	Failover      []string            `json:"failover,omitempty"`
	DTMF          endpoint.DTMFPolicy `json:"dtmf"`
	TrustCallerID bool                `json:"trust_caller_id,omitempty"`
	ContextSchema json.RawMessage     `json:"context_schema,omitempty"`
	CallTemplate  json.RawMessage     `json:"call_template,omitempty"`
	WebhookURL    *string             `json:"webhook_url,omitempty"`
	WebhookEvents []string            `json:"webhook_events,omitempty"`
	WebhookKind   string              `json:"webhook_kind,omitempty"` // native or yappr; "": native
	Metadata      map[string]string   `json:"metadata,omitempty"`
}

// A TransportSpec is how media nodes reach an agent. AuthSecret is write-only:
// it reads back as SecretSet.
type TransportSpec struct {
	Connector   endpoint.Connector `json:"connector"`
	Dialect     string             `json:"dialect,omitempty"`
	URL         string             `json:"url,omitempty"`
	AuthType    string             `json:"auth_type,omitempty"`
	AuthSecret  string             `json:"auth_secret,omitempty"`
	SecretSet   bool               `json:"secret_set,omitempty"`
	Headers     map[string]string  `json:"headers,omitempty"`
	Codecs      []string           `json:"codecs,omitempty"`
	TimeoutMs   int                `json:"timeout_ms,omitempty"`
	Attempts    int                `json:"attempts,omitempty"`
	Session     json.RawMessage    `json:"session,omitempty"`
	DataChannel string             `json:"data_channel,omitempty"`
	OnClose     string             `json:"on_close,omitempty"`
	CallTools   bool               `json:"call_tools,omitempty"`
	NoSilence   bool               `json:"no_silence_fill,omitempty"`
	NoMetadata  bool               `json:"no_metadata,omitempty"`
}

// An AgentView is an agent as its owner reads it.
type AgentView struct {
	ID        string            `json:"id"`
	ProjectID string            `json:"project_id,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Revision  endpoint.Revision `json:"revision"`
	AgentSpec
}

// An AccountView is an account as its owner reads it; Refusal can be set.
type AccountView struct {
	ID        string                `json:"id"`
	Tenant    string                `json:"tenant"`
	Name      string                `json:"name"`
	SpaceName string                `json:"space_name,omitempty"`
	Refusal   endpoint.RefusalStyle `json:"refusal"`
	Limits    endpoint.Limits       `json:"limits"`
	SIP       SIPSpec               `json:"sip"`
	Revision  endpoint.Revision     `json:"revision"`
}

// An AccountSpec is what can be set of an account.
type AccountSpec struct {
	Name      string                `json:"name"`
	SpaceName string                `json:"space_name,omitempty"` // of SignalWire: its label in their URLs
	Refusal   endpoint.RefusalStyle `json:"refusal"`
	Limits    endpoint.Limits       `json:"limits"`
	SIP       SIPSpec               `json:"sip"`
}
