package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"patchbay/actors/endpoint"
)

// A NewAgent is the request of agent.create.
type NewAgent struct {
	ID        string          `json:"id,omitempty"`         // a UUID of the caller's choice; "": made here
	ProjectID string          `json:"project_id,omitempty"` // "": the account's first
	Spec      json.RawMessage `json:"spec"`                 // an AgentSpec over the defaults
}

// newAgentSpec is what an agent has unless its owner says otherwise.
func newAgentSpec() AgentSpec {
	return AgentSpec{Name: "agent", IsActive: true, DTMF: endpoint.DTMFPolicy{RTP: true, DataChannel: true}}
}

// CreateAgent makes an agent. It is active unless the spec says otherwise.
func (o *Operations) CreateAgent(ctx context.Context, tenant string, in NewAgent) (AgentView, error) {
	if before, err := o.repeated(ctx, tenant); err != nil || before.ID != "" {
		return o.agentAgain(ctx, tenant, before, err)
	}
	spec, err := merge(newAgentSpec(), in.Spec)
	if err != nil {
		return AgentView{}, err
	}
	if in.ID == "" {
		in.ID = NewUUID()
	}
	if in.ProjectID != "" {
		if err := o.projectExists(ctx, tenant, in.ProjectID); err != nil {
			return AgentView{}, err
		}
	}
	now := o.Now()
	a := endpoint.Agent{V: 1, ID: in.ID, Tenant: tenant, ProjectID: in.ProjectID, CreatedAt: now}
	problems, err := o.putAgent(&a, spec, now)
	if err != nil {
		return AgentView{}, fmt.Errorf("create agent: %w", err)
	}
	if len(problems) > 0 {
		return AgentView{}, invalidAll(problems)
	}
	if a.Revision, err = o.Store.CreateAgent(ctx, a, o.terms(ctx, tenant, nil)); err != nil {
		if before, err := repeatOf(err); err == nil {
			return o.agentAgain(ctx, tenant, before, nil)
		}
		return AgentView{}, fmt.Errorf("create agent: %w", err)
	}
	return agentViewOf(a), nil
}

// putAgent writes spec over a.
func (o *Operations) putAgent(a *endpoint.Agent, spec AgentSpec, now time.Time) ([]endpoint.Problem, error) {
	problems, err := spec.put(a, o.Sealer.Seal, now)
	if a.WebhookURL != nil && !o.PlainWebhooks && !strings.HasPrefix(*a.WebhookURL, "https://") {
		problems = append(problems, endpoint.Problem{Field: "webhook_url", Code: endpoint.CodeInvalid,
			Message: "want https://: this node sends events over TLS only"})
	}
	return problems, err
}

// agentAgain answers a creation that was made before with what it made, as it
// stands.
func (o *Operations) agentAgain(ctx context.Context, tenant string, before endpoint.Repeat, err error) (AgentView, error) {
	return madeAgain(ctx, tenant, before, err, o.Store.AgentByID, agentViewOf)
}

// GetAgent returns one agent, without its secret.
func (o *Operations) GetAgent(ctx context.Context, tenant string, in ID) (AgentView, error) {
	return got(ctx, tenant, in, "agent", o.Store.AgentByID, agentViewOf)
}

// ListAgents returns one page of the tenant's agents, oldest first.
func (o *Operations) ListAgents(ctx context.Context, tenant string, in PageRequest) (Page[AgentView], error) {
	return listed(ctx, tenant, in, "agents", o.Store.Agents, agentViewOf)
}

// UpdateAgent changes an agent; it counts from the next call on.
func (o *Operations) UpdateAgent(ctx context.Context, tenant string, in Change) (AgentView, error) {
	if err := (ID{in.ID}).check(); err != nil {
		return AgentView{}, err
	}
	a, err := o.Store.AgentByID(ctx, tenant, in.ID)
	if err != nil {
		return AgentView{}, fmt.Errorf("update agent %s: %w", in.ID, err)
	}
	if in.stale(a.Revision) {
		return AgentView{}, fmt.Errorf("update agent %s: %w", in.ID, endpoint.ErrConflict)
	}
	spec, err := merge(agentSpecOf(a), in.Patch)
	if err != nil {
		return AgentView{}, err
	}
	problems, err := o.putAgent(&a, spec, o.Now())
	if err != nil {
		return AgentView{}, fmt.Errorf("update agent %s: %w", in.ID, err)
	}
	if len(problems) > 0 {
		return AgentView{}, invalidAll(problems)
	}
	if a.Revision, err = o.Store.UpdateAgent(ctx, a); err != nil {
		return AgentView{}, fmt.Errorf("update agent %s: %w", in.ID, err)
	}
	return agentViewOf(a), nil
}

// DeleteAgent removes an agent. Endpoints that still name it refuse calls with
// 480 until they name another.
func (o *Operations) DeleteAgent(ctx context.Context, tenant string, in Target) (Deleted, error) {
	if err := in.check(); err != nil {
		return Deleted{}, err
	}
	a, err := o.Store.AgentByID(ctx, tenant, in.ID)
	if err == nil && in.stale(a.Revision) {
		err = endpoint.ErrConflict
	}
	if err == nil {
		err = o.Store.DeleteAgent(ctx, a)
	}
	if err != nil {
		return Deleted{}, fmt.Errorf("delete agent %s: %w", in.ID, err)
	}
	return Deleted{in.ID}, nil
}

// problemOf turns a single Problem into what a client is told.
func problemOf(err error) error {
	var p endpoint.Problem
	if errors.As(err, &p) {
		return invalidAll([]endpoint.Problem{p})
	}
	return err
}
