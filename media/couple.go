package media

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// ErrNotCoupled says that two bridges cannot be joined: one is closed, is
// another node's, or has no carrier yet, or their carriers have no codec in
// common.
var ErrNotCoupled = errors.New("media: these calls cannot be joined")

// Couple implements [actors.Coupler]. It joins the carriers of two bridges of
// the node with each other, in place of their agents, which hear that their
// call has ended and are let go for the cause: a bridge joins any two legs.
// Audio and telephone-events pass through as they do to an agent, so both
// carriers must have one codec, or the two laws of G.711. When one bridge is
// closed the other posts AgentLeft, and may be given an agent again.
func (n *Node) Couple(x, y actors.Bridge, cause call.Cause) error {
	a, isA := x.(*bridge)
	b, isB := y.(*bridge)
	if !isA || !isB || a == b || a.node != n || b.node != n {
		return ErrNotCoupled
	}
	first, second := a.carrierNow(), b.carrierNow()
	if first == nil || second == nil {
		return ErrNotCoupled
	}
	ends, ok := newCord(first.agreed().answer, second.agreed().answer)
	if !ok {
		return ErrNotCoupled
	}
	if !a.couple(ends[0], cause) {
		return ErrNotCoupled
	}
	if !b.couple(ends[1], cause) {
		ends[1].Close(call.CauseAgentLost) // the first hears that it is alone
		return ErrNotCoupled
	}
	return nil
}

// cordPause is how long a carrier may say nothing before silence is sent for it
// to the one that it is joined with, which might take it for dead. It is long, for
// a gap in the network must not cut a key in two.
const cordPause = time.Second

// couple makes one end of a cord the bridge's leg.
func (b *bridge) couple(end *cordEnd, cause call.Cause) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.cancel() // whoever is being asked comes too late
	old, told := b.leg, notification(b.req, b.asked, call.EventEnded, call.Event{Cause: cause})
	b.asked.Number++ // what the agent before sends or says counts no more
	number, carrier := b.asked.Number, b.carrier
	t := agentTerms{agent: end.codec, agentSSRC: end.SSRC(), fill: true, pause: cordPause}
	if d, ok := end.DTMF(); ok {
		t.agentDTMF = &d
	}
	carrier.attach(b.node.now(), t, number, func(p []byte) { _ = end.WriteRTP(p) })
	b.leg, b.waiting = end, nil
	end.Start(
		func(p []byte) { carrier.fromAgent(b.node.now(), number, p) },
		func(c call.Cause) { b.post(call.Event{Kind: call.AgentLeft, Cause: c}) },
		nil,
	)
	if old != nil {
		old.Notify(told)
		b.node.spawn(func() { old.Close(cause) })
	}
	return true
}

// A cordEnd is one end of what joins two carriers: to the bridge that has it, it
// is an agent that says what the other bridge's carrier says.
type cordEnd struct {
	other *cordEnd
	codec call.Codec
	dtmf  *call.Codec
	ssrc  uint32
	rx    atomic.Pointer[func([]byte)]

	mu     sync.Mutex
	closed func(call.Cause) // nil: not started
	left   *call.Cause      // the other end has gone
	done   bool
}

var _ AgentLeg = (*cordEnd)(nil)

// newCord joins two carriers. What passes is in the first one's codec; where the
// other has the other law of G.711, its leg translates. Numbers of payload types are
// those of the carrier whose audio comes out of an end.
func newCord(a, b call.Answer) (ends [2]*cordEnd, ok bool) {
	if !call.Joinable(a.Codec, b.Codec) {
		return ends, false
	}
	x, y := &cordEnd{codec: a.Codec, ssrc: rand.Uint32()}, &cordEnd{codec: a.Codec, ssrc: rand.Uint32()}
	x.other, y.other = y, x
	if a.DTMF != nil && b.DTMF != nil {
		x.dtmf, y.dtmf = a.DTMF, a.DTMF
	}
	return [2]*cordEnd{x, y}, true
}

// Codec implements [AgentLeg]: both ends number it alike.
func (e *cordEnd) Codec() call.Codec { return e.codec }

// DTMF implements [AgentLeg].
func (e *cordEnd) DTMF() (call.Codec, bool) {
	if e.dtmf == nil {
		return call.Codec{}, false
	}
	return *e.dtmf, true
}

// SSRC implements [AgentLeg].
func (e *cordEnd) SSRC() uint32 { return e.ssrc }

// Start implements [AgentLeg]. A carrier asks for nothing.
func (e *cordEnd) Start(rx func([]byte), closed func(call.Cause), _ func(Command) error) {
	e.mu.Lock()
	left := e.left
	e.closed = closed
	e.mu.Unlock()
	e.rx.Store(&rx)
	if left != nil {
		closed(*left)
	}
}

// WriteRTP implements [AgentLeg]: what goes in here comes out at the other end.
func (e *cordEnd) WriteRTP(packet []byte) error {
	rx := e.other.rx.Load()
	if rx == nil {
		return ErrClosed
	}
	(*rx)(packet)
	return nil
}

// Notify implements [AgentLeg]. A carrier is told nothing but by SIP.
func (e *cordEnd) Notify([]byte) {}

// Close implements [AgentLeg]. The other end hears it once.
func (e *cordEnd) Close(cause call.Cause) {
	e.mu.Lock()
	again := e.done
	e.done = true
	e.mu.Unlock()
	if again {
		return
	}
	e.rx.Store(nil)
	e.other.leave(cause)
}

func (e *cordEnd) leave(cause call.Cause) {
	e.mu.Lock()
	closed, done := e.closed, e.done
	e.left = &cause
	e.mu.Unlock()
	if closed != nil && !done {
		closed(cause)
	}
}
