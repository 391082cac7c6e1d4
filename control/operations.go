package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/config"
)

// Paging limits.
const (
	defaultPage = 50
	maxPage     = 200
)

// Operations are what operators can do, each a function of the tenant and a
// typed request.
type Operations struct {
	Config config.Control
	Store  Store
	Calls  Calls
	Sealer Sealer
	Host   string           // host, or host:port, of sip_uri
	Domain string           // base domain, under which accounts' domains are
	Now    func() time.Time // the clock
	Nodes  Nodes            // nil: none can be asked
	Blocks Blocks
	// Read makes the facts of an INVITE of what is to be explained, and Explainer
	// decides on them; nil: neither can be done here.
	Read      func(ExplainRequest) (endpoint.Invite, error)
	Explainer Explainer
	Records   Records
	// Of calls that we place. Dialable says whether one may be sent to an
	// address; nil: to any.
	Dialler    Dialler
	Trunks     Trunks
	Identities Identities
	Dialable   func(netip.Addr) error
	Workers    Workers // nil: none can be asked
	Board      Board   // nil: endpoints are shown without totals
	// Webhooks keeps what hears of events, and Hooks sends; nil: nothing is sent
	// here. PlainWebhooks lets them be http://, for nodes of developers.
	Webhooks      WebhookStore
	Hooks         Hooks
	PlainWebhooks bool
	// Known returns an account as this node knows it, from memory where it can:
	// what limits requests must not cost one. nil: they are not limited.
	Known func(ctx context.Context, tenant string) (endpoint.Account, error)
	// Translate says in this package's words what Store and Calls could not do;
	// nil: they do so themselves.
	Translate func(error) error

	meter   meter
	placed  sync.Once
	room    *places
	indexed sync.Once
	index   map[string]operation // by noun.verb
}

// An ID names one object in a request.
type ID struct {
	ID string `json:"id"`
}

// A PageRequest asks for one page of a list.
type PageRequest struct {
	Limit  int    `json:"limit,omitempty"`  // 1 to 200; 0: 50
	Cursor string `json:"cursor,omitempty"` // next of the page before; "": the first
}

// A Page is one page of a list. Next is empty on the last. Total is there where
// the request asked for it.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
	Total *int   `json:"total,omitempty"`
}

// A Change is an update: a merge patch of the object's spec. With a Revision
// it fails with conflict when the object has changed since.
type Change struct {
	ID       string            `json:"id"`
	Revision endpoint.Revision `json:"revision,omitempty"`
	Patch    json.RawMessage   `json:"patch"`
}

// stale reports that the change was made against another version.
func (c Change) stale(now endpoint.Revision) bool { return c.Revision != 0 && c.Revision != now }

// A Target names an object to end. With a Revision it is ended only if it is
// still at it.
type Target struct {
	ID       string            `json:"id"`
	Revision endpoint.Revision `json:"revision,omitempty"`
}

func (t Target) check() error { return ID{t.ID}.check() }

// stale reports that the request was made against another version.
func (t Target) stale(now endpoint.Revision) bool { return t.Revision != 0 && t.Revision != now }

// Deleted answers a delete.
type Deleted struct {
	Deleted string `json:"deleted"`
}

func (p PageRequest) limit() (int, error) {
	switch {
	case p.Limit == 0:
		return defaultPage, nil
	case p.Limit < 0 || p.Limit > maxPage:
		return 0, invalid("limit", endpoint.CodeOutOfRange, fmt.Sprintf("want 1 to %d", maxPage))
	}
	return p.Limit, nil
}

func (i ID) check() error {
	if i.ID == "" {
		return invalid("id", endpoint.CodeRequired, "want the object's id")
	}
	return nil
}

// NewUUID returns a random UUID (RFC 9562 5.4), as every object's id is.
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
