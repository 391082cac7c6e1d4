package media

import (
	"net/netip"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/media/rtp"
)

// packetSize is the largest packet that is carried; longer ones are cut and
// dropped. maxFrame is the largest payload of our own.
const (
	packetSize = 2048
	maxFrame   = 256
)

// A terms is what both sides of a carrier leg have agreed on.
type terms struct {
	offer  call.Offer
	answer call.Answer
	signal netip.Addr // source of the carrier's SIP
	agentTerms

	// Of a call that we place, and of one that rings.
	hold bool // nothing is sent before the carrier has answered, or been told of our side

	// Where the carrier's numbers and ours are told apart.
	apart bool
	codec uint8 // payload number of what the carrier sends: of our own description
	keys  uint8 // likewise, of its telephone-event
}

// sent are the formats of what the carrier sends.
func (t terms) sent() (codec call.Codec, keys *call.Codec) {
	codec = t.answer.Codec
	if d := t.answer.DTMF; d != nil {
		k := *d
		keys = &k
	}
	if t.apart {
		codec.PayloadType = t.codec
		if keys != nil {
			keys.PayloadType = t.keys
		}
	}
	return codec, keys
}

// An agentTerms is the part that changes with the agent.
type agentTerms struct {
	agent call.Codec // payload type on the agent's leg
	// agentDTMF is telephone-event on the agent's leg; nil: the agent gets
	// silence in its place.
	agentDTMF *call.Codec
	agentSSRC uint32
	fill      bool          // silence is sent for an agent that pauses
	pause     time.Duration // longer than usual before it is
}

// sends and hears say whether we send to the carrier and it sends to us.
func (t terms) sends() bool {
	return t.answer.Direction == call.SendRecv || t.answer.Direction == call.SendOnly
}

func (t terms) hears() bool {
	return t.answer.Direction == call.SendRecv || t.answer.Direction == call.RecvOnly
}

// A carrierLeg is one call's RTP and RTCP with its carrier: what comes in is
// judged, counted, rewritten and handed to the agent; what the agent sends is
// rewritten and sent, or silence in its place. It has three callers: the
// goroutine that reads RTP, the agent leg, and the node's clock.
type carrierLeg struct {
	terms    terms // changed with both locks held
	limits   config.Media
	cname    string
	rtp      socket
	rtcp     socket      // rtp where they share a port; changed with rep's lock held
	muxed    atomic.Bool // they do
	post     func(call.Event)
	panicked func(where string, what any)
	random   func() uint32
	epoch    time.Time

	keys endpoint.KeyPolicy
	deaf atomic.Int64 // until when tones of the carrier's may be an echo of ours

	in  inbound
	out outbound
	rep reports
}

// A legConfig holds what a carrierLeg is made of.
type legConfig struct {
	terms     terms
	keys      endpoint.KeyPolicy
	limits    config.Media
	cname     string
	rtp, rtcp socket
	toAgent   func([]byte)
	number    int // of the agent
	post      func(call.Event)
	panicked  func(where string, what any)
	random    func() uint32
	epoch     time.Time // wall clock at time zero
	deaf      *atomic.Int64
}

func newCarrierLeg(now time.Duration, c legConfig) *carrierLeg {
	l := &carrierLeg{
		terms: c.terms, limits: c.limits, cname: c.cname, rtp: c.rtp, rtcp: c.rtcp,
		keys: c.keys, post: c.post, panicked: c.panicked, random: c.random, epoch: c.epoch,
	}
	if l.rtcp == nil {
		l.rtcp = l.rtp
		l.muxed.Store(true)
	}
	c.deaf = &l.deaf
	l.in.init(c)
	l.out.init(now, c)
	l.rep.next = now + reportEvery/2 + time.Duration(c.random()%1000)*time.Millisecond
	return l
}

// guard keeps a fault in one packet from ending more than that packet.
func (l *carrierLeg) guard(where string) {
	if r := recover(); r != nil {
		l.panicked(where, r)
	}
}

