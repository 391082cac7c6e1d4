package media

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/config"
	"patchbay/media/rtp"
)

// An inbound is the way from the carrier to the agent.
type inbound struct {
	mu      sync.Mutex
	latch   *rtp.Latch
	latches uint32 // number of the latch: one more whenever the carrier moves
	rx      *rtp.Receiver
	rw      *rtp.Rewriter
	agent   func(packet []byte) // takes what is rewritten; nil: no agent is there
	terms   agentTerms
	codec   call.Codec
	law     *rtp.Law  // of the carrier's audio into the agent's; nil: they are alike
	known   [128]bool // payload types that were negotiated

	keys     *rtp.DigitReader // nil: no telephone-event was negotiated
	tones    *rtp.ToneReader  // finds keys in the audio; nil: none are looked for there
	deaf     *atomic.Int64    // until when our own tones may come back as an echo
	keyType  uint8
	nextKey  time.Duration                   // when the allowance of keys is used up
	passKeys bool                            // the agent takes telephone-event
	listens  bool                            // tones may be keys
	scratch  [rtp.HeaderSize + maxFrame]byte // a frame of silence in place of one
	silence  []byte

	mux         bool           // RTCP shares the port of RTP
	rtcpOffered netip.AddrPort // where the SDP wants RTCP
	rtcpTarget  netip.AddrPort // where it goes
	rtcpLearnt  bool
	lastSR      uint32 // middle of the NTP time of the carrier's last report
	lastSRAt    time.Duration
	rtt         time.Duration
	remoteLost  int32

	hears    bool // the carrier is expected to send
	held     bool // it has put the call on hold: its silence does not count
	noRTCP   bool // and wants no RTCP either
	answered bool
	heardRTP bool
	heardAt  time.Duration // last RTP or RTCP, or the answer
	timedOut bool
	rejected uint64 // RTCP of foreign sources
}

func (in *inbound) init(c legConfig) {
	t := c.terms
	codec, keys := t.sent()
	in.codec = codec
	in.latch = rtp.NewLatch(rtp.Mode(c.limits.LatchMode), t.offer.Addr, t.signal, c.limits.LatchWindow)
	in.rx = rtp.NewReceiver(in.codec.ClockRate)
	in.known[in.codec.PayloadType&0x7f] = true
	if d := keys; d != nil {
		in.keys, in.keyType = rtp.NewDigitReader(d.ClockRate), d.PayloadType
		in.known[d.PayloadType&0x7f] = true
	}
	in.deaf, in.listens = c.deaf, c.keys.Listens()
	in.listen()
	in.attach(t.agentTerms, c.random, c.toAgent)
	in.hears = t.hears()
	in.mux = c.rtcp == nil
	in.rtcpOffered = t.offer.RTCP
	if in.mux {
		in.rtcpOffered = t.offer.Addr
	}
	in.rtcpTarget = rtp.NewLatch(rtp.LatchOff, in.rtcpOffered, t.signal, 0).Target()
}

// listen looks for keys in the audio of a carrier that has no telephone-event,
// unless nobody wants that or the audio passes undecoded.
func (in *inbound) listen() {
	switch {
	case in.keys != nil || !in.listens:
		in.tones = nil
	case in.tones == nil || in.tones.Codec() != in.codec.Name:
		in.tones = rtp.NewToneReader(in.codec.Name)
	}
}

// attach begins a stream towards an agent: its leg has an SSRC and payload
// types of its own. Its numbers begin in their lower half: SRTP counts the
// rollovers, and an agent that missed the first would decrypt nothing.
func (in *inbound) attach(t agentTerms, random func() uint32, agent func([]byte)) {
	in.rw = rtp.NewRewriter(t.agentSSRC, uint16(random())&0x7fff, random(), in.codec.ClockRate)
	in.rw.Map(in.codec.PayloadType, t.agent.PayloadType)
	in.passKeys = in.keys != nil && t.agentDTMF != nil
	if in.passKeys {
		in.rw.Map(in.keyType, t.agentDTMF.PayloadType)
	}
	in.agent, in.terms = agent, t
	in.translate()
}

// translate finds what makes the carrier's audio the agent's: a carrier may
// change to the other law of G.711 in mid-call.
func (in *inbound) translate() {
	in.law = rtp.LawBetween(in.codec.Name, in.terms.agent.Name)
	in.silence = rtp.Silence(in.codec.Name)
	if in.law != nil {
		in.silence = rtp.Silence(in.terms.agent.Name)
	}
}

// news is what one packet brings beside itself.
type news struct {
	to      func(packet []byte) // the agent; nil: none is there
	latched bool                // its source speaks for the carrier from now on
	latch   uint32              // number of the latch
	first   bool                // the first audio of the call
	presses [4]rtp.Press
	n       int
}

// press adds a key that was released.
func (n *news) press(p rtp.Press) {
	if p.Ended && n.n < len(n.presses) {
		n.presses[n.n] = p
		n.n++
	}
}

