package actors

import (
	"time"

	"patchbay/actors/call"
)

// A Coupler joins the carriers of two calls of a node.
type Coupler interface {
	// Couple joins the carriers of two bridges with each other, in place of their
	// agents, which hear that their call has ended for the cause, and are let go.
	// When one bridge is closed the other posts AgentLeft. Where it cannot,
	// nothing is promised but that: an error says that they are not joined.
	Couple(x, y Bridge, cause call.Cause) error
}

// Targets asks control what a transfer without REFER needs: control alone reads
// trunks and other nodes' calls.
type Targets interface {
	// Ask calls done once, from any goroutine, within seconds.
	Ask(q TargetQuestion, done func(TargetAnswer))
}

// A TargetQuestion is what a media node asks about a call that is transferred:
// how its target is to be called, or, where Transfer.Other names a call, whose
// dialog that has.
type TargetQuestion struct {
	V         int           `json:"v"`
	Call      call.ID       `json:"call_id"`
	Tenant    string        `json:"tenant"`
	Node      string        `json:"node"`                 // that has the call, and will have the other
	Target    call.ID       `json:"target,omitempty"`     // id that the call to the target is to have
	Agent     string        `json:"agent,omitempty"`      // that has the call
	ProjectID string        `json:"project_id,omitempty"` // of the agent
	Transfer  call.Transfer `json:"transfer"`
	Them      call.Party    `json:"them"` // the other side of the call
	Us        call.Party    `json:"us"`   // our side: a bearer slug is redacted
	Codec     string        `json:"codec"`
}

// A TargetAnswer is the job of the call to the target, or the dialog of the
// other call; else Reason says why there is none.
type TargetAnswer struct {
	V        int            `json:"v"`
	Job      *Job           `json:"job,omitempty"` // without agents
	Replaces *call.DialogID `json:"replaces,omitempty"`
	Reason   string         `json:"reason,omitempty"` // a word of call.Reason...
}

// isTarget reports the job of a call that another one is transferred to.
func (j *Job) isTarget() bool { return j.Dial != nil && j.Dial.For != 0 }

// bar completes a transfer with how the target may be called, and says where it
// may not be.
func (a *actor) bar(t *call.Transfer) {
	policy := a.job.Transfer
	if t.Trunk == "" && policy != nil {
		t.Trunk = policy.Trunk
	}
	if t.Trunk == "" && a.job.Dial != nil {
		t.Trunk = a.job.Dial.Trunk
	}
	switch ports := &a.calls.ports; {
	case ports.Targets == nil || ports.Coupler == nil:
		t.Barred = call.ReasonNoMethod
	case t.Other == 0 && t.By == call.ByAgent && !policy.Allows(t.To):
		t.Barred = call.ReasonNotAllowed
	}
}

// actOnOther carries out what concerns another call, and reports that it did.
func (a *actor) actOnOther(effect *call.Effect) bool {
	switch effect.Do {
	case call.FindOther:
		a.seekOther(*effect.Transfer)
	case call.PlaceTarget:
		a.seekTarget(*effect.Transfer)
	case call.TellOther:
		a.tellOther(effect.Other, effect.Event)
	case call.Couple:
		a.couple()
	default:
		return false
	}
	return true
}

// question is what control is asked about the call.
func (a *actor) question(t call.Transfer) TargetQuestion {
	rec := a.machine.Call.Record()
	q := TargetQuestion{V: 1, Call: a.id, Tenant: a.job.Tenant, Node: a.calls.node, Agent: rec.Agent, Transfer: t, Them: rec.From, Us: rec.To, Codec: rec.Codec}
	if a.job.Dial != nil {
		q.Them, q.Us = rec.To, rec.From
	}
	if a.job.Agent != nil {
		q.ProjectID = a.job.Agent.ProjectID
	}
	return q
}

// seekOther asks whose dialog the other call has that an agent named.
func (a *actor) seekOther(t call.Transfer) {
	a.seeking = t.Other
	a.inquire(a.question(t), t.Other, func(now time.Time, r TargetAnswer) {
		if r.Reason != "" || r.Replaces == nil {
			a.happen(now, call.Event{Kind: call.TargetLost, Other: t.Other, Reason: orWord(r.Reason, call.ReasonOtherCall)})
			return
		}
		t.Replaces = r.Replaces
		a.happen(now, call.Event{Kind: call.OtherFound, Other: t.Other, Transfer: &t})
	})
}

