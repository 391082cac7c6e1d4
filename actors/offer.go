package actors

import (
	"time"

	"patchbay/actors/endpoint"
)

// offer hands an accepted INVITE to the intake. The reservation stays until
// the intake answers: it becomes the call's, or is given back.
func (p *partition) offer(in *invite, r *recollection, v endpoint.Verdict) {
	r.offering = true
	p.offers.Add(1)
	p.hand(in, r, func(now time.Time, taken Taken, err error) {
		p.offers.Add(-1)
		p.account(now, r, taken, err)
		waiting := r.answered()
		p.conclude(in, r, v, taken, err)
		o := outcomeOf(taken, err, r.style)
		for _, again := range waiting {
			again.answer(o)
		}
		switch {
		case taken.Status == 482 && err == nil:
			p.memory.forget(r) // the call came of a copy by another path: that one's repetitions are not merged
		case !o.Taken:
			r.refused, r.outcome, r.job = true, o, Job{}
		}
	})
}

// repeat answers a copy of an INVITE that was decided on. The media node knows
// best what the carrier is owed next.
func (p *partition) repeat(now time.Time, in *invite, r *recollection) {
	if p.observer.Repeated != nil {
		p.observer.Repeated(in.key)
	}
	switch {
	case r.refused:
		in.answer(r.outcome)
	case r.offering && in.Branch != r.branch:
		in.answer(Outcome{Status: 482}) // RFC 3261 8.2.2.2
	case r.offering && len(r.waiting) < maxWaiting:
		r.waiting = append(r.waiting, in)
	case r.offering:
		in.answer(Outcome{Taken: true}) // the first copy's answer is on its way
	default:
		p.hand(in, r, func(now time.Time, taken Taken, err error) {
			p.account(now, r, taken, err)
			in.answer(outcomeOf(taken, err, r.style))
		})
	}
}

// hand offers one copy of an accepted INVITE to the intake and runs then on
// the loop with its answer. When the host has ended meanwhile, only the edge
// is told.
func (p *partition) hand(in *invite, r *recollection, then func(time.Time, Taken, error)) {
	job := r.job
	job.Branch, job.Packet = in.Branch, in.packet
	p.intake.Offer(p.ctx, job, func(taken Taken, err error) {
		if p.loop.Post(func(now time.Time) { then(now, taken, err) }) != nil {
			in.answer(outcomeOf(taken, err, r.style))
		}
	})
}

// account settles the reservations of an offer. Where the intake did not
// answer, a call may have come of it: its place stays reserved for a while.
func (p *partition) account(now time.Time, r *recollection, taken Taken, err error) {
	if err != nil {
		return
	}
	settle := func(q *quota) {
		switch {
		case q == nil:
		case taken.Status != 0:
			q.release(r.tx)
		default:
			q.confirm(now, r.tx, taken, p.beats)
		}
	}
	if own := p.endpoints[r.key]; own != nil {
		settle(&own.quota)
	}
	p.projects.with(r.limited, settle)
}

// conclude tells edge and observer what became of the first copy.
func (p *partition) conclude(in *invite, r *recollection, v endpoint.Verdict, taken Taken, err error) {
	if v = intakeVerdict(v, taken, err); v.Action == endpoint.Reject {
		p.refuse(in, r.job.Tenant, v, r.style)
		return
	}
	in.answer(Outcome{Taken: true})
	p.report(in, Decision{Tenant: r.job.Tenant, Verdict: v, Call: taken.ID, Node: taken.Node})
}

// refuse answers with a rejection, unless the INVITE was answered before.
func (p *partition) refuse(in *invite, tenant string, v endpoint.Verdict, style endpoint.RefusalStyle) {
	if in.reply == nil {
		return
	}
	if in.dry() {
		in.tell(Explanation{Tenant: tenant, Key: in.key, Verdict: v, Shown: p.shown(v, style)})
		return
	}
	in.answer(rejected(v, style))
	p.report(in, Decision{Tenant: tenant, Verdict: v, Shown: p.shown(v, style)})
}

func (p *partition) report(in *invite, d Decision) {
	if p.observer.Decided == nil {
		return
	}
	d.ID, d.Key, d.Partition = endpoint.DecisionID(in.CallID), in.key, p.index
	d.Source, d.Transport, d.Took = in.Source, in.Transport, time.Since(in.came)
	p.observer.Decided(d)
}

// intakeVerdict is the verdict once the intake has answered.
func intakeVerdict(v endpoint.Verdict, taken Taken, err error) endpoint.Verdict {
	switch {
	case err != nil:
		return endpoint.Unavailable(endpoint.ReasonNoMedia)
	case taken.Status == 0:
		return v
	}
	why := endpoint.ReasonBadInvite
	switch taken.Status {
	case 482:
		why = endpoint.ReasonMerged
	case 487:
		why = endpoint.ReasonCancelled
	case 500:
		why = endpoint.ReasonInternal
	case 503:
		why = endpoint.ReasonNoMedia
	}
	return endpoint.Verdict{Status: taken.Status, Reason: why, Rule: endpoint.RuleNode}
}

func outcomeOf(taken Taken, err error, style endpoint.RefusalStyle) Outcome {
	v := intakeVerdict(endpoint.Verdict{Action: endpoint.Accept}, taken, err)
	if v.Action == endpoint.Accept {
		return Outcome{Taken: true}
	}
	o := rejected(v, style)
	if taken.Text != "" {
		o.Reason = taken.Text // the carrier was accepted: it may know what is wrong with its offer
	}
	return o
}
