package edge

import (
	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A Router carries messages from an edge to the rest of the cluster. Neither
// method blocks: the answer comes by done, once, from any goroutine.
type Router interface {
	// Invite asks for the verdict on an initial INVITE, or hands on a CANCEL.
	Invite(inv endpoint.Invite, cancel bool, p call.Packet, done func(Outcome))
	// InDialog hands a request or a response to the node that carries the
	// call. done(nil) means it was taken.
	InDialog(slot call.Slot, id call.ID, p call.Packet, done func(error))
}

// An Outcome is what became of an initial INVITE or a CANCEL. Taken means that
// a call actor owns the transaction and answers it itself. Otherwise the edge
// answers with Status; a Status outside 300 to 699 is a fault and becomes 500.
// Reason becomes the text of a Reason header, and 503 always has a Retry-After:
// the one given, in whole seconds, or a random few.
type Outcome = actors.Outcome
