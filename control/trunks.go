package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

// Trunks keep what calls are placed through. Errors are those of a [Store].
type Trunks interface {
	CreateTrunk(ctx context.Context, t endpoint.Trunk, terms endpoint.Terms) (endpoint.Revision, error)
	TrunkByID(ctx context.Context, tenant, id string) (endpoint.Trunk, error)
	UpdateTrunk(ctx context.Context, t endpoint.Trunk) (endpoint.Revision, error)
	DeleteTrunk(ctx context.Context, t endpoint.Trunk) error
	Trunks(ctx context.Context, tenant, cursor string, limit int) (page []endpoint.Trunk, next string, err error)
}

// A TrunkSpec is what an owner may set of a trunk. The password is write-only
// and reads back as PasswordSet.
type TrunkSpec struct {
	Name               string                  `json:"name"`
	IsActive           bool                    `json:"is_active"`
	Addresses          []endpoint.TrunkAddress `json:"addresses"`
	Domain             string                  `json:"domain,omitempty"` // host of the URI that is called; absent: of the first address
	Username           string                  `json:"username,omitempty"`
	Password           string                  `json:"password,omitempty"`
	PasswordSet        bool                    `json:"password_set,omitempty"`
	Realm              string                  `json:"realm,omitempty"` // the only one that is answered; absent: any
	From               endpoint.FromPolicy     `json:"from"`
	Headers            map[string]string       `json:"headers,omitempty"`
	MaxConcurrentCalls *int                    `json:"max_concurrent_calls,omitempty"`
	MaxCallsPerSecond  *int                    `json:"max_calls_per_second,omitempty"`
	AcceptRefer        *endpoint.ReferPolicy   `json:"accept_refer,omitempty"` // absent: REFER in a call through the trunk is refused
	DTMFOut            string                  `json:"dtmf_out,omitempty"`     // how keys are sent: auto, rfc4733, info; absent: auto
	DTMFInBand         string                  `json:"dtmf_inband,omitempty"`  // whether tones are keys: auto, off; absent: auto
}