// receive takes one packet from the RTP port.
func (l *carrierLeg) receive(now time.Duration, source netip.AddrPort, packet []byte) {
	defer l.guard("carrier rtp")
	if rtp.IsRTCP(packet) { // some send it here unasked: it is no stream of its own
		if l.muxed.Load() {
			l.receiveRTCP(now, source, packet)
		}
		return
	}
	out, news := l.in.take(now, source, packet)
	if news.latched {
		l.out.retarget(source, news.latch, l.rtp)
	}
	if news.first {
		l.post(call.Event{Kind: call.FirstRTP})
	}
	l.postDigits(news.presses[:news.n])
	if out != nil && news.to != nil {
		news.to(out)
	}
}

// detach lets go of the agent. The carrier is heard on, and hears comfort.
func (l *carrierLeg) detach() {
	l.in.mu.Lock()
	l.in.agent = nil
	l.in.mu.Unlock()
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	l.out.from = 0
	l.out.afresh()
	l.out.comfort = rtp.Comfort(l.terms.answer.Codec.Name)
}

// agreed is what both sides have agreed on.
func (l *carrierLeg) agreed() terms {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	return l.terms
}

// attach joins another agent, which has the codec of the one before.
func (l *carrierLeg) attach(now time.Duration, t agentTerms, number int, toAgent func([]byte)) {
	l.in.mu.Lock()
	l.in.attach(t, l.random, toAgent)
	l.in.mu.Unlock()
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	l.out.attach(now, l.terms.answer.Codec.Name, t, number)
}

// postDigits reports keys that were released: the time they were held is part
// of the news.
func (l *carrierLeg) postDigits(presses []rtp.Press) {
	for _, p := range presses {
		l.post(call.Event{Kind: call.Digit, Digit: string(p.Digit), Held: p.Held})
	}
}

// fromAgent takes one packet of the agent of that number.
func (l *carrierLeg) fromAgent(now time.Duration, number int, packet []byte) {
	defer l.guard("agent rtp")
	if l.out.forward(now, number, packet, l.rtp) {
		l.post(call.Event{Kind: call.FirstAgentRTP})
	}
}

// sendDigits takes digits for the carrier. They leave in its RTP, where
// telephone-event was agreed on; else the call says how, and ask brings them to
// it.
func (l *carrierLeg) sendDigits(digits string, ask func(call.Event)) error {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if l.out.held {
		return ErrNoDTMF
	}
	switch {
	case l.out.keyed && l.keys.Out != endpoint.DTMFInfo:
		return l.queueDigits(digits)
	case l.keys.Out == endpoint.DTMFRFC4733:
		return ErrNoDTMF
	}
	if err := rtp.CheckDigits(digits); err != nil {
		return refusalOf(err)
	}
	ask(call.Event{Kind: call.DigitsAsked, Keys: digits, Info: l.keys.Out == endpoint.DTMFInfo})
	return nil
}

// sendTones sends digits as tones, where the carrier takes nothing better.
func (l *carrierLeg) sendTones(digits string) error {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if !l.out.keyed && !rtp.KeyTones(l.out.codec) {
		return ErrNoDTMF
	}
	return l.queueDigits(digits)
}

// queueDigits is called with the lock of out held.
func (l *carrierLeg) queueDigits(digits string) error {
	if !l.out.sends || l.out.held {
		return ErrNoDTMF
	}
	return refusalOf(l.out.digits.Push(digits))
}

// refusalOf is what an agent is told of an error of its digits.
func refusalOf(err error) error {
	switch err {
	case nil:
		return nil
	case rtp.ErrDigitsFull:
		return ErrDigitsFull
	default:
		return ErrBadDigits
	}
}

// answered says that the carrier has our answer.
func (l *carrierLeg) answered(now time.Duration) {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	if !l.in.answered {
		l.in.answered, l.in.heardAt = true, now
	}
}

// tick does what time asks for; the node's clock calls it every 20 ms.
func (l *carrierLeg) tick(now time.Duration) {
	defer l.guard("clock")
	l.out.tick(now, l.rtp)
	press, released, cause, late := l.in.tick(now, l.limits)
	if released {
		l.postDigits([]rtp.Press{press})
	}
	if late {
		l.post(call.Event{Kind: call.MediaTimeout, Cause: cause})
	}
	if l.rep.due(now) {
		l.report(now, false)
	}
}

// quality returns what was measured so far.
func (l *carrierLeg) quality() call.Quality {
	q := l.in.quality()
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	q.PacketsSent, _, _ = l.out.rw.Sent(0)
	q.Filled = l.out.filled
	return q
}
