package rtp

import (
	"net/netip"
	"time"
)

// A Mode says which sources a [Latch] may learn.
type Mode string

// Modes of a latch. Any other value is [LatchOff].
const (
	LatchSDP Mode = "sdp" // the SDP's address, any port
	LatchNAT Mode = "nat" // also the address that SIP came from
	LatchOff Mode = "off" // nothing: the SDP's address and port only
)

const (
	latchPackets    = 4 // consecutive packets that prove a source
	latchCandidates = 8 // sources weighed at once
)

// A Verdict is what a [Latch] says about one packet.
type Verdict uint8

// Verdicts. Only Accepted packets are to be used.
const (
	Rejected Verdict = iota
	Held             // of a source that may yet prove itself
	Accepted
)

// A Latch decides which source speaks for a far side, once and for all: the
// address and port of its SDP at once, or another plausible source after four
// consecutive packets of one SSRC with a negotiated payload type, within a
// window that begins with the first plausible packet. It never learns again;
// only a new offer makes a new Latch.
type Latch struct {
	mode     Mode
	sdp      netip.AddrPort
	signal   netip.Addr
	window   time.Duration
	source   netip.AddrPort // valid once locked
	deadline time.Duration
	begun    bool
	tries    [latchCandidates]candidate
	rejected uint64
}

type candidate struct {
	source netip.AddrPort
	ssrc   uint32
	next   uint16
	count  uint8 // consecutive packets, all held
}

// NewLatch returns a latch for a far side whose SDP names sdp and whose SIP
// came from signal.
func NewLatch(mode Mode, sdp netip.AddrPort, signal netip.Addr, window time.Duration) *Latch {
	return &Latch{
		mode:   mode,
		sdp:    netip.AddrPortFrom(sdp.Addr().Unmap(), sdp.Port()),
		signal: signal.Unmap(),
		window: window,
	}
}

// Judge decides about a packet of source that came at now. known says whether
// its payload type was negotiated.
func (l *Latch) Judge(now time.Duration, source netip.AddrPort, h Header, known bool) Verdict {
	if l.source.IsValid() {
		if source == l.source {
			return Accepted
		}
		return l.reject(1)
	}
	if !known || !l.plausible(source) {
		return l.reject(1)
	}
	if !l.begun {
		l.begun, l.deadline = true, now+l.window
	}
	if source == l.sdp {
		l.lock(source)
		return Accepted
	}
	if now > l.deadline {
		return l.reject(1)
	}
	return l.weigh(source, h)
}

func (l *Latch) plausible(source netip.AddrPort) bool {
	switch {
	case source == l.sdp && source.IsValid():
		return true
	case l.mode == LatchSDP:
		return source.Addr() == l.sdp.Addr()
	case l.mode == LatchNAT:
		return source.Addr() == l.sdp.Addr() || source.Addr() == l.signal
	}
	return false
}

// weigh counts a packet of a candidate and locks on the last one it needs.
func (l *Latch) weigh(source netip.AddrPort, h Header) Verdict {
	c := l.candidate(source)
	if c.count > 0 && h.SSRC == c.ssrc && h.Sequence == c.next {
		c.count++
	} else {
		l.reject(uint64(c.count))
		*c = candidate{source: source, ssrc: h.SSRC, count: 1}
	}
	c.next = h.Sequence + 1
	if c.count < latchPackets {
		return Held
	}
	c.count = 0 // what was held of it is its own, not rejected
	l.lock(source)
	return Accepted
}

// candidate returns the entry of source, in place of the weakest if it is new.
func (l *Latch) candidate(source netip.AddrPort) *candidate {
	weakest := &l.tries[0]
	for i := range l.tries {
		c := &l.tries[i]
		if c.source == source {
			return c
		}
		if c.count < weakest.count {
			weakest = c
		}
	}
	l.reject(uint64(weakest.count))
	*weakest = candidate{source: source}
	return weakest
}

func (l *Latch) lock(source netip.AddrPort) {
	l.source = source
	for i := range l.tries {
		l.reject(uint64(l.tries[i].count))
	}
	clear(l.tries[:])
}

func (l *Latch) reject(packets uint64) Verdict {
	l.rejected += packets
	return Rejected
}

// Source is the source that was latched to; false until then.
func (l *Latch) Source() (netip.AddrPort, bool) { return l.source, l.source.IsValid() }

// Target is where packets may be sent: the latched source, else what the SDP
// names. It is invalid where the SDP names nothing that can be sent to.
func (l *Latch) Target() netip.AddrPort {
	if l.source.IsValid() {
		return l.source
	}
	if !l.sdp.Addr().IsValid() || l.sdp.Addr().IsUnspecified() || l.sdp.Port() == 0 {
		return netip.AddrPort{}
	}
	return l.sdp
}

// Rejected is how many packets were refused.
func (l *Latch) Rejected() uint64 { return l.rejected }
