package cluster

import "time"

// WaitLonger lets r wait that long for a call's node, for the first decider that
// is asked in an owner's place and for its own words to come back, and for who
// claims a call: a busy machine may keep an answer for longer than an edge would
// wait.
func (r *Router) WaitLonger(node, holder time.Duration) {
	r.anyWait, r.callWait, r.findWait, r.echoWait = node, node, holder, max(node, holder)
}

// HoldLonger lets r hold a message that long until its call is found.
func (r *Router) HoldLonger(time time.Duration) { r.holdTime = time }

// WaitLonger lets w wait that long for an edge to say that it sent a message.
func (w *Wire) WaitLonger(edge time.Duration) { w.sendWait = edge }

// TryLonger lets w try that long to send what nobody would repeat.
func (w *Wire) TryLonger(time time.Duration) { w.sendTime = time }

// WaitLonger lets c wait that long for the node that carries a call.
func (c *Commander) WaitLonger(holder time.Duration) { c.findWait = holder }

// WaitLonger lets n wait that long for nodes to answer.
func (n *Nodes) WaitLonger(nodes time.Duration) { n.wait = nodes }

// WaitLonger lets r wait that long for a decider's sign of progress.
func (r *Rulings) WaitLonger(progress time.Duration) { r.progressWait = progress }

// FillHeld takes all places of messages that r may hold, and returns how to give
// one back.
func (r *Router) FillHeld() (giveOne func()) {
	for r.held.take(1) {
	}
	return func() { r.held.give(1) }
}
