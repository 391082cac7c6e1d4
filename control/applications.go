package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
)

// An ApplicationSpec is what an owner may set of an application.
type ApplicationSpec struct {
	Name               string                     `json:"name"`
	Type               string                     `json:"type,omitempty"` // XML
	Answer             endpoint.Hook              `json:"answer"`
	Hangup             endpoint.Hook              `json:"hangup"`
	Fallback           endpoint.Hook              `json:"fallback"`
	Message            endpoint.Hook              `json:"message"`
	Transfer           endpoint.Hook              `json:"sip_transfer"`
	Status             endpoint.Hook              `json:"status"`
	DefaultNumberApp   bool                       `json:"default_number_app,omitempty"`
	DefaultEndpointApp bool                       `json:"default_endpoint_app,omitempty"`
	DefaultApp         bool                       `json:"default_app,omitempty"`
	Enabled            bool                       `json:"enabled"`
	PublicURI          bool                       `json:"public_uri,omitempty"`
	LogIncomingMessage bool                       `json:"log_incoming_message,omitempty"`
	SubAccount         *string                    `json:"sub_account,omitempty"`
	Compat             map[string]json.RawMessage `json:"compat,omitempty"`
}

// An ApplicationView is an application as its owner reads it.
type ApplicationView struct {
	ID        string            `json:"id"`
	NumericID string            `json:"numeric_id"`
	ProjectID string            `json:"project_id,omitempty"`
	Origin    string            `json:"origin,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
	Revision  endpoint.Revision `json:"revision"`
	ApplicationSpec
}

// A NewApplication is the request of application.create.
type NewApplication struct {
	ID        string          `json:"id,omitempty"`         // a UUID of the caller's choice; "": made here
	ProjectID string          `json:"project_id,omitempty"` // "": the account's first
	Origin    string          `json:"origin,omitempty"`     // the API that it is made through; "": native
	Spec      json.RawMessage `json:"spec"`                 // an ApplicationSpec over the defaults
}

// CreateApplication makes an application. It is enabled unless the spec says
// otherwise.
func (o *Operations) CreateApplication(ctx context.Context, tenant string, in NewApplication) (ApplicationView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.applicationAgain(ctx, tenant, before, err)
	}
	spec, err := merge(ApplicationSpec{Name: "application", Enabled: true}, in.Spec)
	if err != nil {
		return ApplicationView{}, err
	}
	if in.ProjectID != "" {
		if err := o.projectExists(ctx, tenant, in.ProjectID); err != nil {
			return ApplicationView{}, err
		}
	}
	a := endpoint.Application{V: 1, ID: orNewUUID(in.ID), NumericID: newNumericID(), Tenant: tenant, ProjectID: in.ProjectID,
		Origin: orNative(in.Origin), CreatedAt: o.Now()}
	if problems := spec.put(&a, o.Now()); len(problems) > 0 {
		return ApplicationView{}, invalidAll(problems)
	}
	if a.Revision, err = o.Store.CreateApplication(ctx, a, o.terms(ctx, tenant, nil)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.applicationAgain(ctx, tenant, before, nil)
		}
		return ApplicationView{}, fmt.Errorf("create application: %w", err)
	}
	return applicationViewOf(a), nil
}

func orNewUUID(id string) string {
	if id == "" {
		return NewUUID()
	}
	return id
}

func orNative(origin string) string {
	if origin == "" {
		return endpoint.KindOfNative
	}
	return origin
}

func (o *Operations) applicationAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (ApplicationView, error) {
	return madeAgain(ctx, tenant, before, err, o.Store.ApplicationByID, applicationViewOf)
}

// applicationOf reads an application by its id or its numeric id.
func (o *Operations) applicationOf(ctx context.Context, tenant, id string) (endpoint.Application, error) {
	if endpoint.IsNumericID(id) {
		return o.Store.ApplicationByNumber(ctx, tenant, id)
	}
	return o.Store.ApplicationByID(ctx, tenant, id)
}

// GetApplication returns one application.
func (o *Operations) GetApplication(ctx context.Context, tenant string, in ID) (ApplicationView, error) {
	return got(ctx, tenant, in, "application", o.applicationOf, applicationViewOf)
}

// ListApplications returns one page of the tenant's applications, oldest first.
func (o *Operations) ListApplications(ctx context.Context, tenant string, in PageRequest) (Page[ApplicationView], error) {
	return listed(ctx, tenant, in, "applications", o.Store.Applications, applicationViewOf)
}

// UpdateApplication changes an application.
func (o *Operations) UpdateApplication(ctx context.Context, tenant string, in Change) (ApplicationView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return ApplicationView{}, err
	}
	a, err := o.applicationOf(ctx, tenant, in.ID)
	if err == nil && in.stale(a.Revision) {
		err = endpoint.ErrConflict
	}
	if err != nil {
		return ApplicationView{}, fmt.Errorf("update application %s: %w", in.ID, err)
	}
	spec, err := merge(applicationViewOf(a).ApplicationSpec, in.Patch)
	if err != nil {
		return ApplicationView{}, err
	}
	if problems := spec.put(&a, o.Now()); len(problems) > 0 {
		return ApplicationView{}, invalidAll(problems)
	}
	if a.Revision, err = o.Store.UpdateApplication(ctx, a); err != nil {
		return ApplicationView{}, fmt.Errorf("update application %s: %w", in.ID, err)
	}
	return applicationViewOf(a), nil
}

// DeleteApplication removes an application. Endpoints that still name it refuse
// calls, as they did before.
func (o *Operations) DeleteApplication(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	a, err := o.applicationOf(ctx, tenant, in.ID)
	if err == nil && in.stale(a.Revision) {
		err = endpoint.ErrConflict
	}
	if err == nil {
		err = o.Store.DeleteApplication(ctx, a)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete application %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

func (s ApplicationSpec) put(a *endpoint.Application, now time.Time) []endpoint.Problem {
	a.Name, a.Type, a.Enabled, a.PublicURI, a.LogIncomingMessage = s.Name, s.Type, s.Enabled, s.PublicURI, s.LogIncomingMessage
	a.Answer, a.Hangup, a.Fallback, a.Message, a.Transfer, a.Status = s.Answer, s.Hangup, s.Fallback, s.Message, s.Transfer, s.Status
	a.DefaultNumberApp, a.DefaultEndpointApp, a.DefaultApp = s.DefaultNumberApp, s.DefaultEndpointApp, s.DefaultApp
	a.SubAccount, a.Compat, a.UpdatedAt = s.SubAccount, s.Compat, now
	return a.Validate()
}

func applicationViewOf(a endpoint.Application) ApplicationView {
	return ApplicationView{ID: a.ID, NumericID: a.NumericID, ProjectID: a.ProjectID, Origin: a.Origin, CreatedAt: a.CreatedAt,
		UpdatedAt: a.UpdatedAt, Revision: a.Revision, ApplicationSpec: ApplicationSpec{
			Name: a.Name, Type: a.Type, Enabled: a.Enabled, PublicURI: a.PublicURI, LogIncomingMessage: a.LogIncomingMessage,
			Answer: a.Answer, Hangup: a.Hangup, Fallback: a.Fallback, Message: a.Message, Transfer: a.Transfer, Status: a.Status,
			DefaultNumberApp: a.DefaultNumberApp, DefaultEndpointApp: a.DefaultEndpointApp, DefaultApp: a.DefaultApp,
			SubAccount: a.SubAccount, Compat: a.Compat}}
}
