package edge

import "patchbay/actors/call"

// An Observer hears what an edge does; metrics and tests are observers. Its
// funcs are called on the path of messages and must not block; nil is skipped.
type Observer struct {
	// Received counts messages, keep-alives left out.
	Received func(t call.Transport)
	// Answered counts stateless answers of the edge. method is INVITE,
	// CANCEL, BYE, OPTIONS, REGISTER or "other".
	Answered func(method string, status int)
	// Malformed counts messages that the guard refused, by its word for the fault.
	Malformed func(word string)
	// Dropped counts messages and connections that got no answer.
	Dropped func(why Drop)
	// Panicked counts faults that cost one message, or one connection.
	Panicked func(where string)
	// Connections tells of stream connections that came (+1) and went (-1).
	Connections func(t call.Transport, delta int)
}

// A Drop says why a message or a connection was let go without an answer.
type Drop string

// Reasons for a drop: the closed set of a metric's label.
const (
	DropMalformed     Drop = "malformed"        // not answerable: a response, an ACK, or no usable Via
	DropQueueFull     Drop = "queue-full"       // the workers are behind, or a copy of an INVITE has no room
	DropStrayAck      Drop = "stray-ack"        // an ACK of a stateless rejection, or of nothing we know
	DropStrayResponse Drop = "stray-response"   // a response to no request of ours
	DropNotTaken      Drop = "not-taken"        // nobody in the cluster took an ACK or a response
	DropFlowGone      Drop = "flow-gone"        // the connection to answer on is closed
	DropNoRoute       Drop = "no-route"         // no listener, no address or no permission to send
	DropForbidden     Drop = "forbidden"        // a call of ours to an address that accounts may not call
	DropWrite         Drop = "write"            // the socket refused
	DropWriteQueue    Drop = "write-queue-full" // the peer reads too slowly
	DropDial          Drop = "dial"             // the peer could not be reached, or too many dials
	DropResolve       Drop = "resolve"          // a name without a usable address
	DropConnCap       Drop = "connection-cap"   // too many connections in all
	DropSourceCap     Drop = "source-cap"       // too many connections of one source
	DropSlow          Drop = "slow"             // no whole message in time
	DropHandshake     Drop = "handshake"        // TLS or WebSocket was not agreed upon, or not in time
	DropAnnouncement  Drop = "proxy-protocol"   // a balancer's connection that does not say whose it is, or not in time
	DropFraming       Drop = "framing"          // a stream that cannot be cut into messages
	DropSilent        Drop = "silent"           // refused without an answer, as the operator wants it
	DropBlocked       Drop = "blocked"          // the operator has blocked the source
)

func (o Observer) received(t call.Transport) {
	if o.Received != nil {
		o.Received(t)
	}
}

func (o Observer) answered(method string, status int) {
	if o.Answered != nil {
		o.Answered(method, status)
	}
}

func (o Observer) malformed(word string) {
	if o.Malformed != nil {
		o.Malformed(word)
	}
}

func (o Observer) dropped(why Drop) {
	if o.Dropped != nil {
		o.Dropped(why)
	}
}

func (o Observer) panicked(where string) {
	if o.Panicked != nil {
		o.Panicked(where)
	}
}

func (o Observer) connections(t call.Transport, delta int) {
	if o.Connections != nil {
		o.Connections(t, delta)
	}
}
