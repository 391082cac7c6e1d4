package actors

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A TrunkSource is a [Store] that has trunks. Where that of [Endpoints] is none,
// no policy can name one.
type TrunkSource interface {
	TrunkByID(ctx context.Context, tenant, id string) (endpoint.Trunk, error)
}

// A ReferDecision is all there is to say about one REFER of a carrier's that was
// decided by the policy of the call's endpoint.
type ReferDecision struct {
	Call    call.ID
	Key     endpoint.Key
	Tenant  string
	Host    string // of the target
	Verdict endpoint.Verdict
	Err     error // the policy could not be read
}

// referral decides whether a target of a carrier's REFER may be called, by the
// policy of the call's endpoint as it is now, and says how. It reads off the
// loop: REFERs are rare. But the loop begins it, for that knows whether it ends.
func (e *Endpoints) referral(p *partition, q Question, reply func(Ruling)) {
	if p.loop.Tell(func(time.Time) { p.decideReferral(q, reply) }) != nil {
		reply(refusal(endpoint.Unavailable(endpoint.ReasonBusy)))
	}
}

func (p *partition) decideReferral(q Question, reply func(Ruling)) {
	select {
	case p.reads <- struct{}{}:
	default:
		reply(refusal(endpoint.Unavailable(endpoint.ReasonBusy)))
		return
	}
	p.asking.Go(func() {
		d := ReferDecision{Call: q.Call, Key: q.Endpoint, Tenant: q.Tenant, Host: q.Referral.Host}
		var ruling Ruling
		d.Err = p.ask(func(src source) error {
			policy, trunk, err := p.referPolicy(src, &q)
			if err != nil {
				return err
			}
			v, toTrunk := policy.DecideReferral(*q.Referral, trunk)
			if d.Verdict, ruling = v, refusal(v); v.Action == endpoint.Accept {
				ruling = Ruling{V: 1, Admitted: true, Dial: dialFor(&q, trunk, toTrunk)}
			}
			return nil
		})
		<-p.reads
		if d.Err != nil {
			d.Verdict = endpoint.Unavailable(endpoint.ReasonUnavailable)
			ruling = refusal(d.Verdict)
		}
		reply(ruling)
		if p.observer.Referred != nil {
			p.observer.Referred(d)
		}
	})
}

// referPolicy reads the endpoint's policy, and the trunk that it names.
func (p *partition) referPolicy(src source, q *Question) (*endpoint.ReferPolicy, *endpoint.Trunk, error) {
	ep, err := src.endpoint(q.Endpoint, q.Partition)
	if err != nil || ep == nil || ep.Tenant != q.Tenant || !ep.IsActive {
		return nil, nil, err
	}
	trunks, ok := p.store.(TrunkSource)
	if !ok || ep.AcceptRefer == nil || ep.AcceptRefer.Trunk == "" {
		return ep.AcceptRefer, nil, nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.limits.StoreTimeout)
	defer cancel()
	t, err := trunks.TrunkByID(ctx, q.Tenant, ep.AcceptRefer.Trunk)
	if errors.Is(err, endpoint.ErrNotFound) {
		return ep.AcceptRefer, nil, nil
	}
	return ep.AcceptRefer, &t, err
}

// dialFor says how a target is called.
func dialFor(q *Question, t *endpoint.Trunk, toTrunk bool) *Dial {
	d := &Dial{ID: q.Call, To: q.Referral.URI}
	if t == nil {
		return d
	}
	d.Trunk, d.Username, d.Password, d.Realm = t.ID, t.Username, t.PasswordEnc, t.Realm
	if toTrunk {
		d.To = numberAt(q.Referral.User, t)
	}
	for _, a := range t.Order(uint64(q.Call)) {
		hop := endpoint.Target{User: q.Referral.User, Host: a.Host, Port: uint16(a.Port), Transport: a.Transport}
		d.Hops = append(d.Hops, hop.URI())
	}
	if t.From.Default != "" {
		host := t.From.Host
		if host == "" {
			host = t.Addresses[0].Host
		}
		d.From = endpoint.Target{User: t.From.Default, Host: host}.URI()
	}
	return d
}

// numberAt is a number as a trunk is asked for it.
func numberAt(number string, t *endpoint.Trunk) string {
	to := endpoint.Target{User: number, Host: t.Addresses[0].Host, Port: uint16(t.Addresses[0].Port)}
	if t.Domain != "" {
		to.Host, to.Port = t.Domain, 0
	}
	return to.URI()
}

