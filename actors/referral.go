package actors

import (
	"slices"
	"time"

	"patchbay/actors/call"
)

// A Referred is a Dialog whose other side may have us call somebody else. Those
// of sip/dialog are.
type Referred interface {
	// AnswerRefer answers the REFER that CarrierRefers told of; with a 2xx the
	// implicit subscription begins (RFC 3515 2.4.4). Without such a REFER it does
	// nothing.
	AnswerRefer(now time.Time, r call.Response) []call.Output
	// NotifyRefer tells how the call to the target goes; a final status ends the
	// subscription.
	NotifyRefer(now time.Time, status int) []call.Output
	// Leave ends the dialog after wait, unless the other side does: it knows that
	// somebody else has the call.
	Leave(now time.Time, wait time.Duration, cause call.Cause) []call.Output
}

// HandleReferral takes the dialog with the target of a carrier's REFER, without
// a word sent yet, and the event that has it invited. The result is valid until
// the next Handle.
func (m *Machine) HandleReferral(now time.Time, target Caller, to call.Party, ev call.Event) []Action {
	m.out = m.out[:0]
	if m.target != nil {
		return nil
	}
	m.target, m.targeted, m.targetParty = target, false, to
	m.events = append(m.events, ev)
	out := m.run(now)
	if !m.targeted { // the call does not want it any more
		m.target = nil
	}
	return out
}

// refers carries out what the call wants of a REFER of its carrier's.
func (m *Machine) refers(now time.Time, effect *call.Effect) {
	switch effect.Do {
	case call.AnswerRefer, call.NotifyRefer:
		m.answerRefer(now, effect)
	case call.InviteTarget:
		if m.target != nil && !m.targeted {
			m.targeted = true
			m.takeTarget(m.target.Invite(now, *effect.Offer))
		}
	case call.TakeTarget:
		m.adopt(now)
	case call.DropTarget:
		m.dropTarget(now, effect.Cause)
	}
}

func (m *Machine) answerRefer(now time.Time, effect *call.Effect) {
	r, ok := m.Dialog.(Referred)
	switch {
	case !ok:
	case effect.Do == call.AnswerRefer:
		m.take(r.AnswerRefer(now, effect.Response))
	default:
		m.take(r.NotifyRefer(now, effect.Response.Status))
	}
}

// adopt makes the dialog with the target the call's. The one before leaves.
func (m *Machine) adopt(now time.Time) {
	if m.target == nil {
		return
	}
	before := m.Dialog
	m.Dialog, m.target, m.invited = m.target, nil, true
	m.former = append(m.former, before)
	if r, ok := before.(Referred); ok {
		m.retire(r.Leave(now, call.LeaveWait, call.CauseTransferred))
		return
	}
	m.retire(before.Bye(now, call.CauseTransferred))
}

// dropTarget gives the call to the target up. What is left of it is kept like a
// dialog that was replaced.
func (m *Machine) dropTarget(now time.Time, cause call.Cause) {
	target := m.target
	if target == nil {
		return
	}
	m.target = nil
	m.retire(target.Bye(now, cause))
	if m.targeted {
		m.former = append(m.former, target)
	}
	m.forgetFormer()
}

// receiveTarget lets the dialog with the target take what belongs to it. A REFER
// of whoever does not carry the call yet comes too early.
func (m *Machine) receiveTarget(now time.Time, p call.Packet) {
	if m.target == nil {
		return
	}
	receiveBeside(now, m.target, p, 491, m.takeTarget)
}

// receiveBeside lets a dialog that does not carry the call take what belongs to
// it. A REFER in it gets status: the call, which would answer it, does not hear of
// it.
func receiveBeside(now time.Time, d Dialog, p call.Packet, status int, take func([]call.Output)) {
	outputs := d.Receive(now, p)
	refers := slices.ContainsFunc(outputs, func(o call.Output) bool { return o.Event != nil && o.Event.Kind == call.CarrierRefers })
	take(outputs)
	if r, ok := d.(Referred); ok && refers {
		take(r.AnswerRefer(now, call.Response{Status: status}))
	}
}

// takeTarget takes what the dialog with the target says, in the words of the
// call's REFER.
func (m *Machine) takeTarget(outputs []call.Output) {
	for _, o := range outputs {
		if o.Send != nil {
			m.out = append(m.out, Action{Send: o.Send})
		}
		if o.Event == nil {
			continue
		}
		ev := *o.Event
		switch ev.Kind {
		case call.CarrierRings:
			ev.Kind = call.TargetRings
		case call.CarrierFailed:
			ev.Kind = call.TargetFailed
		case call.CarrierAnswered:
			ev.Kind, ev.Mover = call.TargetAnswered, m.mover()
		default:
			continue
		}
		m.events = append(m.events, ev)
	}
}

// mover says what carries the call from now on.
func (m *Machine) mover() *call.Moved {
	v := &call.Moved{How: call.MovedByRefer, To: m.targetParty}
	if r, ok := m.target.(Referrer); ok {
		v.SIPCallID = r.ID().CallID
	}
	if p, ok := m.target.(Peered); ok && p.Peer().IsValid() {
		v.Source = p.Peer().String()
	}
	return v
}
