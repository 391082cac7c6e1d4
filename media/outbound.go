package media

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/media/rtp"
)

// fillAfter is how long an agent may be quiet before silence is sent for it: it
// must exceed the packets of agents and their jitter, and stay under what
// carriers notice.
const fillAfter = 60 * time.Millisecond

// An outbound is the way from the agent to the carrier. Three goroutines send
// on it, each for a moment: the agent's, and the clock for silence and digits.
type outbound struct {
	mu      sync.Mutex
	rw      *rtp.Rewriter
	target  netip.AddrPort
	latch   uint32 // number of the latch that may change it
	sends   bool
	held    bool // the carrier that we call has not answered, or that calls us knows nothing of our side
	closed  bool
	audio   uint8
	silence []byte   // nil: none is sent
	law     *rtp.Law // of the agent's audio into the carrier's; nil: they are alike

	types   []uint8 // of the agent's leg, as mapped
	pause   time.Duration
	from    int // number of the agent that is heard; 0: none
	comfort [][]byte
	tone    [][]byte // ringing until the answer; nil: there is none
	round   int      // frames of comfort, or of the tone, that were sent

	ptime int        // ms that the carrier asks for; 0: it does not say
	cut   rtp.Cutter // of the agent's packets into those

	digits  rtp.DigitWriter
	keyed   bool // telephone-event was agreed on; else keys are tones
	keyType uint8
	codec   string
	deaf    *atomic.Int64

	heard   bool          // the agent has sent something
	agentAt time.Duration // last packet of the agent, or the join
	filled  uint64
	scratch [rtp.HeaderSize + maxFrame]byte
}

func (o *outbound) init(now time.Duration, c legConfig) {
	t := c.terms
	o.rw = rtp.NewRewriter(c.random(), uint16(c.random()), c.random(), t.answer.Codec.ClockRate)
	o.audio, o.codec, o.deaf = t.answer.Codec.PayloadType, t.answer.Codec.Name, c.deaf
	if o.keyed = t.answer.DTMF != nil; o.keyed {
		o.keyType = t.answer.DTMF.PayloadType
	}
	o.comfort = rtp.Comfort(t.answer.Codec.Name)
	if t.hold {
		o.comfort = hush(t.answer.Codec.Name)
	}
	o.sends, o.held, o.ptime = t.sends(), t.hold, t.offer.Ptime
	o.target = rtp.NewLatch(rtp.LatchOff, t.offer.Addr, t.signal, 0).Target()
	o.attach(now, t.answer.Codec.Name, t.agentTerms, c.number)
}

// attach lets an agent be heard. The stream towards the carrier stays one: the
// agent's first packet has the next sequence number, a marker, and the time
// that has passed.
func (o *outbound) attach(now time.Duration, codec string, t agentTerms, number int) {
	for _, pt := range o.types {
		o.rw.Unmap(pt)
	}
	o.types = append(o.types[:0], t.agent.PayloadType)
	o.rw.Map(t.agent.PayloadType, o.audio)
	if t.agentDTMF != nil {
		o.types = append(o.types, t.agentDTMF.PayloadType)
		o.rw.Map(t.agentDTMF.PayloadType, o.keyType)
	}
	o.law = rtp.LawBetween(t.agent.Name, codec)
	o.silence, o.pause = nil, t.pause
	if t.fill {
		o.silence = rtp.Silence(codec)
	}
	o.rw.Restart()
	o.cut.Set(t.agent.PayloadType, codec, o.ptime)
	o.cut.Reset()
	o.from, o.agentAt = number, now
	o.afresh()
}

// afresh lets comfort noise begin anew with an agent's coming or going. Ringing
// goes on as it is: a new cadence would sound like a new call.
func (o *outbound) afresh() {
	if o.tone == nil {
		o.round = 0
	}
}

// retarget sends to the source that a latch of that number has found, and holds
// the socket to it, unless the answer of a carrier that we call may change it
// yet. Where that latch has been replaced meanwhile nothing happens.
func (o *outbound) retarget(to netip.AddrPort, latch uint32, s socket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if latch != o.latch {
		return
	}
	o.target = to
	if !o.held {
		s.Fix(to)
	}
}

// forward sends one packet of the agent on, in packets of the length that the
// carrier asks for, and reports whether it was the first. It is the hot path: it
// allocates nothing.
func (o *outbound) forward(now time.Duration, number int, packet []byte, s socket) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if number != o.from {
		return false // of an agent that was let go
	}
	o.agentAt = now
	if !o.open() || o.digits.Busy() || o.tone != nil {
		o.rw.Skip()
		o.cut.Reset()
		return false
	}
	if !o.cut.Cuts() {
		return o.pass(now, packet, s)
	}
	o.cut.Take(packet)
	for cut, ok := o.cut.Next(); ok; cut, ok = o.cut.Next() {
		first = o.pass(now, cut, s) || first
	}
	return first
}

// pass sends one packet as a part of our stream.
func (o *outbound) pass(now time.Duration, packet []byte, s socket) (first bool) {
	out, ok := o.rw.Rewrite(now, packet)
	if !ok {
		return false
	}
	if out[1]&0x7f == o.audio {
		o.law.Apply(out[rtp.HeaderSize:])
	}
	first = !o.heard
	o.heard = true
	o.send(out, s)
	return first
}

// send is called with the lock held, so that packets leave in order. What
// cannot be sent is lost, as on any network.
func (o *outbound) send(packet []byte, s socket) {
	_ = s.Send(packet, o.target)
}

// open says whether the carrier is to be sent anything.
func (o *outbound) open() bool { return o.sends && !o.held && !o.closed && o.target.IsValid() }

// tick sends the digits that are due, and silence for an agent that pauses.
func (o *outbound) tick(now time.Duration, s socket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open() {
		return
	}
	for f, due := o.digits.Next(now); due; f, due = o.digits.Next(now) {
		o.press(now, f, s)
	}
	if o.tone != nil && !o.digits.Busy() {
		o.sound(now, s)
		return
	}
	if o.from == 0 {
		o.console(now, s)
		return
	}
	pause := max(fillAfter, o.pause, 2*o.rw.Frame())
	if o.silence == nil || o.digits.Busy() || now-o.agentAt < pause || !o.rw.FillDue(now) {
		return
	}
	if cut, left := o.cut.Flush(); left {
		o.pass(now, cut, s)
	}
	o.filled++
	o.send(o.rw.Fill(now, o.scratch[:], o.audio, o.silence), s)
}

// echo is how long our own tones may come back, and be taken for the carrier's.
const echo = 500 * time.Millisecond

// press sends one packet of a key: as telephone-event where that was agreed on,
// else as it sounds.
func (o *outbound) press(now time.Duration, f rtp.EventFrame, s socket) {
	if o.keyed {
		o.send(o.rw.Event(now, o.scratch[:], o.keyType, f), s)
		return
	}
	if t := f.Tone(o.codec); t != nil {
		o.deaf.Store(int64(now + echo))
		o.send(o.rw.Fill(now, o.scratch[:], o.audio, t), s)
	}
}

// console sends comfort to a carrier whose agent has gone.
func (o *outbound) console(now time.Duration, s socket) {
	if len(o.comfort) == 0 || o.digits.Busy() || !o.rw.FillDue(now) {
		return
	}
	o.filled++
	o.send(o.rw.Fill(now, o.scratch[:], o.audio, o.comfort[o.round%len(o.comfort)]), s)
	o.round++
}

// close ends sending. A packet that is being sent has left when it returns.
func (o *outbound) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}
