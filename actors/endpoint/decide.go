package endpoint

import "time"

// A Rule names the step of [Decide] that reached a verdict, for explanations.
// Values never change.
type Rule string

// Rules, in the order they are asked.
const (
	RuleExists             Rule = "exists"              // the address is an endpoint
	RuleSource             Rule = "source"              // IPPolicy admits the packet's source
	RuleActive             Rule = "active"              // is_active
	RuleServed             Rule = "served"              // nothing is asked of us that we do not serve
	RuleOwner              Rule = "owner"               // cap_policy strict, and the partition has no owner
	RuleRate               Rule = "rate"                // max_calls_per_second
	RuleProjectRate        Rule = "project_rate"        // limits.cps of the project
	RuleConcurrency        Rule = "concurrency"         // max_concurrent_calls
	RuleProjectConcurrency Rule = "project_concurrency" // limits.max_concurrent_calls
	RuleHandler            Rule = "handler"             // who answers
	RuleRoute              Rule = "route_rule"          // a rule of the account; Verdict.Route says which
	RuleAllAgents          Rule = "allow_all_agents"    // the To user names an agent
	RuleFallback           Rule = "fallback"            // the account's webhook
	RuleAgent              Rule = "agent"               // the agent exists and is switched on
	RuleNode               Rule = "node"                // this cluster can decide and carry the call
)

// Usage is what an endpoint and its project use at the moment of a decision.
// The zero Usage is an idle endpoint.
type Usage struct {
	Standing     Standing // of the decider
	Calls        int      // live and admitted calls of the endpoint
	Recent       int      // of them, those that this decider admitted and others may not have heard of
	Rate         Bucket   // of the endpoint
	ProjectCalls int      // live and admitted calls of the project
	ProjectRate  Bucket
	Now          time.Time
}

// Unknown is the verdict on a call to an address that is no endpoint.
func Unknown() Verdict { return refuse(404, ReasonUnknown, RuleExists) }

// Unavailable is the verdict of a node that cannot decide or carry a call.
func Unavailable(why Reason) Verdict { return refuse(503, why, RuleNode) }

// Fault is the verdict of a node that stumbled over an INVITE.
func Fault() Verdict { return refuse(500, ReasonInternal, RuleNode) }

// Decide returns the verdict on inv. The order matters: a stranger learns
// nothing about an endpoint beyond that it will not talk to him, and uses up
// none of its caps.
func Decide(ep Endpoint, acct Account, use Usage, inv Invite) Verdict {
	switch {
	case ep.DeletedAt != nil:
		return Unknown()
	case !ep.IP.Admits(inv.Source.Addr()):
		return refuse(403, ReasonSourceNotAllowed, RuleSource)
	case !ep.IsActive:
		return refuse(603, ReasonInactive, RuleActive)
	}
	if v, lacks := unserved(&ep, &acct); lacks {
		return v
	}
	if v, over := overLimit(&ep, &acct, &use); over {
		return v
	}
	return answerer(&ep, &acct, &inv)
}

// overLimit asks the caps. They are an owner's own limits, so the answer is
// 486: a carrier may abandon the whole trunk on a 503 (design D10).
//
// An owner who wants strict caps has asked for no call where nobody can keep
// them: 480, for likewise this is about the endpoint and not about the node.
func overLimit(ep *Endpoint, acct *Account, use *Usage) (Verdict, bool) {
	limits, own := acct.Limits(ep.ProjectID), ep.Bounds(use.Standing)
	switch {
	case own.Refuse:
		return refuse(480, ReasonNoOwner, RuleOwner), true
	case own.PerSecond >= 0 && !use.Rate.Allows(use.Now, own.PerSecond):
		return refuse(486, ReasonRate, RuleRate), true
	case limits.CPS > 0 && !use.ProjectRate.Allows(use.Now, limits.CPS):
		return refuse(486, ReasonRate, RuleProjectRate), true
	case !own.within(use):
		return refuse(486, ReasonConcurrency, RuleConcurrency), true
	case limits.MaxConcurrentCalls > 0 && use.ProjectCalls >= limits.MaxConcurrentCalls:
		return refuse(486, ReasonConcurrency, RuleProjectConcurrency), true
	}
	return Verdict{}, false
}

// unserved refuses a call that its owner wants to be more than we serve, never
// leaves it out: a call without the digest, or the encryption, that its owner
// demands would be worse than none. Whose device is dialled that cannot
// register yet is not there: 480. We have no encryption to answer with: 488.
func unserved(ep *Endpoint, acct *Account) (Verdict, bool) {
	switch {
	case ep.Auth.Mode == AuthDigest:
		return refuse(480, ReasonDigest, RuleServed), true
	case acct.encryption(ep) == EncryptionRequired:
		return refuse(488, ReasonEncryption, RuleServed), true
	}
	return Verdict{}, false
}

// answerer names the agent.
func answerer(ep *Endpoint, acct *Account, inv *Invite) Verdict {
	switch {
	case ep.Handler.Active == "":
		return refuse(404, ReasonNoAgent, RuleHandler)
	case ep.Handler.Active == HandlerRules:
		return acct.Route(inv)
	case ep.Handler.Active != HandlerAgent && ep.Handler.Active != HandlerAIAgent:
		return refuse(480, ReasonUnsupported, RuleHandler)
	}
	agent := ep.Handler.Agent()
	if agent == "" {
		return refuse(404, ReasonNoAgent, RuleHandler)
	}
	return Verdict{Action: Accept, Agent: agent, Rule: RuleHandler}
}

// CheckAgent returns the verdict once the agent that v names was looked up; a
// nil agent does not exist.
func (v Verdict) CheckAgent(a *Agent) Verdict {
	switch {
	case v.Action != Accept:
		return v
	case a == nil:
		return refuse(480, ReasonNoAgent, RuleAgent)
	case !a.IsActive:
		return refuse(603, ReasonAgentInactive, RuleAgent)
	}
	return v
}

// Agent returns the id of the agent that is bound, or "" where another kind of
// handler is active.
func (h *Handler) Agent() string {
	var id *string
	switch h.Active {
	case HandlerAgent:
		id = h.AgentID
	case HandlerAIAgent:
		id = h.AIAgentID
	}
	if id == nil {
		return ""
	}
	return *id
}

// Project returns the project of that id; "" means the account's first. Nil:
// there is none.
func (a *Account) Project(id string) *Project {
	for i := range a.Projects {
		if id == "" || a.Projects[i].ID == id {
			return &a.Projects[i]
		}
	}
	return nil
}

// Limits returns the limits of a project; of one that is gone, those of the
// account's first: an endpoint must not lose all limits with its project.
func (a *Account) Limits(project string) Limits {
	for _, id := range []string{project, ""} {
		if p := a.Project(id); p != nil {
			return p.Limits
		}
	}
	return Limits{}
}

func refuse(status int, why Reason, by Rule) Verdict {
	return Verdict{Action: Reject, Status: status, Reason: why, Rule: by}
}
