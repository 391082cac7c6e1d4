package actors

import (
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A TakeoverDecision is all there is to say about one INVITE that asked to take
// a call over.
type TakeoverDecision struct {
	ID       string // of the decision, by the Call-ID of that INVITE
	Call     call.ID
	Key      endpoint.Key
	Tenant   string
	Takeover endpoint.Takeover
	Verdict  endpoint.Verdict
	Shown    int   // status that the sender gets; 0: it may
	Err      error // the policy could not be read
}

// takeover decides whether who sent an INVITE may take a call over, by the
// policy of the call's endpoint as it is now.
func (e *Endpoints) takeover(p *partition, q Question, reply func(Ruling)) {
	decide := func(now time.Time) {
		if p.warm != nil {
			if ep, acct, err := policyOf(p.warm, &q); err == nil {
				p.admitTakeover(q, ep, acct, nil, reply)
				return
			}
		}
		select {
		case p.reads <- struct{}{}:
		default:
			p.admitTakeover(q, nil, nil, ErrBusy, reply)
			return
		}
		p.asking.Go(func() {
			var ep *endpoint.Endpoint
			var acct *endpoint.Account
			err := p.ask(func(src source) (err error) { ep, acct, err = policyOf(src, &q); return err })
			<-p.reads
			p.admitTakeover(q, ep, acct, err, reply)
		})
	}
	if p.loop.Tell(decide) != nil {
		reply(refusal(endpoint.Unavailable(endpoint.ReasonBusy)))
	}
}

// policyOf reads what decides on calls of the question's key: an endpoint, or
// the account alone. A nil account: the endpoint has gone.
func policyOf(src source, q *Question) (*endpoint.Endpoint, *endpoint.Account, error) {
	ep, err := src.endpoint(q.Endpoint, q.Partition)
	if err != nil {
		return nil, nil, err
	}
	acct, err := src.account(q.Tenant)
	if err != nil || acct == nil {
		return nil, nil, err
	}
	if ep == nil && endpoint.AccountAddress(acct.SIP.DomainIdentifier).Key() != q.Endpoint || ep != nil && ep.Tenant != q.Tenant {
		return nil, nil, nil
	}
	return ep, acct, nil
}

// admitTakeover answers, and tells the observer.
func (p *partition) admitTakeover(q Question, ep *endpoint.Endpoint, acct *endpoint.Account, err error, reply func(Ruling)) {
	d := TakeoverDecision{ID: q.DecisionID, Call: q.Call, Key: q.Endpoint, Tenant: q.Tenant, Takeover: *q.Takeover, Err: err}
	style := endpoint.RefuseUniform
	switch {
	case err != nil:
		d.Verdict = endpoint.Unavailable(endpoint.ReasonUnavailable)
	case acct == nil:
		d.Verdict = endpoint.Unknown()
	default:
		d.Verdict, style = endpoint.DecideTakeover(ep, acct, *q.Takeover), acct.Refusal
	}
	if d.Verdict.Action == endpoint.Accept {
		reply(Ruling{V: 1, Admitted: true})
	} else {
		d.Shown = p.shown(d.Verdict, style).Status
		reply(Ruling{V: 1, Status: d.Shown, Reason: d.Verdict.Reason})
	}
	if p.observer.Takeover != nil {
		p.observer.Takeover(d)
	}
}
