package media

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// A bridge is one call's media: first a search for an agent, then two legs.
// The agent's may change, the carrier's stays. What looks for an agent is in
// search.go.
type bridge struct {
	node   *Node
	req    actors.BridgeRequest
	tell   func(call.Event)
	opened time.Duration

	outbound bool // a call that we place

	slot, index int // in the wheel, under its lock

	quiet     atomic.Bool // nothing is posted any more
	searching sync.WaitGroup

	port  sync.Mutex // held while ports are reserved
	ports *portPair

	mu      sync.Mutex
	offer   *call.Offer  // ours, of a call that we place
	asked   actors.Asked // the agent that is asked, or was last
	cancel  context.CancelFunc
	leg     AgentLeg    // nil while there is no agent
	carrier *carrierLeg // nil before the first
	started bool        // packets of the carrier move
	early   bool        // the agent is heard, and says when the call is answered
	waiting [][]byte    // notifications for an agent that has not joined
	closed  bool
	cause   call.Cause
}

// post tells the call what happened, until its bridge is closed.
func (b *bridge) post(ev call.Event) {
	if !b.quiet.Load() {
		b.tell(ev)
	}
}

// run starts what moves the carrier's packets. Everything it starts ends with
// the sockets or the wheel. The caller holds the lock.
func (b *bridge) run(c *carrierLeg) {
	b.started = true
	b.node.spawn(func() { b.read(b.ports.rtp, c.receive) })
	if b.ports.rtcp != nil {
		b.node.spawn(func() { b.read(b.ports.rtcp, c.receiveRTCP) })
	}
	b.node.wheel.add(b)
}

// read hands each packet of a socket on until it is closed. Errors of single
// packets, such as ICMP's port unreachable, are passed over.
func (b *bridge) read(s socket, take func(time.Duration, netip.AddrPort, []byte)) {
	buf := make([]byte, packetSize)
	failures := 0
	for {
		n, source, err := s.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if failures++; failures > 1 {
				time.Sleep(5 * time.Millisecond) // a broken socket must not burn a core
			}
			continue
		}
		failures = 0
		if n < packetSize {
			take(b.node.now(), source, buf[:n])
		}
	}
}

// command carries out what the agent of that number asks for.
func (b *bridge) command(c Command, number int) error {
	b.mu.Lock()
	carrier, gone := b.carrier, b.closed || b.asked.Number != number
	b.mu.Unlock()
	if gone {
		return ErrClosed
	}
	switch c.Type {
	case CommandHangup:
		if !GoodHeaders(c.Headers) {
			return ErrBadHeaders
		}
		b.post(call.Event{Kind: call.Hangup, Cause: call.CauseAgentHangup, Dispatch: number, Headers: c.Headers})
		return nil
	case CommandAnswer, CommandReject:
		return b.decide(c, number)
	case CommandTransfer:
		return b.transfer(c, number)
	case CommandSendDTMF:
		return carrier.sendDigits(c.Digits, func(ev call.Event) {
			ev.Dispatch = number
			b.post(ev)
		})
	}
	return ErrUnknownCommand
}

// Notify implements [actors.Bridge].
func (b *bridge) Notify(name string, ev call.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	m := notification(b.req, b.asked, name, ev)
	switch {
	case m == nil:
	case b.leg != nil:
		b.leg.Notify(m)
	case len(b.waiting) < maxWaiting:
		b.waiting = append(b.waiting, m)
	}
}

// Press implements [actors.Bridge].
func (b *bridge) Press(keys string) {
	c := b.carrierNow()
	if c == nil || c.sendTones(keys) != nil {
		b.post(call.Event{Kind: call.DigitsUnsent, Keys: keys, Reason: call.ReasonNoWay})
	}
}

// Answered implements [actors.Bridge].
func (b *bridge) Answered() {
	b.mu.Lock()
	c := b.carrier
	b.early = false
	b.mu.Unlock()
	if c != nil {
		c.answered(b.node.now())
		c.ringOff(b.node.now())
		c.release()
	}
}

// Quality implements [actors.Bridge]. It stays readable after Close.
func (b *bridge) Quality() call.Quality {
	if c := b.carrierNow(); c != nil {
		return c.quality()
	}
	return call.Quality{}
}

func (b *bridge) carrierNow() *carrierLeg {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.carrier
}
