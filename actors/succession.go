package actors

import (
	"time"

	"patchbay/actors/call"
)

// maxFormer is how many dialogs of one call are kept for copies of their
// messages, after another has taken their place. Beyond it no dialog takes the
// call's over: 503.
const maxFormer = 4

// A Replacer is a [Dialogs] that serves INVITEs which ask to take a dialog's
// place (RFC 3891). That of sip/dialog is one.
type Replacer interface {
	// Replaces reads what an INVITE asks to replace; nil: it is no such INVITE.
	Replaces(p call.Packet) *call.Replacing
	// Refuse is a stateless final response to an INVITE that no dialog is made
	// of: each copy gets the same, and no ACK of it comes back here.
	Refuse(p call.Packet, r call.Response) (call.Transmission, bool)
}

// HandleReplacing takes the dialog of an INVITE that asks to carry the call from
// now on, from somebody who may. The call answers it; with a 2xx the dialog
// before ends with a BYE. The result is valid until the next Handle.
func (m *Machine) HandleReplacing(now time.Time, d Dialog, ev call.Event) []Action {
	m.out = m.out[:0]
	m.next = d
	m.events = append(m.events, ev)
	out := m.run(now)
	if m.next != nil { // the call is over, and keeps no room for it
		m.next = nil
	}
	return out
}

// full reports that no further dialog can be taken.
func (m *Machine) full() bool { return len(m.former) >= maxFormer || m.next != nil }

// carries reports whether one of the call's dialogs has that Call-ID.
func (m *Machine) carries(callID string) bool {
	for _, d := range append([]Dialog{m.Dialog}, m.former...) {
		if r, ok := d.(Referrer); ok && r.ID().CallID == callID {
			return true
		}
	}
	return false
}

// succeed answers the INVITE that asks to carry the call.
func (m *Machine) succeed(now time.Time, r call.Response) {
	d := m.next
	if d == nil {
		return
	}
	m.next = nil
	m.take(d.Respond(now, r))
	if r.Status/100 != 2 {
		m.former = append(m.former, d)
		return
	}
	before := m.Dialog
	m.Dialog, m.former = d, append(m.former, before)
	m.retire(before.Bye(now, call.CauseTransferred))
}

// retire takes what a dialog says that does not carry the call: its messages
// leave, its news are nobody's.
func (m *Machine) retire(outputs []call.Output) {
	for _, o := range outputs {
		if o.Send != nil {
			m.out = append(m.out, Action{Send: o.Send})
		}
	}
}

// receiveFormer lets the dialogs that were replaced answer what belongs to them.
// None takes what has another Call-ID.
func (m *Machine) receiveFormer(now time.Time, p call.Packet) {
	for _, d := range m.former {
		receiveBeside(now, d, p, 603, m.retire) // the call is somebody else's
	}
	m.forgetFormer()
}

func (m *Machine) wakeFormer(now time.Time) {
	for _, d := range m.former {
		m.retire(d.Wake(now))
	}
	m.forgetFormer()
}

// forgetFormer lets go of dialogs that are done.
func (m *Machine) forgetFormer() {
	live := m.former[:0]
	for _, d := range m.former {
		if !d.Done() {
			live = append(live, d)
		}
	}
	clear(m.former[len(live):])
	if m.former = live; len(live) == 0 {
		m.former = nil
	}
}

// formerDeadline is when the first of them wants to be woken; zero: none does.
func (m *Machine) formerDeadline() (first time.Time) {
	for _, d := range m.former {
		first = earlier(first, d.Deadline())
	}
	return first
}

// earlier is the first of two moments; the zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// moveDetails are what an event says of a call that moved.
func moveDetails(m *call.Moved) map[string]any {
	details := map[string]any{"how": m.How, "to": m.To, "sip_call_id": m.SIPCallID, "source": m.Source}
	if len(m.Headers) > 0 {
		details["headers"] = m.Headers
	}
	return details
}
