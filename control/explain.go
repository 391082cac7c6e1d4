package control

import (
	"context"
	"fmt"

	"patchbay/actors"
	"patchbay/actors/endpoint"
)

// An Explainer asks the decider of an address what it would decide now.
type Explainer interface {
	// Explain decides dry. What another tenant owns does not exist.
	Explain(ctx context.Context, tenant string, inv endpoint.Invite) (actors.Explanation, error)
}

// An ExplainRequest is a call that might come: the Request-URI, the address it
// comes from, and header fields such as To.
type ExplainRequest struct {
	URI       string            `json:"uri"`
	Source    string            `json:"source"`              // ip or ip:port of the packet
	Transport string            `json:"transport,omitempty"` // udp unless said
	Headers   map[string]string `json:"headers,omitempty"`
}

// An ExplanationView says what would become of a call, and why.
type ExplanationView struct {
	Action       endpoint.Action `json:"action"`
	Rule         endpoint.Rule   `json:"rule"`               // that decides
	Route        int             `json:"route,omitempty"`    // of route_rule: its place in the account's list, from 1
	Agent        string          `json:"agent_id,omitempty"` // of accept
	AgentName    string          `json:"agent_name,omitempty"`
	Status       int             `json:"status,omitempty"` // of reject: the truth
	Reason       endpoint.Reason `json:"reason,omitempty"`
	ShownStatus  int             `json:"shown_status,omitempty"` // of reject: what the carrier gets
	ShownReason  string          `json:"shown_reason,omitempty"`
	EndpointID   string          `json:"endpoint_id,omitempty"` // absent: the account's own policy decides, or nothing is there
	Key          endpoint.Key    `json:"key"`
	Calls        int             `json:"calls"`         // that count against the endpoint's cap now
	ProjectCalls int             `json:"project_calls"` // that count against its project's
	RateSpent    bool            `json:"rate_spent,omitempty"`
	AsksWebhook  bool            `json:"asks_webhook,omitempty"` // consult: it was not asked
	Deciders     int             `json:"deciders,omitempty"`     // the endpoint has no owner at the moment: how many nodes decide by its cap_policy
	DecisionID   string          `json:"decision_id"`            // that a call of this Call-ID has in events and logs
}

// ExplainCall runs the live decision dry: nothing is reserved, nobody is told,
// and no webhook is asked.
func (o *Operations) ExplainCall(ctx context.Context, tenant string, in ExplainRequest) (ExplanationView, error) {
	if o.Explainer == nil || o.Read == nil {
		return ExplanationView{}, &Error{Code: CodeUnavailable, Message: "this node cannot reach a decider"}
	}
	inv, err := o.Read(in)
	if err != nil {
		return ExplanationView{}, problemOf(err)
	}
	x, err := o.Explainer.Explain(ctx, tenant, inv)
	if err != nil {
		return ExplanationView{}, fmt.Errorf("explain: %w", err)
	}
	return ExplanationView{Action: x.Verdict.Action, Rule: x.Verdict.Rule, Route: x.Verdict.Route, Agent: x.Verdict.Agent, AgentName: x.AgentName,
		Status: x.Verdict.Status, Reason: x.Verdict.Reason, ShownStatus: x.Shown.Status, ShownReason: x.Shown.Reason, EndpointID: x.EndpointID,
		Key: x.Key, Calls: x.Calls, ProjectCalls: x.Project, RateSpent: x.Waits, AsksWebhook: x.Webhook, Deciders: x.Deciders, DecisionID: x.DecisionID}, nil
}
