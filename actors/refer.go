package actors

import (
	"time"

	"patchbay/actors/call"
)

// A Referrer is a Dialog whose carrier can be asked to call somebody else. The
// dialogs of sip/dialog are.
type Referrer interface {
	// Refer sends a REFER within an established dialog (RFC 3515). Exactly one
	// ReferDone follows, unless the dialog is over first; before it come
	// ReferTold, for the 2xx and for each other status that a NOTIFY tells.
	Refer(now time.Time, t call.Transfer) []call.Output
	// ByeWith is Bye with further header fields.
	ByeWith(now time.Time, cause call.Cause, headers []call.Header) []call.Output
	// ID is how the other side knows an established dialog.
	ID() call.DialogID
}

// refer has the dialog ask its carrier to call somebody else.
func (m *Machine) refer(now time.Time, t *call.Transfer) {
	r, ok := m.Dialog.(Referrer)
	if !ok || t == nil {
		m.events = append(m.events, call.Event{Kind: call.ReferDone, Reason: call.ReasonNoMethod})
		return
	}
	m.take(r.Refer(now, *t))
}

// bye ends the dialog, with what further header fields its BYE shall carry.
func (m *Machine) bye(now time.Time, effect *call.Effect) {
	if r, ok := m.Dialog.(Referrer); ok && len(effect.Headers) > 0 {
		m.take(r.ByeWith(now, effect.Cause, effect.Headers))
		return
	}
	m.take(m.Dialog.Bye(now, effect.Cause))
}

// movedDetails are what an event says about a transfer, or of a call that moved.
func movedDetails(ev call.Event) map[string]any {
	if ev.Kind == call.Joined {
		return map[string]any{"joined_call": ev.Other}
	}
	m := ev.Moved
	switch {
	case ev.Mover != nil:
		return moveDetails(ev.Mover)
	case m == nil:
		return nil
	}
	details := map[string]any{"to": m.To, "by": m.By}
	if m.Call != 0 {
		details["to_call"] = m.Call
	}
	if m.Status != 0 {
		details["status"] = m.Status
	}
	if m.Reason != "" {
		details["reason"] = m.Reason
	}
	return details
}

// Transfer asks the carrier of a call to call somebody else. What comes of it
// are events. Errors as for [Calls.InDialog].
func (c *Calls) Transfer(id call.ID, t call.Transfer) error {
	return c.tell(id, func(a *actor, now time.Time) { a.happen(now, call.Event{Kind: call.TransferAsked, Transfer: &t}) })
}

// dialogID is how the other side knows the call's dialog; nil before the answer
// and where it cannot be replaced.
func (a *actor) dialogID() *call.DialogID {
	r, ok := a.machine.Dialog.(Referrer)
	if s := a.machine.Call.State(); !ok || s != call.StateEstablished && s != call.StateHeld {
		return nil
	}
	id := r.ID()
	return &id
}
