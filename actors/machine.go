package actors

import (
	"time"

	"patchbay/actors/call"
)

// A Machine joins the two pure halves of one call: the life of the call and
// the SIP dialog with its carrier. What one half asks of the other happens
// inside; what is left are [Action]s for the shell, in the order they must
// happen. Like its halves it does no I/O and knows no clock, and takes one
// caller at a time.
type Machine struct {
	Call   *call.Call
	Dialog Dialog

	next   Dialog   // of an INVITE that asks to carry the call, while the call answers it
	former []Dialog // that carried it before, until nothing of them need be kept

	target      Caller     // dialog with whom the carrier has us call; nil: none
	targeted    bool       // its INVITE is on its way
	targetParty call.Party // who that is

	invited bool         // a call that we place: its INVITE is on its way
	events  []call.Event // from the dialog to the call, not yet handled
	out     []Action
}

// An Action is something the shell must do: send a message if Send is set,
// else carry out Effect, which is never Respond, SendBye, SendRefer,
// SendKeys, AnswerOffer, AnswerReplacing, or of those about a REFER of the carrier's any but
// AskReferral. SendInvite says that the INVITE is among the messages before it.
//
// An Emit of call.answered also says that the carrier has our answer
// (Bridge.Answered). The record of a Finish holds no Quality yet: the shell
// adds what the bridge measured before CloseBridge.
type Action struct {
	Send   *call.Transmission
	Effect call.Effect
}

// HandleEvent tells the call what happened outside the dialog: Invited when
// the call begins, news of media and the agent, hangups, its own timers. The
// result is valid until the next Handle.
func (m *Machine) HandleEvent(now time.Time, ev call.Event) []Action {
	m.out = m.out[:0]
	m.events = append(m.events, ev)
	return m.run(now)
}

// HandlePacket takes a SIP message that belongs to the call. The result is
// valid until the next Handle.
func (m *Machine) HandlePacket(now time.Time, p call.Packet) []Action {
	m.out = m.out[:0]
	m.take(m.Dialog.Receive(now, p))
	m.receiveTarget(now, p)
	m.receiveFormer(now, p)
	return m.run(now)
}

// HandleWake lets the dialog's timers fire that are due. The result is valid
// until the next Handle.
func (m *Machine) HandleWake(now time.Time) []Action {
	m.out = m.out[:0]
	m.take(m.Dialog.Wake(now))
	if m.target != nil {
		m.takeTarget(m.target.Wake(now))
	}
	m.wakeFormer(now)
	return m.run(now)
}

// HandleUnsent says that no edge could send the INVITE of a call that we
// place. The result is valid until the next Handle.
func (m *Machine) HandleUnsent(now time.Time) []Action {
	m.out = m.out[:0]
	if caller, ok := m.Dialog.(Caller); ok {
		m.take(caller.Unsent(now))
	}
	if m.target != nil {
		m.takeTarget(m.target.Unsent(now))
	}
	return m.run(now)
}

// Deadline is when HandleWake wants to be called next; zero: not at all. The
// call's own timers are armed by effects and are not part of it.
func (m *Machine) Deadline() time.Time {
	first := earlier(m.Dialog.Deadline(), m.formerDeadline())
	if m.target != nil {
		first = earlier(first, m.target.Deadline())
	}
	return first
}

// Done reports that the call has its record and that nothing of its dialog
// need be kept, not even to answer retransmissions.
func (m *Machine) Done() bool {
	_, ours := m.Dialog.(Caller)
	return m.Call.Over() && len(m.former) == 0 && m.target == nil && (m.Dialog.Done() || ours && !m.invited)
}

// run feeds the call until both halves are silent. Each half only moves
// towards its end, so that happens soon.
func (m *Machine) run(now time.Time) []Action {
	for i := 0; i < len(m.events); i++ {
		for _, effect := range m.Call.Step(now, m.events[i]) {
			switch effect.Do {
			case call.Respond:
				m.take(m.Dialog.Respond(now, effect.Response))
			case call.SendBye:
				m.bye(now, &effect)
			case call.SendRefer:
				m.refer(now, effect.Transfer)
			case call.SendKeys:
				m.press(now, &effect)
			case call.SendInvite:
				m.invite(now, effect)
			case call.AnswerReplacing:
				m.succeed(now, effect.Response)
			case call.AnswerRefer, call.NotifyRefer, call.InviteTarget, call.TakeTarget, call.DropTarget:
				m.refers(now, &effect)
			case call.AnswerOffer:
				m.take(m.Dialog.AnswerOffer(now, effect.Response))
			default:
				m.out = append(m.out, Action{Effect: effect})
			}
		}
	}
	m.events = m.events[:0]
	out := m.out
	if m.Call.Over() { // from here on the dialog only answers copies: keep no room for more
		m.events, m.out = nil, nil
	}
	return out
}

// invite sends the INVITE of a call that we place, and has it kept: whoever
// takes the call over must be able to give it up.
func (m *Machine) invite(now time.Time, effect call.Effect) {
	caller, ok := m.Dialog.(Caller)
	if !ok || m.invited {
		return
	}
	m.invited = true
	m.take(caller.Invite(now, *effect.Offer))
	m.out = append(m.out, Action{Effect: effect})
}

func (m *Machine) take(outputs []call.Output) {
	for _, o := range outputs {
		if o.Send != nil {
			m.out = append(m.out, Action{Send: o.Send})
		}
		if o.Event != nil {
			m.events = append(m.events, *o.Event)
		}
	}
}
