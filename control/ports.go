package control

import (
	"context"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A Store keeps accounts, their keys, endpoints and agents. Creations keep their
// terms in the same write, or fail with an *endpoint.Repeat, endpoint.ErrReused
// or [CodeLimit]. Writes return once every
// decider knows the new revision, or a second has passed. Errors wrap
// endpoint.ErrNotFound, ErrConflict, ErrExists or [ErrUnavailable]. An object
// of another tenant is not found.
type Store interface {
	Kept
	Account(ctx context.Context, tenant string) (endpoint.Account, error)
	Accounts(ctx context.Context, cursor string, limit int) (page []endpoint.Account, next string, err error)
	// CreateAccount and UpdateAccount claim the account's label, for ever, and its
	// domains in the same write, or return an *endpoint.Taken. The terms of an
	// update are those of what it makes within the account.
	CreateAccount(ctx context.Context, a endpoint.Account, terms endpoint.Terms) (endpoint.Revision, error)
	UpdateAccount(ctx context.Context, a endpoint.Account, terms endpoint.Terms) (endpoint.Revision, error)
	DeleteAccount(ctx context.Context, a endpoint.Account) error

	CreateEndpoint(ctx context.Context, ep endpoint.Endpoint, terms endpoint.Terms) (endpoint.Revision, error)
	EndpointByID(ctx context.Context, tenant, id string) (endpoint.Endpoint, error)
	EndpointByNumber(ctx context.Context, tenant, numeric string) (endpoint.Endpoint, error)
	UpdateEndpoint(ctx context.Context, ep endpoint.Endpoint) (endpoint.Revision, error)
	DeleteEndpoint(ctx context.Context, ep endpoint.Endpoint) error
	Endpoints(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Endpoint, next string, err error)
	// FindEndpoints returns those that a filter chooses, and how many there are.
	FindEndpoints(ctx context.Context, tenant string, f endpoint.Filter, w endpoint.Window) (endpoint.Listed, error)

	CreateNumber(ctx context.Context, n endpoint.Number, terms endpoint.Terms) (endpoint.Revision, error)
	NumberByID(ctx context.Context, tenant, id string) (endpoint.Number, error)
	DeleteNumber(ctx context.Context, tenant, id string) error
	Numbers(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Number, next string, err error)

	CreateAgent(ctx context.Context, a endpoint.Agent, terms endpoint.Terms) (endpoint.Revision, error)
	AgentByID(ctx context.Context, tenant, id string) (endpoint.Agent, error)
	UpdateAgent(ctx context.Context, a endpoint.Agent) (endpoint.Revision, error)
	DeleteAgent(ctx context.Context, a endpoint.Agent) error
	Agents(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Agent, next string, err error)

	CreateKey(ctx context.Context, k endpoint.APIKey, terms endpoint.Terms) (endpoint.Revision, error)
	KeyByID(ctx context.Context, tenant, id string) (endpoint.APIKey, error)
	UpdateKey(ctx context.Context, k endpoint.APIKey) (endpoint.Revision, error)
	DeleteKey(ctx context.Context, k endpoint.APIKey) error
	Keys(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.APIKey, next string, err error)

	// ByIDs returns those of the objects that are there, or were a moment ago.
	ByIDs(ctx context.Context, tenant string, agents, eps []string) (map[string]endpoint.Agent, map[string]endpoint.Endpoint, error)
	// Apply creates the objects at revision 0 and replaces the others, all or
	// none.
	Apply(ctx context.Context, tenant string, agents []endpoint.Agent, eps []endpoint.Endpoint, terms endpoint.Terms) error

	// Repeated returns an *endpoint.Repeat or endpoint.ErrReused if the
	// idempotency key was used; nil if not.
	Repeated(ctx context.Context, tenant string, o endpoint.Once) error
}

// Calls reaches live calls on the media nodes that carry them.
type Calls interface {
	// List returns the live calls of a tenant, oldest first, at most limit.
	List(ctx context.Context, tenant string, limit int) ([]CallView, error)
	// Get returns one live call; endpoint.ErrNotFound when it has ended.
	Get(ctx context.Context, tenant string, id call.ID) (CallView, error)
	// Hangup ends one live call.
	Hangup(ctx context.Context, tenant string, id call.ID) error
	// Transfer tells one live call to have its carrier call somebody else: t.To,
	// or the other side of the call t.Other.
	Transfer(ctx context.Context, tenant string, id call.ID, t call.Transfer) error
	// Find returns the live calls of a tenant ("": of all) that a query names,
	// oldest first, at most limit: by SIP Call-ID, number, Key or id.
	Find(ctx context.Context, tenant, query string, limit int) ([]CallView, error)
	// HangupAll ends all calls that are meant, or only counts them.
	HangupAll(ctx context.Context, sel Selection, dry bool) (int, error)
}

// A CallView is one live call as its owner sees it. It never holds a slug.
type CallView struct {
	ID       call.ID      `json:"id"`
	Tenant   string       `json:"tenant"`
	Endpoint endpoint.Key `json:"endpoint"` // Key of its address
	Agent    string       `json:"agent_id"`
	Worker   string       `json:"worker,omitempty"`
	Node     string       `json:"node"`
	State    string       `json:"state"` // a word of call.State
	From     call.Party   `json:"from"`
	To       call.Party   `json:"to"`
	Source   string       `json:"source"`
	Codec    string       `json:"codec,omitempty"`
	Since    time.Time    `json:"since"`
	Answered time.Time    `json:"answered,omitzero"`
	Quality  call.Quality `json:"quality"`
	CallID   string       `json:"sip_call_id,omitempty"`

	Direction string `json:"direction"`       // inbound, outbound
	Trunk     string `json:"trunk,omitempty"` // id; of an outbound call

	Metadata call.Document `json:"metadata,omitempty"` // that its owner gave it
	OnHold   bool          `json:"on_hold,omitempty"`  // the carrier takes no audio

	Transfer *call.Transferred `json:"transfer,omitempty"` // the last that was asked of it
	Moved    *call.Moved       `json:"moved,omitempty"`    // the last time that another dialog took it over
}

// A Sealer seals secrets for the store, and opens what it sealed.
type Sealer interface {
	Seal(secret string) (endpoint.SecretRef, error)
	Open(sealed endpoint.SecretRef) (string, error)
}
