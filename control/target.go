package control

import (
	"context"
	"errors"
	"slices"
	"strings"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Target says how the target of a transfer is called where the carrier is not
// asked: by which trunk, as whom, and whether the caps of account and trunk
// have room for one more call. Whether the agent may have it called, the media
// node that asks has decided. An answer without a job says why there is none.
func (o *Operations) Target(ctx context.Context, q actors.TargetQuestion) actors.TargetAnswer {
	no := func(reason string) actors.TargetAnswer { return actors.TargetAnswer{V: 1, Reason: reason} }
	t := q.Transfer
	if t.Trunk == "" {
		return no(call.ReasonNoTrunk)
	}
	p := placing{in: NewCall{To: t.To, From: t.From, Trunk: t.Trunk, Headers: t.Headers, RingTimeoutMs: t.RingTimeoutMs}, tenant: q.Tenant}
	p.agent.ProjectID = q.ProjectID
	if err := o.planned(ctx, &p, q); err != nil {
		return no(call.ReasonAway)
	}
	if len(p.problems) > 0 {
		if slices.ContainsFunc(p.problems, func(p endpoint.Problem) bool { return p.Field == "trunk" }) {
			return no(call.ReasonNoTrunk)
		}
		return no(call.ReasonBadTarget)
	}
	job, err := o.jobOf(&p, q.Target)
	if err != nil {
		return no(call.ReasonAway)
	}
	job.Agent, job.Failover, job.Transfer = nil, nil, nil
	job.Dial.For = q.Call
	job.Dial.Headers = append(job.Dial.Headers, p.provenance(o, q)...)
	var refusal *Error
	switch err := o.Dialler.Claim(job, q.Node, p.caps()); {
	case errors.As(err, &refusal):
		return no(call.ReasonLimit)
	case err != nil:
		return no(call.ReasonAway)
	}
	return actors.TargetAnswer{V: 1, Job: &job}
}

// planned finds what the call to the target needs, and all that is wrong with
// it.
func (o *Operations) planned(ctx context.Context, p *placing, q actors.TargetQuestion) (err error) {
	if p.acct, err = o.account(ctx, p.tenant); err != nil {
		return err
	}
	for _, part := range []func(context.Context, *placing) error{o.findTrunk, o.findCallee} {
		if err := part(ctx, p); err != nil {
			return err
		}
	}
	p.checkForm()
	if len(p.problems) > 0 || p.trunk == nil {
		return nil
	}
	return o.findTransferor(ctx, p, q)
}

// findTransferor settles as whom the target is called: as the request says;
// else, where the trunk lets us say anything, as the other side of the call
// that is transferred, unless that hides; else as what was called there, where
// that is the account's own; else as the trunk has it.
func (o *Operations) findTransferor(ctx context.Context, p *placing, q actors.TargetQuestion) error {
	if p.in.From != "" {
		return o.findCaller(ctx, p)
	}
	said := []string{}
	if p.trunk.From.Policy == endpoint.FromAny {
		said = append(said, shownAs(q.Them))
	}
	if number, ok := dialable(q.Us.User); ok {
		said = append(said, number)
	}
	for _, said := range said {
		if said == "" {
			continue
		}
		before := len(p.problems)
		p.in.From = said
		if err := o.findCaller(ctx, p); err != nil {
			return err
		}
		if len(p.problems) == before {
			return nil
		}
		p.problems = p.problems[:before] // it is not ours to say
	}
	p.in.From = ""
	return o.findCaller(ctx, p)
}

// shownAs is as whom a party shows itself; "": it hides (RFC 3323 4.1.1.3), or
// names itself in a way that no call of ours can.
func shownAs(p call.Party) string {
	if strings.EqualFold(p.User, "anonymous") || strings.HasSuffix(p.Host, ".invalid") {
		return ""
	}
	if number, ok := dialable(p.User); ok {
		return number
	}
	uri := sipURI(p.User, p.Host)
	if _, ok := endpoint.ParseTarget(uri); !ok {
		return ""
	}
	return uri
}

// provenance says where the call to the target comes from: who has transferred
// it (RFC 3892), and, where it bears the number of the other side, by which of
// ours that came (RFC 5806). What names no number may be a secret, and is left
// out.
func (p *placing) provenance(o *Operations, q actors.TargetQuestion) []call.Header {
	c := caller{tenant: p.tenant, acct: p.acct, trunk: p.trunk}
	us := "sip:" + c.host(o, "")
	number, ok := dialable(q.Us.User)
	if ok {
		us = sipURI(number, c.host(o, ""))
	}
	all := []call.Header{{Name: "Referred-By", Value: "<" + us + ">"}}
	if ok && p.in.From != "" && p.in.From == shownAs(q.Them) {
		all = append(all, call.Header{Name: "Diversion", Value: "<" + us + ">;reason=unconditional;counter=1"})
	}
	return all
}
