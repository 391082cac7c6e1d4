package media

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"patchbay/actors"
	"patchbay/actors/call"
)

// Ask implements [actors.Bridge].
func (b *bridge) Ask(next actors.Asked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.cancel()
	old := b.leg
	b.leg = nil
	if b.outbound && b.asked.Number == 0 {
		b.opened = b.node.now() // what is measured is how long the agent takes
	}
	if b.carrier != nil && old != nil {
		b.carrier.detach()
	}
	b.waiting = b.waiting[:0]
	ctx := b.expect(next)
	if m := notification(b.req, next, call.EventStarted, call.Event{}); m != nil {
		b.waiting = append(b.waiting, m) // for this agent the call begins here
	}
	b.node.spawn(func() {
		if old != nil {
			old.Close(next.Cause)
		}
		b.search(ctx, next)
	})
}

// expect makes an agent the one that is asked. The caller holds the lock, or
// alone knows the bridge.
func (b *bridge) expect(next actors.Asked) context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), next.Deadline)
	b.asked, b.cancel = next, cancel
	b.searching.Add(1)
	return ctx
}

// search finds the agent and joins it, or says why not. The bridge stays open
// either way.
func (b *bridge) search(ctx context.Context, a actors.Asked) {
	defer b.searching.Done()
	err := b.join(ctx, a)
	if err == nil || b.quiet.Load() {
		return // else the call ended first, and knows
	}
	ev := failed(err)
	ev.Dispatch = a.Number
	b.node.observer.failed(ev)
	b.node.log.Info("no agent joined", "call_id", b.req.ID.String(), "agent", a.Agent.ID, "status", ev.Status,
		"reason", ev.Cause.Word, "err", err)
	b.post(ev)
}

// join reserves a port, asks the connector for a leg and starts the bridge.
func (b *bridge) join(ctx context.Context, a actors.Asked) (err error) {
	defer func() {
		if r := recover(); r != nil {
			b.node.panicked(b.req.ID, "join", r)
			err = fmt.Errorf("join agent: panic")
		}
	}()
	codecs, dtmf, err := b.choice(a)
	if err != nil {
		return err
	}
	connector := b.node.connectors[a.Agent.WebRTC.Connector]
	if connector == nil {
		return fmt.Errorf("connector %q: %w", a.Agent.WebRTC.Connector, errNoConnector)
	}
	if err = b.reserve(); err != nil {
		return err
	}
	if codecs, dtmf, err = b.ringable(a, codecs, dtmf); err != nil {
		return err
	}
	leg, err := connector.Join(ctx, JoinRequest{
		ID: b.req.ID, Tenant: b.req.Tenant, Endpoint: b.req.Endpoint, Agent: a.Agent, Invitation: b.req.Invitation,
		Codecs: codecs, DTMF: dtmf, Context: a.Context, Metadata: a.Metadata, Settings: a.Settings,
		Epoch: max(a.Epoch, 1), Patient: a.Patient, Outbound: b.outbound,
	}, func(worker string) { b.post(call.Event{Kind: call.AgentChosen, Agent: worker, Dispatch: a.Number}) })
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", ErrNoAgent, err)
		}
		return err
	}
	return b.start(a, leg, codecs)
}

// choice is what the agent may choose from: all that carrier, policy and agent
// have, before the answer; then the codec of the call alone.
func (b *bridge) choice(a actors.Asked) (codecs, dtmf []call.Codec, err error) {
	var narrowed call.Offer
	switch c := b.carrierNow(); {
	case c != nil:
		answer := c.agreed().answer
		narrowed.Codecs = []call.Codec{answer.Codec}
		if d := answer.DTMF; d != nil {
			narrowed.DTMF = []call.Codec{*d}
		}
	case b.req.Invitation.Offer == nil:
		narrowed.Codecs, narrowed.DTMF = lateFormats(b.req.Codecs)
	default:
		narrowed = *b.req.Invitation.Offer
	}
	if codecs, dtmf = offered(narrowed, a.Agent, b.req.Codecs); len(codecs) == 0 {
		return nil, nil, ErrNoCodec
	}
	return codecs, dtmf, nil
}

