package actors

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// decide reaches the verdict on an INVITE that is not remembered, and offers
// an accepted one to the intake.
func (p *partition) decide(now time.Time, in *invite, pol *Policy) {
	if pol.Endpoint == nil || pol.Account == nil {
		p.refuse(in, "", endpoint.Unknown(), endpoint.RefuseUniform)
		return
	}
	style := pol.Account.Refusal
	v, limited := p.weigh(now, in, pol)
	if v.Action == endpoint.Accept {
		r := &recollection{tx: in.tx, branch: in.Branch, key: in.key, limited: limited, style: style, job: jobOf(in, pol)}
		p.remember(now, r)
		p.offer(in, r, v)
		return
	}
	if v.Reason == endpoint.ReasonConcurrency || v.Reason == endpoint.ReasonRate {
		p.remember(now, &recollection{tx: in.tx, branch: in.Branch, refused: true, outcome: rejected(v, style)})
	}
	p.refuse(in, pol.Endpoint.Tenant, v, style)
}

// weigh decides with the usage of this moment and, where the verdict is
// Accept, reserves a place and takes the tokens in the same breath. limited is
// the key of the project if it has limits.
func (p *partition) weigh(now time.Time, in *invite, pol *Policy) (v endpoint.Verdict, limited endpoint.Key) {
	own := p.ownShare(now, in.key, pol.Endpoint)
	limits := pol.Account.Limits(pol.Endpoint.ProjectID)
	if limits.CPS > 0 || limits.MaxConcurrentCalls > 0 {
		limited = projectOf(pol)
	}
	p.projects.with(limited, func(q *quota) {
		project := share{q, limited, limits.MaxConcurrentCalls > 0, limits.CPS}
		use := endpoint.Usage{Now: now}
		use.Calls, use.Rate = own.used(now, p.load, p.beats)
		use.ProjectCalls, use.ProjectRate = project.used(now, p.load, p.beats)
		v = endpoint.Decide(*pol.Endpoint, *pol.Account, use, in.Invite).CheckAgent(pol.Agent)
		if v.Action == endpoint.Accept {
			own.take(now, in.tx)
			project.take(now, in.tx)
		}
	})
	return v, limited
}

// ownShare returns the caps of an endpoint and what it has used of them. An
// endpoint without caps needs no state.
func (p *partition) ownShare(now time.Time, key endpoint.Key, ep *endpoint.Endpoint) share {
	s := share{key: key, capped: ep.MaxConcurrentCalls != nil}
	if ep.MaxCallsPerSecond != nil {
		s.perSecond = *ep.MaxCallsPerSecond
	}
	if s.capped || s.perSecond > 0 {
		s.quota = &p.resident(now, key).quota
	}
	return s
}

// A share is what one key may use, and has used. Without limits its quota may
// be nil.
type share struct {
	*quota
	key       endpoint.Key
	capped    bool // its calls are counted
	perSecond int  // 0: no limit
}

func (s share) used(now time.Time, load Load, beats BeatCounter) (calls int, rate endpoint.Bucket) {
	if s.capped {
		calls = s.count(now, s.key, load, beats)
	}
	if s.perSecond > 0 {
		rate = s.rate
	}
	return calls, rate
}

func (s share) take(now time.Time, tx call.TransactionKey) {
	if s.capped {
		s.admit(now, tx)
	}
	if s.perSecond > 0 {
		s.rate.Take(now, s.perSecond)
	}
}

// projectOf returns the key under which the calls of the endpoint's project
// are counted; empty if it belongs to none.
func projectOf(pol *Policy) endpoint.Key {
	project := pol.Account.Project(pol.Endpoint.ProjectID)
	if project == nil {
		return ""
	}
	return endpoint.ProjectKey(pol.Account.Tenant, project.ID)
}

// jobOf returns the job of an accepted INVITE.
func jobOf(in *invite, pol *Policy) Job {
	agent := pol.Agent
	if trust := pol.Endpoint.CallerIDTrusted; trust != nil && *trust != agent.TrustCallerID {
		changed := *agent // the cache's is shared
		changed.TrustCallerID = *trust
		agent = &changed
	}
	return Job{V: 1, Key: in.tx, Branch: in.Branch, Tenant: pol.Endpoint.Tenant, Endpoint: in.key,
		Project: projectOf(pol), Agent: agent, DecisionID: endpoint.DecisionID(in.CallID)}
}
