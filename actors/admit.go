package actors

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// decide reaches the verdict on an INVITE that is not remembered, and offers
// an accepted one to the intake.
func (p *partition) decide(now time.Time, in *invite, pol *Policy) {
	if pol.Account == nil {
		p.refuse(in, "", endpoint.Unknown(), endpoint.RefuseUniform)
		return
	}
	in.key = pol.Key
	style := pol.Account.Refusal
	v, use, limited := p.weigh(now, in, pol)
	if in.dry() {
		in.tell(p.explanationOf(in, pol, v, use))
		return
	}
	if v.Action != endpoint.Reject {
		r := &recollection{tx: in.tx, branch: in.Branch, key: in.key, limited: limited, style: style, job: jobOf(in, pol, v, p.index)}
		p.remember(now, r)
		p.offer(in, r, v)
		return
	}
	if byLimit(v.Reason) {
		if !p.settled(now) {
			p.inquire(now, in, pol, v)
			return
		}
		p.remember(now, &recollection{tx: in.tx, branch: in.Branch, refused: true, outcome: rejected(v, style)})
	}
	p.refuse(in, pol.Account.Tenant, v, style)
}

// byLimit reports that a rejection depends on the moment: a copy of the INVITE
// must not be decided anew.
func byLimit(why endpoint.Reason) bool {
	return why == endpoint.ReasonConcurrency || why == endpoint.ReasonRate || why == endpoint.ReasonNoOwner
}

// weigh decides with the usage of this moment and, unless the verdict is
// Reject or the decision dry, reserves a place and takes the tokens in the same
// breath: a call that waits for its owner's webhook counts too. limited is the
// key of the project if it has limits.
func (p *partition) weigh(now time.Time, in *invite, pol *Policy) (v endpoint.Verdict, use endpoint.Usage, limited endpoint.Key) {
	if !in.dry() || !in.Address.IsNumber() { // a number is explained where it is, and its calls are decided on where their endpoint is
		use.Standing = p.standing(now)
	}
	own := p.ownShare(now, in.key, pol.Endpoint, use.Standing)
	limits := pol.Account.Limits(pol.project())
	if limits.CPS > 0 || limits.MaxConcurrentCalls > 0 {
		limited = projectOf(pol)
	}
	p.projects.with(limited, func(q *quota) {
		project := share{q, limited, limits.MaxConcurrentCalls > 0, limits.CPS}
		use.Now = now
		use.Calls, use.Recent, use.Rate = own.used(now, p.load, p.beats)
		use.ProjectCalls, _, use.ProjectRate = project.used(now, p.load, p.beats)
		v = pol.decide(use, in)
		if v.Action != endpoint.Reject && !in.dry() {
			own.take(now, in.tx)
			project.take(now, in.tx)
		}
	})
	return v, use, limited
}

// ownShare returns the caps of an endpoint and what it has used of them. An
// endpoint without caps needs no state; an account's own policy has none.
func (p *partition) ownShare(now time.Time, key endpoint.Key, ep *endpoint.Endpoint, st endpoint.Standing) share {
	if ep == nil {
		return share{key: key}
	}
	bounds := ep.Bounds(st)
	s := share{key: key, capped: bounds.Calls >= 0, perSecond: max(bounds.PerSecond, 0)}
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

func (s share) used(now time.Time, load Load, beats BeatCounter) (calls, recent int, rate endpoint.Bucket) {
	if s.capped {
		calls, recent = s.count(now, s.key, load, beats)
	}
	if s.perSecond > 0 {
		rate = s.rate
	}
	return calls, recent, rate
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
	project := pol.Account.Project(pol.project())
	if project == nil {
		return ""
	}
	return endpoint.ProjectKey(pol.Account.Tenant, project.ID)
}

// jobOf returns the job of an INVITE that is not rejected. The owner's webhook
// is asked who answers without an agent, and where the account's own policy
// named agents of which none does.
func jobOf(in *invite, pol *Policy, v endpoint.Verdict, partition uint8) Job {
	job := Job{V: 1, Key: in.tx, Branch: in.Branch, Tenant: pol.Account.Tenant, Endpoint: in.key,
		Project: projectOf(pol), Codecs: pol.Account.Codecs(pol.Endpoint), DTMF: pol.Account.Keys(pol.Endpoint), Early: pol.Endpoint.Early(),
		Transfer:   pol.Account.Transfers(pol.Endpoint),
		DecisionID: endpoint.DecisionID(in.CallID), Partition: &partition,
		Refers: pol.Endpoint != nil && pol.Endpoint.AcceptRefer != nil}
	var trust *bool
	if pol.Endpoint != nil {
		trust = pol.Endpoint.CallerIDTrusted
	}
	if f := pol.Account.SIP.Fallback; v.Action == endpoint.Consult || f != nil && v.ByAccount() {
		wait := rulingSlack.Milliseconds()
		if f != nil {
			wait += f.Timeout()
		}
		job.Consult = &Consult{Partition: partition, WithinMs: wait, CallerIDTrusted: trust}
	}
	if v.Action == endpoint.Accept {
		job.Agent, job.Failover = trusting(pol.Agent, trust), trustingAll(pol.Failover, trust)
	}
	return job
}

// trusting returns the agent with the endpoint's word on callers' ids, if it
// has one. The agent itself is shared and stays as it is.
func trusting(agent *endpoint.Agent, trust *bool) *endpoint.Agent {
	if trust == nil || *trust == agent.TrustCallerID {
		return agent
	}
	changed := *agent
	changed.TrustCallerID = *trust
	return &changed
}
