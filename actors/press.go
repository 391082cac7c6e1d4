package actors

import (
	"time"

	"patchbay/actors/call"
)

// A Presser is a Dialog whose carrier can be told of keys by INFO. The dialogs
// of sip/dialog are.
type Presser interface {
	// Press tells of keys, and of pauses (w), one INFO after the other. Those that
	// do not reach the carrier come back as DigitsUnsent; all of them with
	// ReasonNoInfo, where it has not said that it takes INFO and always is not
	// set.
	Press(now time.Time, keys string, always bool) []call.Output
}

// press has the dialog tell its carrier of keys.
func (m *Machine) press(now time.Time, effect *call.Effect) {
	p, ok := m.Dialog.(Presser)
	if !ok {
		m.events = append(m.events, call.Event{Kind: call.DigitsUnsent, Keys: effect.Keys, Reason: call.ReasonNoInfo})
		return
	}
	m.take(p.Press(now, effect.Keys, effect.Info))
}

// unsentDetails are what an event says of keys that the carrier did not get.
func unsentDetails(ev call.Event) map[string]any {
	details := map[string]any{"digits": ev.Keys, "reason": ev.Reason}
	if ev.Status != 0 {
		details["status"] = ev.Status
	}
	return details
}
