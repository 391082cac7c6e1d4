package cluster

import (
	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// A WireObserver hears what a Wire could not send. Nil hooks are skipped.
type WireObserver struct {
	Rerouted func(edge string)            // that edge is gone; any other got the message
	Lost     func(edge string, err error) // as on any network
}

// A Wire sends SIP messages out through edges; it implements actors.Wire.
type Wire struct {
	conn *Conn
	gone func(edge string) bool
	obs  WireObserver
}

// NewWire returns a Wire. gone, usually [Presence.Gone], tells edges that have
// died: their datagrams leave by any other edge.
func NewWire(c *Conn, gone func(edge string) bool, obs WireObserver) *Wire {
	return &Wire{conn: c, gone: gone, obs: obs}
}

// Transmit implements actors.Wire.
func (w *Wire) Transmit(tx call.Transmission) {
	to := subject.Send(tx.Flow.Edge)
	// A connection dies with its edge; only datagrams can leave elsewhere.
	if tx.Flow.Transport == call.UDP && w.gone(tx.Flow.Edge) {
		to = subject.SendAny(call.UDP)
		if w.obs.Rerouted != nil {
			w.obs.Rerouted(tx.Flow.Edge)
		}
	}
	err := w.conn.Hot().Publish(to, envelope.EncodeSend(tx))
	if err != nil && w.obs.Lost != nil {
		w.obs.Lost(tx.Flow.Edge, err)
	}
}