// seekTarget asks how the target is called, and calls it.
func (a *actor) seekTarget(t call.Transfer) {
	q := a.question(t)
	q.Target = a.calls.newID()
	a.seeking = q.Target
	a.inquire(q, q.Target, func(now time.Time, r TargetAnswer) {
		if !a.machine.Call.Awaits(q.Target) {
			return
		}
		reason := r.Reason
		if reason == "" && r.Job != nil {
			reason = a.place(q, *r.Job)
		}
		if reason != "" || r.Job == nil {
			a.happen(now, call.Event{Kind: call.TargetLost, Other: q.Target, Reason: orWord(reason, call.ReasonAway)})
			return
		}
		a.happen(now, call.Event{Kind: call.TargetTold, Other: q.Target})
	})
}

// choices are the codecs that the target may choose from: the call's, and what
// becomes it octet by octet.
func choices(codec string) []string {
	if other := call.OtherLaw(codec); other != "" {
		return []string{codec, other}
	}
	return []string{codec}
}

// place begins the call to the target, or says why it cannot.
func (a *actor) place(q TargetQuestion, job Job) (reason string) {
	if job.Dial == nil || job.Dial.ID != q.Target {
		return call.ReasonAway
	}
	hops, ok := a.invitation.Onward()
	if !ok {
		return call.ReasonHops
	}
	job.V, job.Tenant, job.Codecs, job.Agent, job.Failover, job.Consult = 1, a.job.Tenant, choices(q.Codec), nil, nil, nil
	job.Dial.For, job.Dial.MaxForwards = a.id, hops
	switch taken := a.calls.Offer(job); taken.Status {
	case 0:
		return ""
	case 400:
		return call.ReasonBadTarget
	default:
		return call.ReasonAway
	}
}

func orWord(word, otherwise string) string {
	if word == "" {
		return otherwise
	}
	return word
}

// inquire asks control. An answer that nobody waits for any more is dropped.
func (a *actor) inquire(q TargetQuestion, about call.ID, then func(time.Time, TargetAnswer)) {
	heard := func(r TargetAnswer) {
		// ErrStopped: the call has ended with its host.
		_ = a.loop.Post(func(now time.Time) {
			if a.over || a.gone || a.seeking != about {
				return
			}
			a.seeking = 0
			then(now, r)
		})
	}
	if a.calls.ports.Targets == nil {
		heard(TargetAnswer{Reason: call.ReasonNoMethod})
		return
	}
	a.calls.ports.Targets.Ask(q, heard)
}

// tellOther tells another call of this node, and of the same account. Each call
// is told a few things by each transfer of one other, so mailboxes are not
// asked for room.
func (a *actor) tellOther(to call.ID, ev call.Event) {
	if ev.Kind == call.Joined && a.loose {
		ev.Kind = call.NotWanted
	}
	other, bridge := a.calls.index.get(to), a.bridge
	if other == nil || other.job.Tenant != a.job.Tenant {
		_ = a.loop.Post(func(now time.Time) { a.unheardBy(now, to, call.ReasonOtherNode, ev.Kind) })
		return
	}
	// ErrStopped: the calls have ended with their host.
	_ = other.loop.Post(func(now time.Time) {
		if other.over || other.gone || !other.begun {
			_ = a.loop.Post(func(now time.Time) { a.unheardBy(now, to, call.ReasonOtherCall, ev.Kind) })
			return
		}
		if ev.Kind == call.TargetReady {
			other.partner = bridge
		}
		other.happen(now, ev)
	})
}

// unheardBy is a call that was told something and is not there.
func (a *actor) unheardBy(now time.Time, other call.ID, reason string, told call.EventKind) {
	switch told {
	case call.JoinAsked:
		a.happen(now, call.Event{Kind: call.TargetLost, Other: other, Reason: reason})
	case call.TargetReady:
		a.happen(now, call.Event{Kind: call.NotWanted, Other: other})
	}
}

// couple joins the carriers. Where media cannot, the other has gone this
// moment: then it ends as after any target that hangs up.
func (a *actor) couple() {
	partner, coupler := a.partner, a.calls.ports.Coupler
	a.partner = nil
	a.loose = partner == nil || a.bridge == nil || coupler == nil || coupler.Couple(partner, a.bridge, call.CauseTransferred) != nil
	if a.loose {
		a.post(call.Event{Kind: call.AgentLeft, Cause: call.CauseNormal})
	}
}