// A TrunkView is a trunk as its owner reads it.
type TrunkView struct {
	ID        string            `json:"id"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Revision  endpoint.Revision `json:"revision"`
	TrunkSpec
}

// A NewTrunk is the request of trunk.create.
type NewTrunk struct {
	ID   string          `json:"id,omitempty"` // a UUID of the caller's choice; "": made here
	Spec json.RawMessage `json:"spec"`         // a TrunkSpec over the defaults
}

func trunkSpecOf(t endpoint.Trunk) TrunkSpec {
	return TrunkSpec{Name: t.Name, IsActive: t.IsActive, Addresses: t.Addresses, Domain: t.Domain, Username: t.Username,
		PasswordSet: t.PasswordEnc != "", Realm: t.Realm, From: t.From, Headers: t.Headers,
		MaxConcurrentCalls: t.MaxConcurrentCalls, MaxCallsPerSecond: t.MaxCallsPerSecond, DTMFOut: t.DTMFOut, DTMFInBand: t.DTMFInBand, AcceptRefer: t.AcceptRefer}
}

func trunkViewOf(t endpoint.Trunk) TrunkView {
	return TrunkView{ID: t.ID, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, Revision: t.Revision, TrunkSpec: trunkSpecOf(t)}
}

// putTrunk writes spec over t. A new password is sealed; without one the old
// stays, and without a user name it goes.
func (o *Operations) putTrunk(t *endpoint.Trunk, spec TrunkSpec) error {
	t.Name, t.IsActive, t.Addresses, t.Domain = spec.Name, spec.IsActive, spec.Addresses, spec.Domain
	t.Username, t.Realm, t.From, t.Headers = spec.Username, spec.Realm, spec.From, spec.Headers
	t.MaxConcurrentCalls, t.MaxCallsPerSecond, t.UpdatedAt = spec.MaxConcurrentCalls, spec.MaxCallsPerSecond, o.Now()
	t.AcceptRefer = spec.AcceptRefer
	t.DTMFOut, t.DTMFInBand = spec.DTMFOut, spec.DTMFInBand
	if spec.Username == "" {
		t.PasswordEnc = ""
	}
	var problems []endpoint.Problem
	switch {
	case len(spec.Password) > endpoint.MaxLoginText:
		problems = append(problems, endpoint.Problem{Field: "password", Code: endpoint.CodeTooLong,
			Message: fmt.Sprintf("want at most %d bytes", endpoint.MaxLoginText)})
	case spec.Password != "":
		sealed, err := o.Sealer.Seal(spec.Password)
		if err != nil {
			return fmt.Errorf("seal password: %w", err)
		}
		t.PasswordEnc = sealed
	}
	problems = append(problems, t.Validate()...)
	problems = append(problems, o.undiallableHosts(t.AcceptRefer)...)
	for i, a := range t.Addresses {
		if why := o.undiallable(a.Host); why != "" {
			problems = append(problems, endpoint.Problem{Field: fmt.Sprintf("addresses[%d].host", i), Code: endpoint.CodeInvalid, Message: why})
		}
	}
	if len(problems) > 0 {
		return invalidAll(problems)
	}
	return nil
}

// CreateTrunk makes a trunk. It is active unless the spec says otherwise.
func (o *Operations) CreateTrunk(ctx context.Context, tenant string, in NewTrunk) (TrunkView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.trunkAgain(ctx, tenant, before, err)
	}
	spec, err := merge(TrunkSpec{Name: "trunk", IsActive: true, Addresses: []endpoint.TrunkAddress{}}, in.Spec)
	if err != nil {
		return TrunkView{}, err
	}
	if in.ID == "" {
		in.ID = NewUUID()
	}
	t := endpoint.Trunk{V: 1, ID: in.ID, Tenant: tenant, CreatedAt: o.Now()}
	if err := o.putTrunk(&t, spec); err != nil {
		return TrunkView{}, err
	}
	if t.Revision, err = o.Trunks.CreateTrunk(ctx, t, o.terms(ctx, tenant, nil)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.trunkAgain(ctx, tenant, before, nil)
		}
		return TrunkView{}, fmt.Errorf("create trunk: %w", err)
	}
	return trunkViewOf(t), nil
}

// trunkAgain answers a creation that was made before with what it made, as it
// stands.
func (o *Operations) trunkAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (TrunkView, error) {
	return madeAgain(ctx, tenant, before, err, o.Trunks.TrunkByID, trunkViewOf)
}

// GetTrunk returns one trunk, without its password.
func (o *Operations) GetTrunk(ctx context.Context, tenant string, in ID) (TrunkView, error) {
	return got(ctx, tenant, in, "trunk", o.Trunks.TrunkByID, trunkViewOf)
}

// ListTrunks returns one page of the tenant's trunks, oldest first.
func (o *Operations) ListTrunks(ctx context.Context, tenant string, in PageRequest) (Page[TrunkView], error) {
	return listed(ctx, tenant, in, "trunks", o.Trunks.Trunks, trunkViewOf)
}

// UpdateTrunk changes a trunk. Calls that are up go on as they are.
func (o *Operations) UpdateTrunk(ctx context.Context, tenant string, in Change) (TrunkView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return TrunkView{}, err
	}
	t, err := o.Trunks.TrunkByID(ctx, tenant, in.ID)
	if err == nil && in.stale(t.Revision) {
		err = endpoint.ErrConflict
	}
	if err != nil {
		return TrunkView{}, fmt.Errorf("update trunk %s: %w", in.ID, err)
	}
	spec, err := merge(trunkSpecOf(t), in.Patch)
	if err != nil {
		return TrunkView{}, err
	}
	if err := o.putTrunk(&t, spec); err != nil {
		return TrunkView{}, err
	}
	if t.Revision, err = o.Trunks.UpdateTrunk(ctx, t); err != nil {
		return TrunkView{}, fmt.Errorf("update trunk %s: %w", in.ID, err)
	}
	return trunkViewOf(t), nil
}

// DeleteTrunk removes a trunk. Calls that are up go on.
func (o *Operations) DeleteTrunk(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	t, err := o.Trunks.TrunkByID(ctx, tenant, in.ID)
	if err == nil && in.stale(t.Revision) {
		err = endpoint.ErrConflict
	}
	if err == nil {
		err = o.Trunks.DeleteTrunk(ctx, t)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete trunk %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

// trunkTable is the part about calls that we place.
func (o *Operations) trunkTable() []operation {
	return []operation{
		own("trunk", "create", o.CreateTrunk, endpoint.ScopeEndpointsManage),
		own("trunk", "get", o.GetTrunk, endpoint.ScopeEndpointsRead),
		own("trunk", "list", o.ListTrunks, endpoint.ScopeEndpointsRead),
		own("trunk", "update", o.UpdateTrunk, endpoint.ScopeEndpointsManage),
		own("trunk", "delete", o.DeleteTrunk, endpoint.ScopeEndpointsManage),
		own("call", "create", o.CreateCall, endpoint.ScopeCallsManage),
	}
}
