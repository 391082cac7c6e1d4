package actors

import (
	"time"

	"patchbay/actors/endpoint"
)

// standing is how this node stands to the partition at now.
func (p *partition) standing(now time.Time) endpoint.Standing {
	if p.tenure == nil {
		return endpoint.Standing{}
	}
	s, _ := p.tenure.Standing(p.index, now)
	return s
}

// settled reports that what this partition remembers is all that was decided
// about INVITEs of which copies may come.
func (p *partition) settled(now time.Time) bool {
	if p.tenure == nil {
		return true
	}
	_, settled := p.tenure.Standing(p.index, now)
	return settled
}

// inquire looks whether another decider has accepted an INVITE before this one
// refuses it for a limit: the decider that was asked first may have died, or
// been slow, and the call be under way. Its carrier would hear a refusal beside
// the call's own answer.
func (p *partition) inquire(now time.Time, in *invite, pol *Policy, v endpoint.Verdict) {
	tenant, style := pol.Account.Tenant, pol.Account.Refusal
	r := &recollection{tx: in.tx, branch: in.Branch, key: in.key, style: style, offering: true,
		job: Job{V: 1, Known: true, Key: in.tx, Branch: in.Branch, Tenant: tenant, Endpoint: in.key}}
	p.remember(now, r)
	p.hand(in, r, func(_ time.Time, taken Taken, err error) {
		waiting := r.answered()
		var o Outcome
		switch {
		case err == nil && taken.Status == 0:
			o = Outcome{Taken: true}
			in.answer(o)
			if p.observer.Repeated != nil {
				p.observer.Repeated(in.key)
			}
		default:
			o = rejected(v, style)
			r.refused, r.outcome, r.job = true, o, Job{}
			p.refuse(in, tenant, v, style)
		}
		for _, again := range waiting {
			again.answer(o)
		}
	})
}
