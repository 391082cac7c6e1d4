package dialog

import (
	"patchbay/actors"
	"patchbay/actors/call"
)

// Call implements [actors.Dialogs].
func (f *Factory) Call(call.ID, call.Outgoing) (actors.Caller, call.Invitation, error) {
	return nil, call.Invitation{}, &call.WrongOutgoing{Field: "to", Why: "calls are not begun here"}
}
