package main

import (
	"os"
	"time"

	"patchbay/actors/call"
)

// Waits of a node that leaves.
const (
	leaveTick   = 50 * time.Millisecond
	handOver    = 5 * time.Second        // longest wait for others to take partitions over: where there are no others they are taken by whoever comes
	edgeAnswers = 32 * time.Second       // longest wait for the answers of calls that ring: longer than agents are given by default
	edgeQuiet   = 500 * time.Millisecond // then, for what is on its way through the edge: the ACKs of those answers, and answers to other requests
)

// drain makes every role turn new work away, in the order of design D6, and
// waits for the work that each still has: an edge for the answers to INVITEs
// that came through it, an actor node until others have its partitions, a media
// node for its calls. It ends when nothing is left, when the drain period is
// over, or with another signal.
func (n *node) drain(signals <-chan os.Signal) {
	n.leave()
	began := time.Now()
	over := time.NewTimer(n.cfg.Node.DrainPeriod)
	defer over.Stop()
	tick := time.NewTicker(leaveTick)
	defer tick.Stop()
	n.log.Info("draining", "calls", n.live(), "partitions", n.partitions(), "unanswered", n.ringing())
	if n.onDrain != nil {
		n.onDrain(n.live())
	}
	for !n.drained(time.Since(began)) {
		select {
		case <-tick.C:
		case <-over.C:
			n.hangUp("the drain period is over")
			return
		case <-signals:
			n.hangUp("a second signal came")
			return
		}
	}
	if n.edge != nil {
		n.linger(signals)
	}
}

// drained reports that no role has work left that another node could not do.
func (n *node) drained(since time.Duration) bool {
	switch {
	case n.live() > 0:
		return false
	case n.ground.ownership != nil && !n.ground.alone() && !n.ground.ownership.Released() && since < handOver:
		return false
	case n.ringing() > 0 && since < edgeAnswers:
		return false
	}
	return true
}

// linger says goodbye for the edge, so that what calls send leaves by others,
// and gives what is on its way through it a moment.
func (n *node) linger(signals <-chan os.Signal) {
	close(n.ground.edgeLeaves)
	quiet := time.NewTimer(edgeQuiet)
	defer quiet.Stop()
	select {
	case <-quiet.C:
	case <-signals:
	}
}

func (n *node) live() int {
	if n.calls == nil {
		return 0
	}
	return n.calls.Count()
}

func (n *node) partitions() int {
	if n.ground.ownership == nil {
		return 0
	}
	return len(n.ground.ownership.Owned())
}

func (n *node) ringing() int {
	if n.unanswered == nil {
		return 0
	}
	return n.unanswered.len()
}

// hangUp ends every call and gives their BYEs a moment to be answered.
func (n *node) hangUp(why string) {
	if n.calls == nil {
		n.log.Info("leaving at once", "reason", why)
		return
	}
	n.log.Info("hanging up", "reason", why, "calls", n.calls.Count())
	n.calls.HangupAll(call.CauseDrain)
	for end := time.Now().Add(byeTime); n.calls.Count() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}
