package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"patchbay/actors/endpoint"
)

// A NewEndpoint is the request of endpoint.create.
type NewEndpoint struct {
	SlugPrefix string          `json:"slug_prefix,omitempty"` // 1 to 12 characters; "": ep
	ProjectID  string          `json:"project_id,omitempty"`  // "": the account's first
	User       string          `json:"user,omitempty"`        // at the account's domain, instead of a slug
	AgentID    string          `json:"agent_id,omitempty"`    // short for a handler bound to this agent
	Spec       json.RawMessage `json:"spec,omitempty"`        // an EndpointSpec over the defaults
}

// defaultPrefix starts the slug of an endpoint whose owner named none.
const defaultPrefix = "ep"

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
	now := o.Now()
	ep := endpoint.Endpoint{V: 1, ID: NewUUID(), Tenant: tenant, Origin: "native", CreatedAt: now}
	if err := place(&ep, in, acct); err != nil {
		return EndpointView{}, err
	}
	if problems := spec.put(&ep, now); len(problems) > 0 {
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

// place gives a new endpoint its project and its address.
func place(ep *endpoint.Endpoint, in NewEndpoint, acct *endpoint.Account) error {
	if in.ProjectID != "" && acct.Project(in.ProjectID) == nil {
		return invalid("project_id", "unknown", "no such project")
	}
	ep.ProjectID = in.ProjectID
	return address(ep, in, acct)
}

// address gives a new endpoint its slug, or its user at the account's domain.
func address(ep *endpoint.Endpoint, in NewEndpoint, acct *endpoint.Account) error {
	if in.User != "" {
		if in.SlugPrefix != "" {
			return invalid("slug_prefix", endpoint.CodeInvalid, "a user at the account's domain has no slug")
		}
		ep.Kind, ep.User, ep.Domain = endpoint.KindAddress, in.User, acct.SIP.DomainIdentifier
		return nil
	}
	if in.SlugPrefix == "" {
		in.SlugPrefix = defaultPrefix
	}
	var random [endpoint.SlugSecret]byte
	_, _ = rand.Read(random[:])
	slug, err := endpoint.NewSlug(in.SlugPrefix, random)
	if err != nil {
		return problemOf(err)
	}
	ep.Kind, ep.Slug = endpoint.KindSlug, slug
	return nil
}

// endpointAgain answers a creation that was made before with what it made, as
// it stands.
func (o *Operations) endpointAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (EndpointView, error) {
	var ep endpoint.Endpoint
	if err == nil {
		ep, err = o.Store.EndpointByID(ctx, tenant, before.ID)
	}
	if err != nil {
		return EndpointView{}, again(err)
	}
	return o.viewOf(ep), nil
}

// GetEndpoint returns one endpoint.
func (o *Operations) GetEndpoint(ctx context.Context, tenant string, in ID) (EndpointView, error) {
	if err := in.check(); err != nil {
		return EndpointView{}, err
	}
	ep, err := o.Store.EndpointByID(ctx, tenant, in.ID)
	if err != nil {
		return EndpointView{}, fmt.Errorf("get endpoint %s: %w", in.ID, err)
	}
	return o.withTotals(ctx, []endpoint.Endpoint{ep}, []EndpointView{o.viewOf(ep)})[0], nil
}

// ListEndpoints returns one page of the tenant's endpoints, oldest first.
func (o *Operations) ListEndpoints(ctx context.Context, tenant string, in PageRequest) (Page[EndpointView], error) {
	limit, err := in.limit()
	if err != nil {
		return Page[EndpointView]{}, err
	}
	eps, next, err := o.Store.Endpoints(ctx, tenant, in.Cursor, limit)
	if err != nil {
		return Page[EndpointView]{}, fmt.Errorf("list endpoints: %w", err)
	}
	page := Page[EndpointView]{Items: make([]EndpointView, len(eps)), Next: next}
	for i, ep := range eps {
		page.Items[i] = o.viewOf(ep)
	}
	page.Items = o.withTotals(ctx, eps, page.Items)
	return page, nil
}

// UpdateEndpoint changes an endpoint; its slug never changes.
func (o *Operations) UpdateEndpoint(ctx context.Context, tenant string, in Change) (EndpointView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return EndpointView{}, err
	}
	ep, err := o.Store.EndpointByID(ctx, tenant, in.ID)
	if err != nil {
		return EndpointView{}, fmt.Errorf("update endpoint %s: %w", in.ID, err)
	}
	if in.Revision != 0 && in.Revision != ep.Revision {
		return EndpointView{}, fmt.Errorf("update endpoint %s: %w", in.ID, endpoint.ErrConflict)
	}
	spec, err := merge(specOf(ep), in.Patch)
	if err != nil {
		return EndpointView{}, err
	}
	if problems := spec.put(&ep, o.Now()); len(problems) > 0 {
		return EndpointView{}, invalidAll(problems)
	}
	if err := o.agentExists(ctx, tenant, ep.Handler); err != nil {
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
	ep, err := o.Store.EndpointByID(ctx, tenant, in.ID)
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
