package media

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

// A bridge is one call's media: first a search for an agent, then two legs.
type bridge struct {
	node   *Node
	req    actors.BridgeRequest
	tell   func(call.Event)
	cancel context.CancelFunc
	opened time.Duration

	carrier     *carrierLeg // set before joined
	ports       *portPair
	slot, index int // in the wheel, under its lock

	quiet atomic.Bool // nothing is posted any more

	mu      sync.Mutex
	leg     AgentLeg // nil until joined
	started bool     // packets move
	waiting [][]byte // notifications for an agent that has not joined
	closed  bool
	cause   call.Cause
}

// post tells the call what happened, until its bridge is closed.
func (b *bridge) post(ev call.Event) {
	if !b.quiet.Load() {
		b.tell(ev)
	}
}

// open finds the agent and joins the legs, or says why not.
func (b *bridge) open(ctx context.Context) {
	defer b.cancel()
	err := b.join(ctx)
	if err == nil {
		return
	}
	if !b.quiet.Load() { // else the call ended first, and knows
		ev := failed(err)
		b.node.observer.failed(ev)
		b.node.log.Info("no agent joined", "call_id", b.req.ID.String(), "status", ev.Status, "reason", ev.Cause.Word, "err", err)
		b.post(ev)
	}
	b.Close(call.CauseInternal)
	if b.joined() {
		return // released with its leg
	}
	if b.ports != nil {
		b.freePorts()
	}
	b.node.forget(b)
}

// join reserves a port, asks the connector for a leg and starts the bridge.
func (b *bridge) join(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			b.node.panicked(b.req.ID, "join", r)
			err = fmt.Errorf("join agent: panic")
		}
	}()
	offer := b.req.Invitation.Offer
	if offer == nil {
		return errNoOffer
	}
	codecs, dtmf := offered(*offer, b.req.Agent, b.req.Codecs)
	if len(codecs) == 0 {
		return ErrNoCodec
	}
	connector := b.node.connectors[b.req.Agent.WebRTC.Connector]
	if connector == nil {
		return fmt.Errorf("connector %q: %w", b.req.Agent.WebRTC.Connector, errNoConnector)
	}
	if b.ports, err = b.node.reserve(b.req.Invitation); err != nil {
		return err
	}
	leg, err := connector.Join(ctx, JoinRequest{
		ID: b.req.ID, Tenant: b.req.Tenant, Endpoint: b.req.Endpoint, Agent: b.req.Agent,
		Invitation: b.req.Invitation, Codecs: codecs, DTMF: dtmf,
	}, b.chosen)
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", ErrNoAgent, err)
		}
		return err
	}
	return b.start(leg, codecs)
}

// chosen says that a worker took the call.
func (b *bridge) chosen(worker string) {
	b.post(call.Event{Kind: call.AgentChosen, Agent: worker})
}

// start joins the legs. The leg is closed where that cannot be.
func (b *bridge) start(leg AgentLeg, codecs []call.Codec) error {
	cause := call.CauseInternal
	defer func() {
		if !b.joined() {
			leg.Close(cause)
		}
	}()
	t, err := b.terms(leg, codecs)
	if err != nil {
		cause = call.CauseNoCodec
		return err
	}
	b.ports.drain()
	c := legConfig{
		terms: t, limits: b.node.cfg, cname: b.req.ID.String(), rtp: b.ports.rtp,
		toAgent:  func(p []byte) { _ = leg.WriteRTP(p) }, // lost, as any packet may be
		post:     b.post,
		panicked: func(where string, what any) { b.node.panicked(b.req.ID, where, what) },
		random:   rand.Uint32, epoch: b.node.start,
	}
	if b.ports.rtcp != nil {
		c.rtcp = b.ports.rtcp
	}
	b.carrier = newCarrierLeg(b.node.now(), c)
	if !b.enter(leg) {
		cause = b.cause
		return context.Canceled
	}
	b.node.observer.joined(b.node.now()-b.opened, t.answer.Codec.Name)
	b.post(call.Event{Kind: call.AgentJoined, Answer: &t.answer})
	b.run(leg)
	return nil
}

// terms is what the agent's choice makes of the carrier's offer.
func (b *bridge) terms(leg AgentLeg, codecs []call.Codec) (terms, error) {
	offer := *b.req.Invitation.Offer
	answer, err := answerTo(offer, codecs, leg.Codec())
	if err != nil {
		return terms{}, err
	}
	answer.Addr = b.ports.address
	t := terms{
		offer: offer, answer: answer, signal: source(b.req.Invitation).Addr(),
		agent: leg.Codec(), agentSSRC: leg.SSRC(), fill: !b.req.Agent.WebRTC.NoSilence,
	}
	if d, ok := leg.DTMF(); ok && answer.DTMF != nil && d.ClockRate == answer.DTMF.ClockRate {
		t.agentDTMF = &d
	}
	return t, nil
}

// enter makes leg the bridge's, unless the bridge was closed meanwhile, and
// tells the agent what has waited for it.
func (b *bridge) enter(leg AgentLeg) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.leg = leg
	for _, m := range b.waiting {
		leg.Notify(m)
	}
	b.waiting = nil
	return true
}

// run starts what moves packets. Everything it starts ends with the sockets,
// the leg, or the wheel.
func (b *bridge) run(leg AgentLeg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.started = true
	b.node.spawn(func() { b.read(b.ports.rtp, b.carrier.receive) })
	if b.ports.rtcp != nil {
		b.node.spawn(func() { b.read(b.ports.rtcp, b.carrier.receiveRTCP) })
	}
	b.node.wheel.add(b)
	leg.Start(
		func(p []byte) { b.carrier.fromAgent(b.node.now(), p) },
		func(c call.Cause) { b.post(call.Event{Kind: call.AgentLeft, Cause: c}) },
		b.command,
	)
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

// command carries out what the agent asks for.
func (b *bridge) command(c Command) error {
	if b.quiet.Load() {
		return ErrClosed
	}
	switch c.Type {
	case CommandHangup:
		b.post(call.Event{Kind: call.Hangup, Cause: call.CauseAgentHangup})
		return nil
	case CommandSendDTMF:
		return b.carrier.sendDigits(c.Digits)
	}
	return ErrUnknownCommand
}
