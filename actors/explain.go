package actors

import (
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// An Explanation says what would become of an INVITE, and why.
type Explanation struct {
	V          int              `json:"v"`
	DecisionID string           `json:"decision_id"`      // that an INVITE of this Call-ID has in events and logs
	Tenant     string           `json:"tenant,omitempty"` // empty: what was dialled does not exist
	Key        endpoint.Key     `json:"key"`
	EndpointID string           `json:"endpoint_id,omitempty"` // empty: the account itself decides
	Verdict    endpoint.Verdict `json:"verdict"`
	Shown      endpoint.Shown   `json:"shown"` // of a rejection: what the carrier would get
	AgentName  string           `json:"agent_name,omitempty"`
	Calls      int              `json:"calls"`                  // that count against the endpoint's cap
	Project    int              `json:"project_calls"`          // that count against its project's
	Waits      bool             `json:"rate_spent,omitempty"`   // the endpoint's calls of this second are used up
	Webhook    bool             `json:"asks_webhook,omitempty"` // the owner's webhook would be asked; it was not
	Deciders   int              `json:"deciders,omitempty"`     // the node does not own the endpoint: how many nodes may decide now, by its cap policy
}

// Explain decides on an INVITE as Invite would at this moment, with the same
// policy, the same usage and the same code, and says why. Nothing is reserved,
// remembered or told to anybody, and no webhook is asked. reply is called
// once, from any goroutine, and must not block. What belongs to another tenant
// does not exist.
func (e *Endpoints) Explain(tenant string, inv endpoint.Invite, reply func(Explanation)) {
	in := newInvite(inv, call.Packet{}, func(Outcome) {})
	in.explain = func(x Explanation) {
		x.V, x.DecisionID = 1, endpoint.DecisionID(inv.CallID)
		if x.Tenant != "" && x.Tenant != tenant {
			x = Explanation{V: x.V, DecisionID: x.DecisionID, Key: absent(inv.Address).Key(), Verdict: endpoint.Unknown()}
			x.Shown = e.shown(x.Verdict, endpoint.RefuseUniform)
		}
		reply(x)
	}
	e.send(in)
}

// absent returns what an address would be if nothing were there, which is all
// that a stranger may learn of it: not where a number or a domain leads.
func absent(a endpoint.Address) endpoint.Address {
	if _, is, ok := a.AtHost(); ok {
		return is("")
	}
	return a
}

// dry reports that an INVITE is only to be explained.
func (in *invite) dry() bool { return in.explain != nil }

// tell ends a dry decision.
func (in *invite) tell(x Explanation) {
	in.answer(Outcome{})
	in.explain(x)
}

func (e *Endpoints) explanationOf(in *invite, pol *Policy, v endpoint.Verdict, use endpoint.Usage) Explanation {
	x := Explanation{Tenant: pol.Account.Tenant, Key: in.key, Verdict: v, Shown: e.shown(v, pol.Account.Refusal),
		Calls: use.Calls, Project: use.ProjectCalls, Webhook: v.Action == endpoint.Consult, Deciders: use.Standing.Deciders}
	if ep := pol.Endpoint; ep != nil {
		x.EndpointID = ep.ID
		bounds := ep.Bounds(use.Standing)
		x.Waits = bounds.PerSecond >= 0 && !use.Rate.Allows(use.Now, bounds.PerSecond)
	}
	if v.Action == endpoint.Accept && pol.Agent != nil {
		x.AgentName = pol.Agent.Name
	}
	return x
}
