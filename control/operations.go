package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
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
	Now    func() time.Time // the clock
	// Translate says in this package's words what Store and Calls could not do;
	// nil: they do so themselves.
	Translate func(error) error
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

// A Page is one page of a list. Next is empty on the last.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// A Change is an update: a merge patch of the object's spec. With a Revision
// it fails with conflict when the object has changed since.
type Change struct {
	ID       string            `json:"id"`
	Revision endpoint.Revision `json:"revision,omitempty"`
	Patch    json.RawMessage   `json:"patch"`
}

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

// GetAccount returns the tenant's account.
func (o *Operations) GetAccount(ctx context.Context, tenant string, _ struct{}) (AccountView, error) {
	a, err := o.Store.Account(ctx, tenant)
	if err != nil {
		return AccountView{}, fmt.Errorf("get account: %w", err)
	}
	return accountViewOf(a), nil
}

// An AccountChange is an update of the tenant's account.
type AccountChange struct {
	Revision endpoint.Revision `json:"revision,omitempty"`
	Patch    json.RawMessage   `json:"patch"`
}

// UpdateAccount changes the tenant's account: its name, refusal style, limits.
func (o *Operations) UpdateAccount(ctx context.Context, tenant string, in AccountChange) (AccountView, error) {
	a, err := o.Store.Account(ctx, tenant)
	if err != nil {
		return AccountView{}, fmt.Errorf("update account: %w", err)
	}
	if in.Revision != 0 && in.Revision != a.Revision {
		return AccountView{}, fmt.Errorf("update account: %w", endpoint.ErrConflict)
	}
	view := accountViewOf(a)
	spec, err := merge(AccountSpec{Name: view.Name, Refusal: view.Refusal, Limits: view.Limits}, in.Patch)
	if err != nil {
		return AccountView{}, err
	}
	if len(a.Projects) == 0 {
		a.Projects = []endpoint.Project{{ID: a.ID, Name: a.Name}}
	}
	a.Name, a.Refusal, a.Projects[0].Limits, a.UpdatedAt = spec.Name, spec.Refusal, spec.Limits, o.Now()
	if problems := a.Validate(); len(problems) > 0 {
		return AccountView{}, invalidAll(problems)
	}
	if a.Revision, err = o.Store.UpdateAccount(ctx, a); err != nil {
		return AccountView{}, fmt.Errorf("update account: %w", err)
	}
	return accountViewOf(a), nil
}
