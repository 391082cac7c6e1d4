package rtp

import "time"

// An Arrival is what a [Receiver] makes of one packet.
type Arrival uint8

// Arrivals. Only Fresh and Restarted packets are to be used.
const (
	Fresh     Arrival = iota // the next packet, or one that came late but in time
	Restarted                // the first packet of a new source or a new count
	Duplicate                // seen before
	Late                     // too old to tell whether it was seen before
	Suspect                  // far from what was expected: used only if the next one follows it
)

// A Receiver keeps the statistics of one incoming stream as RFC 3550 A.1, A.3
// and A.8 want them.
type Receiver struct {
	rate    uint32
	started bool
	ssrc    uint32
	base    uint32 // first sequence number
	highest uint32 // highest, extended by cycles
	suspect uint32 // A.1 bad_seq + 1: what follows a jump; over 0xffff: none
	seen    uint64 // bit i: highest-i was received

	received      uint64 // of this count
	before        uint64 // packets expected by earlier counts
	beforeGot     uint64
	expectedPrior uint64
	receivedPrior uint64
	duplicates    uint64

	transit int64
	jitter  int64 // in ticks, times 16
}

// NewReceiver returns the statistics of a stream at rate ticks a second.
func NewReceiver(rate uint32) *Receiver {
	return &Receiver{rate: max(rate, 1000), suspect: 1 << 16}
}

// Receive counts a packet that came at now. timed says whether its timestamp is
// the moment of its first sample, which is not so for telephone-events.
func (r *Receiver) Receive(now time.Duration, h Header, timed bool) Arrival {
	if !r.started || h.SSRC != r.ssrc {
		r.restart(h)
		r.arrive(now, h, false)
		return Restarted
	}
	delta := h.Sequence - uint16(r.highest)
	switch {
	case delta == 0:
		r.duplicates++
		return Duplicate
	case delta < maxDropout:
		r.highest += uint32(delta)
		r.seen = r.seen<<delta | 1
	case delta <= uint16(1<<16-maxMisorder):
		if uint32(h.Sequence) != r.suspect {
			r.suspect = uint32(h.Sequence + 1)
			return Suspect
		}
		r.restart(h)
		r.arrive(now, h, false)
		return Restarted
	default:
		return r.misordered(-delta)
	}
	r.received++
	r.arrive(now, h, timed)
	return Fresh
}

// misordered counts a packet that is behind the highest by back.
func (r *Receiver) misordered(back uint16) Arrival {
	bit := uint64(1) << back
	switch {
	case back >= 64 || uint64(back) > uint64(r.highest-r.base):
		return Late
	case r.seen&bit != 0:
		r.duplicates++
		return Duplicate
	}
	r.seen |= bit
	r.received++
	return Fresh
}

func (r *Receiver) restart(h Header) {
	if r.started {
		r.before += r.expected()
		r.beforeGot += r.received
	}
	r.started = true
	r.ssrc = h.SSRC
	r.base, r.highest = uint32(h.Sequence), uint32(h.Sequence)
	r.suspect = 1 << 16
	r.seen = 1
	r.received = 1
	r.expectedPrior, r.receivedPrior = 0, 0
}

// arrive updates the interarrival jitter (RFC 3550 A.8). The packet that began
// the count only sets the transit time.
func (r *Receiver) arrive(now time.Duration, h Header, timed bool) {
	ticks := int64(now/time.Second)*int64(r.rate) + int64(now%time.Second)*int64(r.rate)/int64(time.Second)
	transit := int64(int32(uint32(ticks) - h.Timestamp))
	if timed {
		d := int64(int32(transit - r.transit))
		r.jitter += max(d, -d) - (r.jitter+8)>>4
	}
	if timed || r.received == 1 {
		r.transit = transit
	}
}

func (r *Receiver) expected() uint64 { return uint64(r.highest-r.base) + 1 }

// Totals are counts since the stream began, over all its sources.
type Totals struct {
	Received   uint64
	Expected   uint64
	Lost       uint64
	Duplicates uint64
	Jitter     time.Duration
}

// Totals returns what was counted so far.
func (r *Receiver) Totals() Totals {
	t := Totals{Received: r.beforeGot + r.received, Expected: r.before, Duplicates: r.duplicates}
	if r.started {
		t.Expected += r.expected()
	}
	if t.Expected > t.Received {
		t.Lost = t.Expected - t.Received
	}
	t.Jitter = time.Duration(r.jitter>>4) * time.Second / time.Duration(r.rate)
	return t
}

// Source is the SSRC of the stream; false before its first packet.
func (r *Receiver) Source() (uint32, bool) { return r.ssrc, r.started }

// Block returns the reception report block of the time since the last one (RFC
// 3550 6.4.1, A.3), without LSR and DLSR.
func (r *Receiver) Block() ReportBlock {
	expected, lost := r.expected(), int64(r.expected())-int64(r.received)
	interval := expected - r.expectedPrior
	gone := int64(interval) - int64(r.received-r.receivedPrior)
	r.expectedPrior, r.receivedPrior = expected, r.received
	fraction := uint8(0)
	if interval > 0 && gone > 0 {
		fraction = uint8(min(255, gone<<8/int64(interval)))
	}
	return ReportBlock{
		SSRC:     r.ssrc,
		Fraction: fraction,
		Lost:     int32(max(-1<<23, min(lost, 1<<23-1))),
		Highest:  r.highest,
		Jitter:   uint32(r.jitter >> 4),
	}
}
