package endpoint

import (
	"encoding/json"
	"net/netip"
	"time"
)

// A SecretRef is a secret at rest: sealed with the cluster's storage key,
// base64. It reads back over every API as "secret_set": true, never as itself.
// It prints redacted; convert it to a string to unseal it.
type SecretRef string

// An Account is one owner of endpoints: Ultravox's account, SignalWire's
// space, Yappr's company, Vobiz's main account. Tenant is its name in
// subjects: lower-case letters, digits and hyphens.
type Account struct {
	V         int          `json:"v"`
	ID        string       `json:"id"` // UUID
	Tenant    string       `json:"tenant"`
	Name      string       `json:"name"`
	SpaceName string       `json:"space_name,omitempty"` // SignalWire subdomain
	Refusal   RefusalStyle `json:"refusal"`              // uniform by default
	Projects  []Project    `json:"projects,omitempty"`
	SIP       SipSettings  `json:"sip"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	Revision  Revision     `json:"-"`

	routes []route // SIP.Rules, compiled
}

// A RefusalStyle says how much a refused carrier learns (design D10).
type RefusalStyle string

// Styles of refusal. The zero value is uniform.
const (
	RefuseUniform  RefusalStyle = "uniform"
	RefuseExplicit RefusalStyle = "explicit"
)

// A Project divides an account: SignalWire project, Vobiz main or sub account.
type Project struct {
	ID                   string     `json:"id"`
	ParentID             *string    `json:"parent_id,omitempty"`
	Name                 string     `json:"name"`
	AuthID               string     `json:"auth_id,omitempty"` // Vobiz MA_..., SA_...
	SigningKey           SecretRef  `json:"signing_key,omitempty"`
	NextSigningKey       *SecretRef `json:"next_signing_key,omitempty"`
	NextActiveAt         *time.Time `json:"next_active_at,omitempty"`
	AuthTokenEnc         SecretRef  `json:"auth_token_enc,omitempty"`
	DefaultEndpointAppID *string    `json:"default_endpoint_app_id,omitempty"`
	DefaultNumberAppID   *string    `json:"default_number_app_id,omitempty"`
	DefaultAppID         *string    `json:"default_app_id,omitempty"`
	Limits               Limits     `json:"limits"`
}

// Limits of a project; zero means the node's default.
type Limits struct {
	MaxConcurrentCalls    int `json:"max_concurrent_calls,omitempty"`
	CPS                   int `json:"cps,omitempty"` // INVITEs a second
	QueueDepth            int `json:"queue_depth,omitempty"`
	EndpointCreatesPerDay int `json:"endpoint_creates_per_day,omitempty"`
	APIPerMinute          int `json:"api_per_minute,omitempty"`
	MaxRegisterOut        int `json:"max_register_out,omitempty"`
}

// An APIToken is a credential of the control API, stored as a hash.
type APIToken struct {
	ID        string     `json:"id"`
	ProjectID string     `json:"project_id,omitempty"`
	Kind      string     `json:"kind"` // ultravox, signalwire, yappr, vobiz, native
	Prefix    string     `json:"prefix"`
	Hash      []byte     `json:"hash"` // SHA-256
	Scopes    []string   `json:"scopes,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// SipSettings are an account's SIP: Ultravox SipConfig and SignalWire profile.
type SipSettings struct {
	Domain            string           `json:"domain,omitempty"`
	DomainIdentifier  string           `json:"domain_identifier,omitempty"` // label under the base domain; no two accounts share one
	CustomDomains     []string         `json:"custom_domains,omitempty"`    // that stand for the label's; no two accounts share one
	DefaultCodecs     []string         `json:"default_codecs,omitempty"`
	DefaultCiphers    []string         `json:"default_ciphers,omitempty"`
	DefaultEncryption string           `json:"default_encryption,omitempty"` // required, optional
	DefaultSendAs     *string          `json:"default_send_as,omitempty"`    // nil: random
	OutboundPolicy    string           `json:"outbound_policy,omitempty"`    // passthrough, block-pstn
	Ingress           IPPolicy         `json:"ingress"`
	AllowAllAgents    bool             `json:"allow_all_agents,omitempty"`
	Rules             []RouteRule      `json:"rules,omitempty"` // ordered, at most 20
	Fallback          *FallbackHandler `json:"fallback,omitempty"`
	StartCallAgent    string           `json:"start_call_agent,omitempty"`
	OutgoingFrom      string           `json:"outgoing_from,omitempty"` // whom calls without a trunk may be from: FromAccount, FromAny; "": FromAccount
	Transfer          *TransferPolicy  `json:"transfer,omitempty"`      // nil: by REFER alone
}

// A RouteRule gives calls whose To user matches to an agent.
type RouteRule struct {
	AgentID       string `json:"agent_id"`
	ToUserPattern string `json:"to_user_pattern,omitempty"` // RE2; "": ^agent_<id>$
}

// A FallbackHandler is the owner's webhook, asked where policy is silent.
type FallbackHandler struct {
	URL       string      `json:"url"`
	Secrets   []SecretRef `json:"secrets,omitempty"`
	TimeoutMs int         `json:"timeout_ms,omitempty"` // 5000 when 0
}

// An IPMode is one of the three states of an allowlist: what an empty list
// means differs between vendors, so the mode says it.
type IPMode string

// Modes of an allowlist. The zero value admits nobody: it is never written by
// an API, so it can only be a fault.
const (
	IPAny  IPMode = "any"  // every source
	IPList IPMode = "list" // sources in Entries; an empty list is nobody
	IPNone IPMode = "none" // nobody by address
)

// An IPPolicy says which packet sources may call.
type IPPolicy struct {
	Mode    IPMode    `json:"mode"`
	Entries []IPEntry `json:"entries,omitempty"`
}

// An IPEntry is one line of an allowlist: verbatim, and as matched.
type IPEntry struct {
	Raw         string       `json:"raw"`
	Prefix      netip.Prefix `json:"prefix"` // masked; IPv4-mapped IPv6 unmapped
	ACLID       *string      `json:"acl_id,omitempty"`
	Name        string       `json:"name,omitempty"`
	Description string       `json:"description,omitempty"`
	Enabled     bool         `json:"enabled"`
}

// A Kind says what sort of address an endpoint has.
type Kind string

// Kinds of endpoint.
const (
	KindSlug       Kind = "slug"
	KindCredential Kind = "credential"
	KindRegister   Kind = "register"
	KindDomain     Kind = "domain"
	KindAddress    Kind = "address"
)

// An Endpoint is one address that carriers dial, with its owner's policy: the
// superset of what the products have whose APIs are served (docs/apis.md).
type Endpoint struct {
	V                  int                        `json:"v"`
	ID                 string                     `json:"id"`                   // UUID
	NumericID          string                     `json:"numeric_id,omitempty"` // Vobiz, Plivo
	Tenant             string                     `json:"tenant"`
	ProjectID          string                     `json:"project_id,omitempty"`
	SubAccount         *string                    `json:"sub_account,omitempty"`
	Kind               Kind                       `json:"kind"`
	Name               string                     `json:"name"`
	User               string                     `json:"user,omitempty"`
	Domain             string                     `json:"domain,omitempty"`
	Slug               Slug                       `json:"slug,omitempty"`
	Auth               Auth                       `json:"auth"`
	IP                 IPPolicy                   `json:"ip"`
	Media              MediaPolicy                `json:"media"`
	CallerID           string                     `json:"caller_id,omitempty"`
	SendAs             *string                    `json:"send_as,omitempty"`
	Perm               Permissions                `json:"perm"`
	Handler            Handler                    `json:"handler"`
	MaxConcurrentCalls *int                       `json:"max_concurrent_calls,omitempty"` // nil: no cap
	MaxCallsPerSecond  *int                       `json:"max_calls_per_second,omitempty"` // nil: no cap
	CapPolicy          CapPolicy                  `json:"cap_policy,omitempty"`
	Register           *OutRegistration           `json:"register,omitempty"`
	AcceptRefer        *ReferPolicy               `json:"accept_refer,omitempty"`      // of carriers; nil: REFER is 603
	CallerIDTrusted    *bool                      `json:"caller_id_trusted,omitempty"` // nil: the agent's setting
	Transfer           *TransferPolicy            `json:"transfer,omitempty"`          // nil: the account's
	IsActive           bool                       `json:"is_active"`
	LastCallAt         *time.Time                 `json:"last_call_at,omitempty"`
	Origin             string                     `json:"origin,omitempty"` // the API that made it
	Compat             map[string]json.RawMessage `json:"compat,omitempty"` // vendor fields, verbatim
	CreatedAt          time.Time                  `json:"created_at"`
	UpdatedAt          time.Time                  `json:"updated_at"`
	DeletedAt          *time.Time                 `json:"deleted_at,omitempty"`
	Revision           Revision                   `json:"-"` // of the store
	EarlyPolicy
}

// A CapPolicy says what deciders do about caps while a partition has no owner.
type CapPolicy string

// Cap policies (design D3). The zero value is share.
const (
	CapShare  CapPolicy = "share"
	CapStrict CapPolicy = "strict"
	CapOpen   CapPolicy = "open"
)

// Auth is how callers prove themselves. HA1 values are secrets.
type Auth struct {
	Mode          string     `json:"mode"` // AuthNone, AuthDigest; "": none
	Username      string     `json:"username,omitempty"`
	HA1MD5        SecretRef  `json:"ha1_md5,omitempty"`
	HA1SHA256     SecretRef  `json:"ha1_sha256,omitempty"`
	PasswordSetAt *time.Time `json:"password_set_at,omitempty"`
}

// A MediaPolicy narrows codecs and encryption; nil inherits.
type MediaPolicy struct {
	Codecs     *[]string `json:"codecs,omitempty"`
	Ciphers    *[]string `json:"ciphers,omitempty"`
	Encryption string    `json:"encryption,omitempty"`  // default, required, optional, forbidden
	DTMFOut    string    `json:"dtmf_out,omitempty"`    // auto, rfc4733, info; "": auto
	DTMFInBand string    `json:"dtmf_inband,omitempty"` // auto, off; "": auto
}

// Modes of authentication, and the encryption that is never left out.
const (
	AuthNone           = "none"
	AuthDigest         = "digest"
	EncryptionRequired = "required"
)

// Permissions are Vobiz's seven switches.
type Permissions struct {
	Voice        bool `json:"voice"`
	Message      bool `json:"message"`
	Video        bool `json:"video"`
	SameDomain   bool `json:"same_domain"`
	OtherDomains bool `json:"other_domains"`
	Phones       bool `json:"phones"`
	Apps         bool `json:"apps"`
}

// A Handler says who answers. Every vendor's parameters are kept, also those
// of handlers that are not active.
type Handler struct {
	Active              string  `json:"active"` // HandlerAgent, or a vendor's word
	AgentID             *string `json:"agent_id,omitempty"`
	ApplicationID       *string `json:"application_id,omitempty"`
	ResourceID          *string `json:"resource_id,omitempty"`
	RequestURL          *string `json:"request_url,omitempty"`
	RequestMethod       *string `json:"request_method,omitempty"`
	FallbackURL         *string `json:"fallback_url,omitempty"`
	FallbackMethod      *string `json:"fallback_method,omitempty"`
	StatusURL           *string `json:"status_url,omitempty"`
	StatusMethod        *string `json:"status_method,omitempty"`
	LamlAppID           *string `json:"laml_app_id,omitempty"`
	DialogflowAgentID   *string `json:"dialogflow_agent_id,omitempty"`
	RelayTopic          *string `json:"relay_topic,omitempty"`
	RelayTopicStatusURL *string `json:"relay_topic_status_url,omitempty"`
	RelayContext        *string `json:"relay_context,omitempty"`
	RelayContextStatus  *string `json:"relay_context_status_url,omitempty"`
	RelayApplication    *string `json:"relay_application,omitempty"`
	VideoRoomID         *string `json:"video_room_id,omitempty"`
	FlowID              *string `json:"flow_id,omitempty"`
	FlowVersion         *string `json:"flow_version,omitempty"`
	AIAgentID           *string `json:"ai_agent_id,omitempty"`
	ScriptURL           *string `json:"script_url,omitempty"`
}

// HandlerAgent is the Active word of an endpoint bound straight to an agent;
// SignalWire's "ai_agent" means the same with AIAgentID.
const (
	HandlerAgent   = "agent"
	HandlerAIAgent = "ai_agent"
)

// An OutRegistration registers us at somebody's PBX.
type OutRegistration struct {
	ID            string        `json:"id"`
	ProjectID     string        `json:"project_id,omitempty"`
	Username      string        `json:"username"`
	AuthUser      string        `json:"auth_user,omitempty"`
	Server        string        `json:"server"`
	OutboundProxy string        `json:"outbound_proxy,omitempty"`
	Transport     string        `json:"transport,omitempty"`
	Region        string        `json:"region,omitempty"`
	PasswordEnc   SecretRef     `json:"password_enc,omitempty"`
	Status        string        `json:"status"` // pending, registering, registered, failed, unknown, disabled
	Detail        string        `json:"detail,omitempty"`
	Successful    *bool         `json:"successful,omitempty"`
	Expires       time.Duration `json:"expires_ns,omitempty"`
	NextAttempt   time.Time     `json:"next_attempt,omitzero"`
	CreatedAt     time.Time     `json:"created_at"`
}
