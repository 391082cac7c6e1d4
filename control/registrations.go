package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

// A RegistrationSpec is what an owner may set of a registration that stands
// alone.
type RegistrationSpec struct {
	Name string `json:"name,omitempty"`
	RegisterSpec
	Compat map[string]json.RawMessage `json:"compat,omitempty"`
}

// A RegistrationView is a registration as its owner reads it.
type RegistrationView struct {
	ID        string            `json:"id"`
	ProjectID string            `json:"project_id,omitempty"`
	Origin    string            `json:"origin,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Revision  endpoint.Revision `json:"revision"`
	RegistrationSpec
}

// A NewRegistration is the request of registration.create.
type NewRegistration struct {
	ID        string          `json:"id,omitempty"`         // a UUID of the caller's choice; "": made here
	ProjectID string          `json:"project_id,omitempty"` // "": the account's first
	Origin    string          `json:"origin,omitempty"`     // the API that it is made through; "": native
	Spec      json.RawMessage `json:"spec"`                 // a RegistrationSpec
}

// CreateRegistration makes a registration that is of no endpoint. This release
// keeps it and registers nowhere: its status is disabled.
func (o *Operations) CreateRegistration(ctx context.Context, tenant string, in NewRegistration) (RegistrationView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.registrationAgain(ctx, tenant, before, err)
	}
	spec, err := merge(RegistrationSpec{}, in.Spec)
	if err != nil {
		return RegistrationView{}, err
	}
	acct, err := o.account(ctx, tenant)
	if err != nil {
		return RegistrationView{}, err
	}
	if in.ProjectID != "" && acct.Project(in.ProjectID) == nil {
		return RegistrationView{}, invalid("project_id", "unknown", "no such project")
	}
	r := endpoint.Registration{V: 1, Tenant: tenant, Origin: orNative(in.Origin),
		OutRegistration: endpoint.OutRegistration{ID: orNewUUID(in.ID), ProjectID: in.ProjectID, CreatedAt: o.Now()}}
	if err := o.putRegistration(spec, &r); err != nil {
		return RegistrationView{}, err
	}
	if r.Revision, err = o.Store.CreateRegistration(ctx, r, o.terms(ctx, tenant, acct)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.registrationAgain(ctx, tenant, before, nil)
		}
		return RegistrationView{}, fmt.Errorf("create registration: %w", err)
	}
	return registrationViewOf(r), nil
}

// putRegistration writes spec over r, or returns every mistake.
func (o *Operations) putRegistration(spec RegistrationSpec, r *endpoint.Registration) error {
	r.Name, r.Compat, r.UpdatedAt = spec.Name, spec.Compat, o.Now()
	problems, err := o.putOut(spec.RegisterSpec, &r.OutRegistration, "")
	if err != nil {
		return err
	}
	if len(problems) == 0 {
		problems = r.Validate()
	}
	if len(problems) > 0 {
		return invalidAll(problems)
	}
	return nil
}

func (o *Operations) registrationAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (RegistrationView, error) {
	return madeAgain(ctx, tenant, before, err, o.Store.RegistrationByID, registrationViewOf)
}

// GetRegistration returns one registration, without its password.
func (o *Operations) GetRegistration(ctx context.Context, tenant string, in ID) (RegistrationView, error) {
	return got(ctx, tenant, in, "registration", o.Store.RegistrationByID, registrationViewOf)
}

// ListRegistrations returns one page of the registrations that are of no
// endpoint, oldest first.
func (o *Operations) ListRegistrations(ctx context.Context, tenant string, in PageRequest) (Page[RegistrationView], error) {
	return listed(ctx, tenant, in, "registrations", o.Store.Registrations, registrationViewOf)
}

// UpdateRegistration changes a registration. Without a password the old stays.
func (o *Operations) UpdateRegistration(ctx context.Context, tenant string, in Change) (RegistrationView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return RegistrationView{}, err
	}
	r, err := o.Store.RegistrationByID(ctx, tenant, in.ID)
	if err == nil && in.stale(r.Revision) {
		err = endpoint.ErrConflict
	}
	if err != nil {
		return RegistrationView{}, fmt.Errorf("update registration %s: %w", in.ID, err)
	}
	spec, err := merge(registrationViewOf(r).RegistrationSpec, in.Patch)
	if err != nil {
		return RegistrationView{}, err
	}
	if err := o.putRegistration(spec, &r); err != nil {
		return RegistrationView{}, err
	}
	if r.Revision, err = o.Store.UpdateRegistration(ctx, r); err != nil {
		return RegistrationView{}, fmt.Errorf("update registration %s: %w", in.ID, err)
	}
	return registrationViewOf(r), nil
}

// DeleteRegistration removes a registration.
func (o *Operations) DeleteRegistration(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	r, err := o.Store.RegistrationByID(ctx, tenant, in.ID)
	if err == nil && in.stale(r.Revision) {
		err = endpoint.ErrConflict
	}
	if err == nil {
		err = o.Store.DeleteRegistration(ctx, r)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete registration %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

func registrationViewOf(r endpoint.Registration) RegistrationView {
	return RegistrationView{ID: r.ID, ProjectID: r.ProjectID, Origin: r.Origin, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Revision: r.Revision,
		RegistrationSpec: RegistrationSpec{Name: r.Name, RegisterSpec: registerSpecOf(&r.OutRegistration), Compat: r.Compat}}
}
