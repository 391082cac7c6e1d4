package control

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"patchbay/actors/endpoint"
)

// A NewNumber is the request of number.create.
type NewNumber struct {
	Number     string `json:"number"`          // E.164, with or without +
	Trunk      string `json:"trunk,omitempty"` // address or CIDR range it is dialled from; "": any
	EndpointID string `json:"endpoint_id"`
}

// A NumberView is a claim on a number as its owner reads it.
type NumberView struct {
	ID         string            `json:"id"`
	Number     string            `json:"number"` // with +
	Trunk      string            `json:"trunk,omitempty"`
	EndpointID string            `json:"endpoint_id"`
	CreatedAt  time.Time         `json:"created_at"`
	Revision   endpoint.Revision `json:"revision"`
}

func numberViewOf(n endpoint.Number) NumberView {
	v := NumberView{ID: n.ID, Number: "+" + n.Digits, EndpointID: n.EndpointID, CreatedAt: n.CreatedAt, Revision: n.Revision}
	if n.Trunk.IsValid() {
		v.Trunk = n.Trunk.String()
	}
	return v
}

// CreateNumber makes a number lead to an endpoint. A second claim, also of
// another account, is CodeExists.
func (o *Operations) CreateNumber(ctx context.Context, tenant string, in NewNumber) (NumberView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.numberAgain(ctx, tenant, before, err)
	}
	n := endpoint.Number{V: 1, ID: NewUUID(), Tenant: tenant, EndpointID: in.EndpointID, CreatedAt: o.Now()}
	var problems []endpoint.Problem
	digits, ok := endpoint.ParseNumber(in.Number)
	if n.Digits = digits; !ok {
		problems = append(problems, endpoint.Problem{Field: "number", Code: endpoint.CodeInvalid, Message: "want 3 to 15 digits, with or without +"})
	}
	if n.Trunk, ok = trunkOf(in.Trunk); !ok {
		problems = append(problems, endpoint.Problem{Field: "trunk", Code: endpoint.CodeInvalid, Message: "want an IP address or a CIDR range, without a zone"})
	}
	if len(problems) == 0 {
		problems = n.Validate()
	}
	if len(problems) > 0 {
		return NumberView{}, invalidAll(problems)
	}
	if err := o.leadTo(ctx, &n); err != nil {
		return NumberView{}, err
	}
	var err error
	if n.Revision, err = o.Store.CreateNumber(ctx, n, o.terms(ctx, tenant, nil)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.numberAgain(ctx, tenant, before, nil)
		}
		return NumberView{}, fmt.Errorf("create number: %w", err)
	}
	return numberViewOf(n), nil
}

func trunkOf(text string) (netip.Prefix, bool) {
	if text == "" {
		return netip.Prefix{}, true
	}
	entry, err := endpoint.ParseIPEntry(text)
	return entry.Prefix, err == nil
}

// leadTo finds the endpoint that a number is for.
func (o *Operations) leadTo(ctx context.Context, n *endpoint.Number) error {
	ep, err := o.Store.EndpointByID(ctx, n.Tenant, n.EndpointID)
	if err != nil {
		if errorOf(err).Code == CodeNotFound {
			return invalid("endpoint_id", "unknown", "no such endpoint")
		}
		return fmt.Errorf("look up endpoint %s: %w", n.EndpointID, err)
	}
	addr, ok := ep.Address()
	if !ok {
		return invalid("endpoint_id", endpoint.CodeNotSupported, "this endpoint has no address that is served")
	}
	n.Key, n.Partition = addr.Key(), addr.Partition()
	return nil
}

func (o *Operations) numberAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (NumberView, error) {
	return madeAgain(ctx, tenant, before, err, o.Store.NumberByID, numberViewOf)
}

// GetNumber returns one claim.
func (o *Operations) GetNumber(ctx context.Context, tenant string, in ID) (NumberView, error) {
	return got(ctx, tenant, in, "number", o.Store.NumberByID, numberViewOf)
}

// ListNumbers returns one page of the tenant's claims, oldest first.
func (o *Operations) ListNumbers(ctx context.Context, tenant string, in PageRequest) (Page[NumberView], error) {
	return listed(ctx, tenant, in, "numbers", o.Store.Numbers, numberViewOf)
}

// DeleteNumber gives a number back.
func (o *Operations) DeleteNumber(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	n, err := o.Store.NumberByID(ctx, tenant, in.ID)
	if err == nil && in.stale(n.Revision) {
		err = endpoint.ErrConflict
	}
	if err == nil {
		err = o.Store.DeleteNumber(ctx, tenant, in.ID)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete number %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}
