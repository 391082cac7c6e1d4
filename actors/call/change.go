package call

import (
	"net/netip"
	"strings"
	"time"
)

// An Agreement is what carrier and we have agreed on anew (RFC 3264 8): both
// descriptions, as far as they are about the audio.
type Agreement struct {
	Carrier Answer     // where the carrier wants RTP; the numbers of its formats are those to send
	Ours    Answer     // the numbers of its formats are those that the carrier sends
	Source  netip.Addr // of the carrier's SIP: plausible for its RTP
}

// A live is what a call knows that is not over.
type live struct {
	left   Cause     // why the last agent was let go
	offer  *Offer    // of a call of ours, until it is answered
	ours   Answer    // our side
	owed   bool      // our offer in the 200, or a reliable 183, waits for its answer in the ACK, or PRACK
	onHold time.Time // since when the carrier takes no audio; zero: it does
	keypad *keypad   // nil: no key was pressed
	early  earliness

	referring *referring // a REFER of the carrier's that has no outcome yet; nil: none

	unacked bool // our answer to the INVITE that moved the call has no ACK

	wish     *Transfer // under way; nil: none
	reaching bool      // by a call of ours, or by one that is there
}

// Describe returns our side as an offer: to an INVITE without SDP. A format
// keeps its number for as long as the call lasts (RFC 3264 8.3.2).
func (a Answer) Describe() *Offer {
	o := &Offer{Addr: a.Addr, RTCPMux: a.RTCPMux, Codecs: []Codec{a.Codec}, Ptime: a.Ptime, Direction: SendRecv}
	if a.DTMF != nil {
		o.DTMF = []Codec{*a.DTMF}
	}
	return o
}

// Mirror is a direction as the other side sees it (RFC 3264 6.1): the widest
// answer to an offer of d. What was not said is sendrecv.
func (d Direction) Mirror() Direction {
	switch d {
	case SendOnly:
		return RecvOnly
	case RecvOnly:
		return SendOnly
	case Inactive:
		return Inactive
	}
	return SendRecv
}

// accept returns the 200 of a call that a carrier began, and notes our side. It
// is the 183 of one whose carrier hears something before.
func (c *Call) accept(ev Event) Response {
	if c.isEarly() {
		return c.acceptEarly(ev.Headers)
	}
	c.live.ours = *ev.Answer
	if ev.Offer != nil { // the INVITE had no SDP: the ACK brings the answer
		c.live.owed = true
		return Response{Status: 200, Offer: ev.Offer, Headers: ev.Headers}
	}
	return Response{Status: 200, Answer: ev.Answer, Headers: ev.Headers}
}

// called notes what a carrier that we called has agreed to, and returns our
// direction.
func (c *Call) called(answer *Answer) Direction {
	ours := Answer{Codec: answer.Codec, DTMF: answer.DTMF, Ptime: OfferedPtime, Direction: answer.Direction.Mirror()}
	if o := c.live.offer; o != nil {
		c.live.offer, ours.Addr = nil, o.Addr
		if own := matching(o.Codecs, answer.Codec); own != nil {
			ours.Codec = *own
		}
		if d := answer.DTMF; d != nil {
			ours.DTMF = matching(o.DTMF, *d)
		}
	}
	c.live.ours = ours
	return ours.Direction
}

// changed is what a carrier asks of an answered call.
func (c *Call) changed(now time.Time, ev Event) {
	switch ev.Kind {
	case CarrierOffered:
		c.offered(now, ev)
	case CarrierSettled:
		c.settle(now, ev)
	case ChangeUnacked: // RFC 3261 14.2
		c.hangUp(now, ev, ByNode, CauseNoAck)
	}
}

// offered answers an offer of the carrier's with what the agent has, or refuses
// it: then the call goes on as it was (RFC 3261 14.2).
func (c *Call) offered(now time.Time, ev Event) {
	if ev.Offer == nil {
		c.do(Effect{Do: AnswerOffer, Response: Response{Status: 200, Offer: c.live.ours.Describe()}})
		return
	}
	agreed, cause := c.agree(ev)
	if agreed == nil {
		c.do(Effect{Do: AnswerOffer, Response: Response{Status: 488, Cause: cause}})
		return
	}
	c.live.ours, c.live.early.settled = agreed.Ours, true
	c.record.Codec = agreed.Ours.Codec.Name
	c.do(Effect{Do: UpdateMedia, Agreement: agreed})
	c.do(Effect{Do: AnswerOffer, Response: Response{Status: 200, Answer: &agreed.Ours}})
	c.hold(now, ev, c.live.ours.Direction)
}

