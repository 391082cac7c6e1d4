package actors

import (
	"encoding/json"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// askRuling asks a decider what the owner's webhook says. The answer comes to
// the call's own loop.
func (a *actor) askRuling() {
	inv := &a.invitation
	a.stopAsking = a.calls.ports.Rulings.Ask(Question{V: 1, Call: a.id, Tenant: a.job.Tenant, Endpoint: a.job.Endpoint,
		Partition: a.job.Consult.Partition, DecisionID: a.job.DecisionID, From: inv.From, To: inv.To, Headers: inv.Headers,
	}, func(r Ruling) {
		// ErrStopped: the call has ended with its host.
		_ = a.loop.Post(func(now time.Time) { a.ruled(now, r) })
	})
}

// ruled takes the ruling. One that comes too late, after a CANCEL or its own
// time, changes nothing.
func (a *actor) ruled(now time.Time, r Ruling) {
	a.stopAsking = nil
	if a.over || a.machine.Call.State() != call.StateDeciding {
		return
	}
	told := call.Ruling{Status: r.Status}
	told.Cause, told.By = causeOf(r.Reason)
	if r.Agent != nil {
		agent := trusting(r.Agent, a.job.Consult.CallerIDTrusted)
		a.job.Agent, a.ruling = agent, r
		a.job.Failover = trustingAll(r.Failover, a.job.Consult.CallerIDTrusted)
		a.invitation.From.Trusted = agent.TrustCallerID
		told.Agents = candidates(a.job.agents())
		told.AgentTimeout, told.MaxDuration = a.patience(agent)
		told.AgentTimeout = orDefault(r.Terms.JoinTimeoutMs, told.AgentTimeout)
		told.MaxDuration = orDefault(r.Terms.MaxDurationMs, told.MaxDuration)
	}
	a.happen(now, call.Event{Kind: call.Ruled, Ruling: &told})
}

// causeOf says why a call was refused after its 100, and by whom. Its word is
// the reason's, so that the owner finds it by the same word everywhere.
func causeOf(why endpoint.Reason) (cause call.Cause, by string) {
	q850, by := 38, call.ByOwner // network out of order: the webhook was not reached, or not understood
	switch why {
	case endpoint.ReasonWebhookRejected:
		q850 = 21
	case endpoint.ReasonWebhookTimeout:
		q850 = 102
	case endpoint.ReasonWebhookSuspended, endpoint.ReasonWebhookBusy:
		q850 = 47
	case endpoint.ReasonNoRoute:
		q850 = 1
	case endpoint.ReasonNoAgent, endpoint.ReasonAgentInactive:
		q850 = 18
	case endpoint.ReasonUnavailable, endpoint.ReasonBusy, endpoint.ReasonDraining, endpoint.ReasonInternal:
		q850, by = 41, call.ByNode
	}
	return call.Cause{Q850: q850, Word: string(why)}, by
}

// context is what the agent is told of the call beside the invitation: the
// context that its owner gave it and, where it or the agent's schema asks for
// one, what the SIP message of a carrier says.
func (a *actor) context(agent *endpoint.Agent) json.RawMessage {
	if a.ruling.Context == nil && agent.ContextSchema == nil {
		return nil
	}
	var fields []endpoint.HeaderField
	var from endpoint.Caller
	if !agent.WebRTC.NoMetadata && a.job.Dial == nil {
		inv := &a.invitation
		fields = headerFields(inv.Headers)
		from = endpoint.Caller{ID: inv.From.User, DisplayName: inv.From.Display, URI: inv.From.URI}
	}
	return endpoint.Context(a.ruling.Context, fields, from, agent.ContextSchema)
}