// askReferral asks whether the target of a carrier's REFER may be called: of a
// call that we placed its trunk's policy says so, of others a decider.
func (a *actor) askReferral(now time.Time, r *call.Referral) {
	q := endpoint.Referral{URI: r.To, User: r.User, Host: r.Host, Replaces: r.Replaces != ""}
	if c, ok := a.machine.Dialog.(Peered); ok {
		q.Peer = c.Peer()
	}
	ruled := func(now time.Time, ruling Ruling) {
		if !a.over && !a.gone {
			a.refers(now, r, ruling)
		}
	}
	switch d := a.job.Dial; {
	case d != nil:
		ruling := ownReferral(d, q)
		// ErrStopped: the call has ended with its host.
		_ = a.loop.Post(func(now time.Time) { ruled(now, ruling) })
	case a.job.Partition == nil || a.calls.ports.Rulings == nil:
		_ = a.loop.Post(func(now time.Time) { ruled(now, Ruling{Status: 603, Reason: endpoint.ReasonReferPolicy}) })
	default:
		a.calls.ports.Rulings.Ask(Question{V: 1, Call: a.id, Tenant: a.job.Tenant, Endpoint: a.job.Endpoint, Partition: *a.job.Partition,
			DecisionID: a.job.DecisionID, Referral: &q}, func(ruling Ruling) {
			// ErrStopped: the call has ended with its host.
			_ = a.loop.Post(func(now time.Time) { ruled(now, ruling) })
		})
	}
}

// ownReferral decides by the policy of the trunk that a call of ours went
// through, and calls the target through the same.
func ownReferral(d *Dial, r endpoint.Referral) Ruling {
	var t *endpoint.Trunk
	if len(d.Hops) > 0 {
		t = &endpoint.Trunk{ID: d.Trunk, IsActive: true}
		for _, hop := range append([]string{d.To}, d.Hops...) {
			if at, ok := endpoint.ParseTarget(hop); ok {
				t.Addresses = append(t.Addresses, endpoint.TrunkAddress{Host: at.Host, Port: int(at.Port)})
			}
		}
	}
	v, toTrunk := d.Refer.DecideReferral(r, t)
	if v.Action != endpoint.Accept {
		return refusal(v)
	}
	next := &Dial{ID: d.ID, Trunk: d.Trunk, To: r.URI, From: d.From, Hops: d.Hops, Username: d.Username, Password: d.Password, Realm: d.Realm}
	if toTrunk && len(t.Addresses) > 0 {
		next.To = numberAt(r.User, t)
	}
	return Ruling{V: 1, Admitted: true, Dial: next}
}

// refers has the target called, or refuses the REFER.
func (a *actor) refers(now time.Time, r *call.Referral, ruling Ruling) {
	if !ruling.Admitted || ruling.Dial == nil {
		a.happen(now, call.Event{Kind: call.ReferralRuled, Status: max(ruling.Status, 403), Reason: string(ruling.Reason)})
		return
	}
	caller, inv, err := a.target(ruling.Dial, r)
	if err != nil {
		a.happen(now, call.Event{Kind: call.ReferralRuled, Status: 603, Reason: call.ReasonNotPlaced})
		return
	}
	a.perform(now, a.machine.HandleReferral(now, caller, inv.To, call.Event{Kind: call.ReferralRuled}))
}

// target makes the dialog with the target of a REFER.
func (a *actor) target(d *Dial, r *call.Referral) (Caller, call.Invitation, error) {
	out := call.Outgoing{To: d.To, From: d.From, Hops: d.Hops, Replaces: r.Replaces, ReferredBy: r.ReferredBy, Headers: r.Headers}
	if out.From == "" {
		out.From = a.ourURI()
	}
	a.targets++
	out.Nth = a.targets
	if d.Username != "" {
		out.Credentials = call.Credentials{Username: d.Username, Realm: d.Realm}
		if d.Password != "" {
			if a.calls.ports.Open == nil {
				return nil, call.Invitation{}, errNoPassword
			}
			password, err := a.calls.ports.Open(d.Password)
			if err != nil { // its text may say what it could not open
				return nil, call.Invitation{}, errNoPassword
			}
			out.Credentials.Password = password
		}
	}
	return a.calls.ports.Dialogs.Call(a.id, out)
}

// ourURI is as whom a target is called: who the carrier has called, but for a
// name that may be a bearer slug.
func (a *actor) ourURI() string {
	to := a.invitation.To
	if to.Host == "" {
		return ""
	}
	host := to.Host
	if at, err := netip.ParseAddr(host); err == nil && at.Is6() {
		host = "[" + host + "]"
	}
	if strings.Trim(strings.TrimPrefix(to.User, "+"), "0123456789") == "" && to.User != "" {
		return "sip:" + to.User + "@" + host
	}
	return "sip:" + host
}