// agree finds what carrier and agent have in common. The codec stays, or
// becomes the other law of G.711, for nothing else is transcoded; its number is
// the offer's. Our port stays too, and with it the family of addresses.
func (c *Call) agree(ev Event) (*Agreement, Cause) {
	o := ev.Offer
	codec := matching(o.Codecs, c.live.ours.Codec)
	if codec == nil {
		codec = matching(o.Codecs, Codec{Name: OtherLaw(c.live.ours.Codec.Name), ClockRate: c.live.ours.Codec.ClockRate})
	}
	if codec == nil {
		return nil, CauseNoCodec
	}
	if to, own := o.Addr.Addr(), c.live.ours.Addr.Addr(); own.IsValid() && !to.IsUnspecified() && to.Is4() != own.Unmap().Is4() {
		return nil, CauseBadOffer
	}
	ours := c.live.ours
	ours.Codec, ours.DTMF, ours.Direction = *codec, nil, o.Direction.Mirror()
	ours.RTCPMux = ours.RTCPMux && o.RTCPMux
	for _, d := range o.DTMF {
		if d.ClockRate == codec.ClockRate {
			ours.DTMF = &d
			break
		}
	}
	carrier := Answer{Addr: o.Addr, RTCP: o.RTCP, RTCPMux: ours.RTCPMux, Codec: *codec, DTMF: ours.DTMF, Ptime: o.Ptime, Direction: o.Direction}
	if o.RTCPMux && !ours.RTCPMux { // we have two ports already (RFC 5761 5.1.1)
		carrier.RTCP = netip.AddrPortFrom(o.Addr.Addr(), o.Addr.Port()+1)
	}
	return &Agreement{Carrier: carrier, Ours: ours, Source: ev.Source}, Cause{}
}

// acked takes the first ACK of our 200.
func (c *Call) acked(now time.Time, ev Event) {
	c.live.unacked = false
	if c.record.Stages.Acked.IsZero() {
		c.record.Stages.Acked = now
	}
	if c.state == StateAnswered && !c.params.Outbound {
		c.state = StateEstablished
	}
	if c.live.owed {
		c.answeredLate(now, ev)
	}
}

// answeredLate is the ACK of a call whose INVITE had no SDP: without an answer
// in it there is nobody to talk to (RFC 3261 13.2.1).
func (c *Call) answeredLate(now time.Time, ev Event) {
	c.live.owed = false
	if ev.Answer == nil {
		c.hangUp(now, ev, ByCarrier, CauseBadAnswer)
		return
	}
	c.settle(now, ev)
}

// settle takes the carrier's answer to an offer of ours. Without one the call
// goes on as it was.
func (c *Call) settle(now time.Time, ev Event) {
	if ev.Answer == nil {
		return
	}
	c.live.ours.Direction = ev.Answer.Direction.Mirror()
	c.live.ours.RTCPMux = c.live.ours.RTCPMux && ev.Answer.RTCPMux
	if ev.Answer.DTMF == nil {
		c.live.ours.DTMF = nil
	}
	c.do(Effect{Do: UpdateMedia, Agreement: &Agreement{Carrier: *ev.Answer, Ours: c.live.ours, Source: ev.Source}})
	c.hold(now, ev, c.live.ours.Direction)
}

// hold tells the agent where a direction of ours puts the call on hold, or
// takes it off: the carrier takes no audio, whatever it sends itself.
func (c *Call) hold(now time.Time, ev Event, ours Direction) {
	held := ours == RecvOnly || ours == Inactive
	if held == !c.live.onHold.IsZero() {
		return
	}
	if held {
		c.live.onHold = now
		c.record.Holds++
		c.emit(EventHeld, ev)
		return
	}
	c.release(now)
	c.emit(EventResumed, ev)
}

// release counts how long the call was on hold.
func (c *Call) release(now time.Time) {
	if !c.live.onHold.IsZero() {
		c.record.HeldMs += now.Sub(c.live.onHold).Milliseconds()
		c.live.onHold = time.Time{}
	}
}

// OnHold reports that the carrier takes no audio. It is beside [Call.State]: a
// call on hold may lose its agent and find another.
func (c *Call) OnHold() bool { return c.live != nil && !c.live.onHold.IsZero() }

// matching returns the format of that name and clock rate, whatever its number.
func matching(formats []Codec, wanted Codec) *Codec {
	for i := range formats {
		if f := &formats[i]; strings.EqualFold(f.Name, wanted.Name) && f.ClockRate == wanted.ClockRate {
			return f
		}
	}
	return nil
}
