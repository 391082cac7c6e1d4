package cluster

import "time"

// WaitLonger lets r wait that long for a call's node and for its own words to
// come back, and for who claims a call: a busy machine may keep an answer for
// longer than an edge would wait.
func (r *Router) WaitLonger(node, holder time.Duration) {
	r.callWait, r.findWait, r.echoWait = node, holder, max(node, holder)
}

// WaitLonger lets w wait that long for an edge to say that it sent a message.
func (w *Wire) WaitLonger(edge time.Duration) { w.sendWait = edge }

// FillHeld takes all places of messages that r may hold, and returns how to give
// one back.
func (r *Router) FillHeld() (giveOne func()) {
	for r.held.take(1) {
	}
	return func() { r.held.give(1) }
}
