package control

import (
	"context"
	"encoding/json"
	"fmt"

	"patchbay/actors/endpoint"
)

// A NewEndpoint is the request of endpoint.create.
type NewEndpoint struct {
	Kind       endpoint.Kind   `json:"kind,omitempty"`        // "": slug, or address where there is a user
	SlugPrefix string          `json:"slug_prefix,omitempty"` // 1 to 12 characters; "": ep
	ProjectID  string          `json:"project_id,omitempty"`  // "": the account's first
	User       string          `json:"user,omitempty"`        // at the account's domain, instead of a slug
	Domain     string          `json:"domain,omitempty"`      // of kind domain: its label
	AgentID    string          `json:"agent_id,omitempty"`    // short for a handler bound to this agent
	Origin     string          `json:"origin,omitempty"`      // the API that it is made through; "": native
	Spec       json.RawMessage `json:"spec,omitempty"`        // an EndpointSpec over the defaults
}

// newEndpointSpec is what an endpoint has unless its owner says otherwise.
func newEndpointSpec() EndpointSpec {
	return EndpointSpec{Name: "endpoint", IsActive: true, IP: IPSpec{Mode: endpoint.IPAny},
		Auth: AuthSpec{Mode: endpoint.AuthNone}, Perm: endpoint.DefaultPermissions()}
}

// CreateEndpoint makes an endpoint with a slug of its own, or a user at the
// account's domain. It is active and admits every source unless the spec says
// otherwise.
func (o *Operations) CreateEndpoint(ctx context.Context, tenant string, in NewEndpoint) (EndpointView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.endpointAgain(ctx, tenant, before, err)
	}
	base := newEndpointSpec()
	if in.AgentID != "" {
		base.Handler = endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: &in.AgentID}
	}
	spec, err := merge(base, in.Spec)
	if err != nil {
		return EndpointView{}, err
	}
	acct, err := o.account(ctx, tenant)
	if err != nil {
		return EndpointView{}, err
	}
	ep := endpoint.Endpoint{V: 1, ID: NewUUID(), Tenant: tenant, CreatedAt: o.Now()}
	if err := place(&ep, in, acct); err != nil {
		return EndpointView{}, err
	}
	problems, err := o.putEndpoint(spec, &ep)
	if err != nil {
		return EndpointView{}, fmt.Errorf("create endpoint: %w", err)
	}
	if len(problems) > 0 {
		return EndpointView{}, invalidAll(problems)
	}
	if err := o.agentExists(ctx, tenant, ep.Handler); err != nil {
		return EndpointView{}, err
	}
	if ep.Revision, err = o.Store.CreateEndpoint(ctx, ep, o.terms(ctx, tenant, acct)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.endpointAgain(ctx, tenant, before, nil)
		}
		return EndpointView{}, fmt.Errorf("create endpoint: %w", err)
	}
	return o.viewOf(ep), nil
}

// endpointAgain answers a creation that was made before with what it made, as
// it stands.
func (o *Operations) endpointAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (EndpointView, error) {
	return madeAgain(ctx, tenant, before, err, o.Store.EndpointByID, o.viewOf)
}

// GetEndpoint returns one endpoint.
func (o *Operations) GetEndpoint(ctx context.Context, tenant string, in ID) (EndpointView, error) {
	if err := in.check(); err != nil {
		return EndpointView{}, err
	}
	ep, err := o.endpointOf(ctx, tenant, in.ID)
	if err != nil {
		return EndpointView{}, fmt.Errorf("get endpoint %s: %w", in.ID, err)
	}
	return o.withTotals(ctx, []endpoint.Endpoint{ep}, []EndpointView{o.viewOf(ep)})[0], nil
}

// UpdateEndpoint changes an endpoint; its slug never changes.
func (o *Operations) UpdateEndpoint(ctx context.Context, tenant string, in Change) (EndpointView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return EndpointView{}, err
	}
	ep, err := o.endpointOf(ctx, tenant, in.ID)
	if err != nil {
		return EndpointView{}, fmt.Errorf("update endpoint %s: %w", in.ID, err)
	}
	if in.stale(ep.Revision) {
		return EndpointView{}, fmt.Errorf("update endpoint %s: %w", in.ID, endpoint.ErrConflict)
	}
	spec, err := merge(specOf(ep), in.Patch)
	if err != nil {
		return EndpointView{}, err
	}
	before := ep.Handler
	problems, err := o.putEndpoint(spec, &ep)
	if err != nil {
		return EndpointView{}, fmt.Errorf("update endpoint %s: %w", in.ID, err)
	}
	if len(problems) > 0 {
		return EndpointView{}, invalidAll(problems)
	}
	if err := o.newlyNamed(ctx, tenant, before, ep.Handler); err != nil {
		return EndpointView{}, err
	}
	if ep.Revision, err = o.Store.UpdateEndpoint(ctx, ep); err != nil {
		return EndpointView{}, fmt.Errorf("update endpoint %s: %w", in.ID, err)
	}
	return o.viewOf(ep), nil
}

// DeleteEndpoint removes an endpoint. When it returns, its slug is refused;
// calls that are up go on.
func (o *Operations) DeleteEndpoint(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	ep, err := o.endpointOf(ctx, tenant, in.ID)
	if err == nil && in.stale(ep.Revision) {
		err = endpoint.ErrConflict
	}
	if err == nil {
		err = o.Store.DeleteEndpoint(ctx, ep)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete endpoint %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

// agentExists refuses a handler that names an agent the tenant does not have.
func (o *Operations) agentExists(ctx context.Context, tenant string, h endpoint.Handler) error {
	id, field := h.AgentID, "handler.agent_id"
	if h.Active == endpoint.HandlerAIAgent {
		id, field = h.AIAgentID, "handler.ai_agent_id"
	}
	if id == nil || h.Active != endpoint.HandlerAgent && h.Active != endpoint.HandlerAIAgent {
		return nil
	}
	_, err := o.Store.AgentByID(ctx, tenant, *id)
	if err == nil {
		return nil
	}
	if e := errorOf(err); e.Code == CodeNotFound {
		return invalid(field, "unknown", "no such agent")
	}
	return fmt.Errorf("look up agent %s: %w", *id, err)
}
