package media

import (
	"net/netip"
	"time"

	"patchbay/actors/call"
	"patchbay/media/rtp"
)

// Update implements [actors.Bridge].
func (b *bridge) Update(agreed call.Agreement) {
	c := b.carrierNow()
	if c == nil {
		return
	}
	if !agreed.Carrier.RTCPMux && c.muxed.Load() {
		b.split(c)
	}
	c.update(b.node.now(), agreed)
}

// split gives RTCP a port of its own, for a carrier that wants no more to have
// it beside RTP (RFC 5761 5.1.1): the odd one above, which is the call's
// anyhow. Where another program has that, RTCP is lost and the call goes on.
func (b *bridge) split(c *carrierLeg) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || !b.started {
		return
	}
	b.port.Lock()
	defer b.port.Unlock()
	s, err := b.ports.split()
	if err != nil {
		b.node.log.Warn("no port for RTCP of its own", "call_id", b.req.ID.String(), "err", err)
		return
	}
	c.split(s)
	b.node.spawn(func() { b.read(s, c.receiveRTCP) })
}

// split moves RTCP to a socket of its own.
func (l *carrierLeg) split(s socket) {
	l.muxed.Store(false)
	l.rep.mu.Lock()
	l.rtcp = s
	l.rep.mu.Unlock()
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	l.in.mux = false
}

// update follows what carrier and we have agreed on anew. Its codec, our ports
// and both streams stay. Where its RTP comes from is open again if it is to go
// elsewhere, and only then.
func (l *carrierLeg) update(now time.Duration, agreed call.Agreement) {
	defer l.guard("update")
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	t, moved := l.terms.renewed(agreed)
	t.agentTerms = l.in.terms
	l.terms = t
	l.in.update(now, t)
	l.out.update(t)
	quiet := unspecified(agreed.Carrier.Addr)
	l.in.noRTCP = quiet
	if !moved || quiet {
		return
	}
	l.in.reopen(t, l.limits.LatchWindow, rtp.Mode(l.limits.LatchMode))
	l.out.target = rtp.NewLatch(rtp.LatchOff, t.offer.Addr, t.signal, 0).Target()
	l.out.latch++
	l.rtp.Free()
}

// unspecified is an address that nothing is sent to: 0.0.0.0 is how RFC 2543
// writes a hold (RFC 3264 8.4).
func unspecified(at netip.AddrPort) bool { return !at.Addr().IsValid() || at.Addr().IsUnspecified() }

// renewed is what a new agreement makes of the terms, and whether the carrier
// wants its media elsewhere. One on hold by 0.0.0.0 is where it was.
func (t terms) renewed(agreed call.Agreement) (_ terms, moved bool) {
	c := agreed.Carrier
	if !unspecified(c.Addr) {
		moved = c.Addr != t.offer.Addr || c.RTCP != t.offer.RTCP || c.RTCPMux != t.offer.RTCPMux
		t.offer.Addr, t.offer.RTCP, t.offer.RTCPMux = c.Addr, c.RTCP, c.RTCPMux
	}
	t.offer.Direction, t.offer.Ptime = c.Direction, c.Ptime
	if moved && agreed.Source.IsValid() {
		t.signal = agreed.Source
	}
	t.answer.Codec, t.answer.DTMF, t.answer.Direction = c.Codec, nil, agreed.Ours.Direction
	t.hold, t.apart, t.codec, t.keys = false, true, agreed.Ours.Codec.PayloadType, 0
	if d := agreed.Ours.DTMF; d != nil && c.DTMF != nil {
		keys := *c.DTMF
		t.answer.DTMF, t.keys = &keys, d.PayloadType
	}
	return t, moved
}

// update takes what the carrier sends from now on. Its silence begins to count
// here, if it counts at all.
func (in *inbound) update(now time.Duration, t terms) {
	codec, keys := t.sent()
	in.rw.Unmap(in.codec.PayloadType)
	if in.keys != nil {
		in.rw.Unmap(in.keyType)
	}
	in.known = [128]bool{}
	in.codec = codec
	in.known[codec.PayloadType&0x7f] = true
	in.rw.Map(codec.PayloadType, in.terms.agent.PayloadType)
	switch {
	case keys == nil:
		in.keys, in.passKeys = nil, false
	case in.keys == nil:
		in.keys = rtp.NewDigitReader(keys.ClockRate)
	}
	in.listen()
	in.translate()
	if keys != nil {
		in.keyType = keys.PayloadType
		in.known[in.keyType&0x7f] = true
		if in.passKeys = in.terms.agentDTMF != nil; in.passKeys {
			in.rw.Map(in.keyType, in.terms.agentDTMF.PayloadType)
		}
	}
	in.hears, in.held = t.hears(), !t.sends()
	in.heardAt, in.timedOut = now, false
}

// reopen lets the carrier's media come from elsewhere: four packets in order
// from a plausible source prove it again.
func (in *inbound) reopen(t terms, window time.Duration, mode rtp.Mode) {
	in.rejected += in.latch.Rejected()
	in.latch = rtp.NewLatch(mode, t.offer.Addr, t.signal, window)
	in.latches++
	in.rtcpOffered = t.offer.RTCP
	if t.offer.RTCPMux {
		in.rtcpOffered = t.offer.Addr
	}
	in.rtcpTarget = rtp.NewLatch(rtp.LatchOff, in.rtcpOffered, t.signal, 0).Target()
	in.rtcpLearnt, in.lastSR = false, 0
}

// change turns what we play ourselves into the law of G.711 that the carrier has
// changed to.
func (o *outbound) change(codec string) {
	law := rtp.LawBetween(o.codec, codec)
	if o.codec = codec; law == nil {
		return
	}
	o.comfort, o.tone = law.Frames(o.comfort), law.Frames(o.tone)
	if o.silence != nil {
		o.silence = rtp.Silence(codec)
	}
}

// update takes what the carrier is sent from now on. What the agent says to a
// carrier on hold is lost, not kept.
func (o *outbound) update(t terms) {
	for _, pt := range o.types {
		o.rw.Unmap(pt)
	}
	o.change(t.answer.Codec.Name)
	o.ptime = t.offer.Ptime
	o.cut.Set(t.agent.PayloadType, o.codec, o.ptime)
	o.law = rtp.LawBetween(t.agent.Name, o.codec)
	o.audio, o.keyed, o.keyType = t.answer.Codec.PayloadType, t.answer.DTMF != nil, 0
	o.rw.Map(t.agent.PayloadType, o.audio)
	o.types = append(o.types[:0], t.agent.PayloadType)
	if d := t.answer.DTMF; d != nil {
		o.keyType = d.PayloadType
		if t.agentDTMF != nil {
			o.rw.Map(t.agentDTMF.PayloadType, o.keyType)
			o.types = append(o.types, t.agentDTMF.PayloadType)
		}
	}
	if o.sends != t.sends() {
		o.rw.Skip()
	}
	o.sends, o.held = t.sends(), false
}