// take judges one packet and returns it as the agent is to get it, or nil. It
// is the hot path: it allocates nothing.
func (in *inbound) take(now time.Duration, source netip.AddrPort, packet []byte) (out []byte, news news) {
	h, start, end, err := rtp.Parse(packet)
	if err != nil {
		return nil, news
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	news.to = in.agent
	_, before := in.latch.Source()
	if in.latch.Judge(now, source, h, in.known[h.PayloadType]) != rtp.Accepted {
		return nil, news
	}
	news.latched, news.latch = !before, in.latches
	if news.latched && in.mux {
		in.rtcpTarget = source
	}
	in.heardAt = now
	isKey := in.keys != nil && h.PayloadType == in.keyType
	switch in.rx.Receive(now, h, !isKey) {
	case rtp.Fresh:
	case rtp.Restarted:
		in.restart(&news)
	default:
		return nil, news
	}
	if in.known[h.PayloadType] && !in.heardRTP {
		in.heardRTP, news.first = true, true
	}
	if isKey {
		return in.key(now, h, packet, start, end, &news), news
	}
	in.hear(now, h, packet[start:end], &news)
	if h.PayloadType == in.codec.PayloadType {
		in.law.Apply(packet[start:end])
	}
	out, _ = in.rw.Rewrite(now, packet)
	return out, news
}

// hear looks for keys in a packet of audio.
func (in *inbound) hear(now time.Duration, h rtp.Header, payload []byte, news *news) {
	if in.tones == nil || h.PayloadType != in.codec.PayloadType || int64(now) < in.deaf.Load() {
		return
	}
	presses, n := in.tones.Read(now, h.Timestamp, payload)
	for _, p := range presses[:n] {
		news.press(p)
	}
}

// restart begins a new stream; a key of the old one is released.
func (in *inbound) restart(news *news) {
	in.rw.Restart()
	if in.keys != nil {
		in.keys.Move()
	}
	if in.tones == nil {
		return
	}
	if p, ok := in.tones.Reset(); ok {
		news.press(p)
	}
}

// key reads a telephone-event and returns what the agent gets: the same, or
// silence for as long as the key is held.
func (in *inbound) key(now time.Duration, h rtp.Header, packet []byte, start, end int, news *news) []byte {
	presses, n, fresh := in.keys.Read(now, h.Timestamp, packet[start:end])
	for _, p := range presses[:n] {
		if p.Ended && in.allowKey(now) {
			news.press(p)
		}
	}
	if in.passKeys {
		out, _ := in.rw.Rewrite(now, packet)
		return out
	}
	if !fresh || in.silence == nil {
		in.rw.Skip()
		return nil
	}
	began, ticks := in.keys.Duration()
	frame := in.codec.ClockRate / 50
	h.PayloadType, h.Marker = in.codec.PayloadType, false
	h.Timestamp = began + max(ticks, frame) - frame
	h.Put(in.scratch[:])
	size := rtp.HeaderSize + copy(in.scratch[rtp.HeaderSize:], in.silence)
	out, _ := in.rw.Rewrite(now, in.scratch[:size])
	return out
}

// Keys that are reported: no hand and no dialler presses more in a second, but
// packets can claim any number.
const (
	maxKeysPerSecond = 20
	keyInterval      = time.Second / maxKeysPerSecond
)

// allowKey takes one key from the allowance, which refills steadily.
func (in *inbound) allowKey(now time.Duration) bool {
	next := max(in.nextKey, now) + keyInterval
	if next > now+time.Second {
		return false
	}
	in.nextKey = next
	return true
}

// expire ends a key whose end was lost.
func (in *inbound) expire(now time.Duration) (rtp.Press, bool) {
	switch {
	case in.keys != nil:
		return in.keys.Expire(now)
	case in.tones != nil:
		return in.tones.Expire(now)
	}
	return rtp.Press{}, false
}

// tick ends keys whose end was lost and finds carriers that have gone.
func (in *inbound) tick(now time.Duration, limits config.Media) (p rtp.Press, released bool, cause call.Cause, late bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	p, released = in.expire(now)
	if !in.answered || in.timedOut || !in.hears || in.held {
		return p, released, cause, false
	}
	quiet := now - in.heardAt
	switch {
	case !in.heardRTP && limits.FirstRTP > 0 && quiet >= limits.FirstRTP:
		cause, late = call.CauseNoFirstRTP, true
	case in.heardRTP && limits.RTPSilence > 0 && quiet >= limits.RTPSilence:
		cause, late = call.CauseRTPTimeout, true
	}
	in.timedOut = late
	return p, released, cause, late
}

// quality is the part that the carrier's packets tell.
func (in *inbound) quality() call.Quality {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.rx.Totals()
	q := call.Quality{
		PacketsReceived: t.Received,
		PacketsLost:     t.Lost,
		RemoteLost:      uint64(max(in.remoteLost, 0)),
		JitterMs:        milliseconds(t.Jitter),
		RTTMs:           milliseconds(in.rtt),
		Rejected:        in.latch.Rejected() + in.rejected,
	}
	if t.Expected > 0 {
		q.LossPercent = 100 * float64(t.Lost) / float64(t.Expected)
	}
	return q
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