// reserve takes the carrier's ports, once for all agents.
func (b *bridge) reserve() (err error) {
	b.port.Lock()
	defer b.port.Unlock()
	if b.ports == nil {
		inv := b.req.Invitation
		if inv.Offer == nil { // what faces its SIP faces its media, as far as anybody knows
			inv.Offer = &call.Offer{Addr: source(inv)}
		}
		b.ports, err = b.node.reserve(inv)
	}
	return err
}

// start joins the legs. The leg is closed where that cannot be.
func (b *bridge) start(a actors.Asked, leg AgentLeg, codecs []call.Codec) error {
	t, err := b.terms(a, leg, codecs)
	if err != nil {
		leg.Close(call.CauseNoCodec)
		return err
	}
	if cause, ok := b.enter(a, leg, t); !ok {
		leg.Close(cause)
		return context.Canceled
	}
	b.node.observer.joined(b.node.now()-b.opened, t.answer.Codec.Name)
	ev := b.joined(a, t)
	ev.Headers = greetingOf(leg)
	b.post(ev)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil // who closed it has closed the leg
	}
	if !b.started {
		b.run(b.carrier)
	}
	if b.leg != leg {
		return nil // likewise who gave it another: the call was told of this one already
	}
	carrier := b.carrier
	leg.Start(
		func(p []byte) { carrier.fromAgent(b.node.now(), a.Number, p) },
		func(c call.Cause) { b.post(call.Event{Kind: call.AgentLeft, Cause: c, Dispatch: a.Number}) },
		func(c Command) error { return b.command(c, a.Number) },
	)
	return nil
}

// enter makes leg the bridge's and tells the agent what has waited for it,
// unless the bridge was closed or another agent asked meanwhile: then it
// returns what to tell this one.
func (b *bridge) enter(a actors.Asked, leg AgentLeg, t terms) (cause call.Cause, ok bool) {
	toAgent := func(p []byte) { _ = leg.WriteRTP(p) } // lost, as any packet may be
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return b.cause, false
	case b.asked.Number != a.Number:
		return call.CauseNoAgent, false
	}
	if b.carrier == nil {
		b.ports.drain()
		b.carrier = b.newCarrier(t, a.Number, toAgent)
	} else {
		b.carrier.attach(b.node.now(), t.agentTerms, a.Number, toAgent)
	}
	b.leg = leg
	for _, m := range b.waiting {
		leg.Notify(m)
	}
	b.waiting = nil
	return call.Cause{}, true
}

func (b *bridge) newCarrier(t terms, number int, toAgent func([]byte)) *carrierLeg {
	c := legConfig{
		terms: t, keys: b.req.DTMF, limits: b.node.cfg, cname: b.req.ID.String(), rtp: b.ports.rtp, number: number, toAgent: toAgent, post: b.post,
		panicked: func(where string, what any) { b.node.panicked(b.req.ID, where, what) },
		random:   rand.Uint32, epoch: b.node.start,
	}
	if b.ports.rtcp != nil {
		c.rtcp = b.ports.rtcp
	}
	return newCarrierLeg(b.node.now(), c)
}

// terms is what the agent's choice makes of the carrier's offer. What was agreed
// on before, of a carrier that is there, stays.
func (b *bridge) terms(a actors.Asked, leg AgentLeg, codecs []call.Codec) (terms, error) {
	t, there := terms{signal: source(b.req.Invitation).Addr()}, false
	switch c := b.carrierNow(); {
	case c != nil:
		t, there = c.agreed(), true
		t.agentTerms = agentTerms{}
	case b.req.Invitation.Offer != nil:
		t.offer = *b.req.Invitation.Offer
	}
	answer, err := answerTo(t.offer, codecs, leg.Codec())
	switch {
	case err != nil:
		return terms{}, err
	case there:
	case b.req.Invitation.Offer == nil:
		t.answer = b.unanswered(answer)
	default:
		t.answer = answer
		t.answer.Addr = b.ports.address
	}
	t.agentTerms = agentTerms{agent: leg.Codec(), agentSSRC: leg.SSRC(), fill: !a.Agent.WebRTC.NoSilence}
	wanted := hears(a.Agent.DTMF).RTP // one that stood by has settled it before it had a call
	if d, ok := leg.DTMF(); ok && wanted && t.answer.DTMF != nil && d.ClockRate == t.answer.DTMF.ClockRate {
		t.agentDTMF = &d
	}
	return t, nil
}
