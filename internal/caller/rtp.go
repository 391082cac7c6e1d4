package caller

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"patchbay/internal/tone"
)

// A packetizer makes the RTP packets of one call, one per frame.
type packetizer struct {
	a         *audio
	seq       uint16
	ts        uint32
	ssrc      uint32
	sine      *tone.Oscillator
	digits    []byte
	eventTS   uint32
	eventTick int
	buf       []byte
}

func newPacketizer(a *audio) *packetizer {
	p := &packetizer{a: a, seq: uint16(rand.Uint32()), ts: rand.Uint32(), ssrc: rand.Uint32(), buf: make([]byte, 0, 512),
		sine: tone.NewOscillator(a.o.Tone, a.coder.rate)}
	if a.dtmf != nil {
		p.digits = []byte(a.o.Digits)
	}
	return p
}

// next returns packet n of the call, nil where none is to be sent; the slice is
// valid until the next call.
func (p *packetizer) next(n int) []byte {
	defer func() { p.ts += uint32(p.a.codec.ClockRate / 50) }()
	if n >= 50 && len(p.digits) > 0 {
		if out := p.digit(); out != nil {
			return out
		}
	}
	payload := p.payload(n)
	if payload == nil {
		return nil
	}
	return append(p.header(p.a.codec.PayloadType, n == 0, p.ts), payload...)
}

func (p *packetizer) header(pt uint8, marker bool, ts uint32) []byte {
	b := append(p.buf[:0], 0x80, pt)
	if marker {
		b[1] |= 0x80
	}
	b = binary.BigEndian.AppendUint16(b, p.seq)
	p.seq++
	b = binary.BigEndian.AppendUint32(b, ts)
	return binary.BigEndian.AppendUint32(b, p.ssrc)
}

func (p *packetizer) payload(n int) []byte {
	if p.a.o.Payload != nil {
		return p.a.o.Payload(n)
	}
	samples := make([]int16, p.a.coder.rate/50)
	place := n % (burstOn + burstOff)
	if place < burstOn {
		if place == 0 {
			p.a.mu.Lock()
			p.a.bursts = append(p.a.bursts, time.Now())
			p.a.mu.Unlock()
		}
		p.sine.Fill(samples)
	}
	return p.a.coder.encode(samples)
}

// digit returns the next packet of the digit being sent (RFC 4733 2.5), or nil
// in the pause between two. The end is sent three times.
func (p *packetizer) digit() []byte {
	tick := p.eventTick
	p.eventTick++
	switch {
	case tick == 0:
		p.eventTS = p.ts
	case tick >= dtmfFrames+2:
		if tick >= 2*dtmfFrames {
			p.eventTick, p.digits = 0, p.digits[1:]
			p.a.mu.Lock()
			p.a.digits++
			p.a.mu.Unlock()
		}
		return nil
	}
	end := byte(0)
	held := min(tick+1, dtmfFrames)
	if tick >= dtmfFrames-1 {
		end = 0x80
	}
	b := p.header(p.a.dtmf.PayloadType, tick == 0, p.eventTS)
	b = append(b, eventOf(p.digits[0]), end|10)
	return binary.BigEndian.AppendUint16(b, uint16(held*int(p.a.dtmf.ClockRate)/50))
}

func eventOf(digit byte) byte {
	switch {
	case digit >= '0' && digit <= '9':
		return digit - '0'
	case digit == '*':
		return 10
	case digit == '#':
		return 11
	}
	return 12 + (digit|0x20-'a')&3
}

// An rtpPacket is what this caller reads of RFC 3550 5.1.
type rtpPacket struct {
	seq     uint16
	pt      uint8
	ts      uint32
	payload []byte
}

func parseRTP(b []byte) (p rtpPacket, ok bool) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return p, false
	}
	skip := 12 + 4*int(b[0]&15)
	if b[0]&0x10 != 0 {
		if len(b) < skip+4 {
			return p, false
		}
		skip += 4 + 4*int(binary.BigEndian.Uint16(b[skip+2:]))
	}
	if len(b) < skip {
		return p, false
	}
	return rtpPacket{binary.BigEndian.Uint16(b[2:]), b[1] & 0x7f, binary.BigEndian.Uint32(b[4:]), b[skip:]}, true
}

// A sequence counts gaps in sequence numbers.
type sequence struct {
	started    bool
	base, high uint32
	last       uint16
	count      int
}

func (s *sequence) add(seq uint16) {
	if !s.started {
		s.started, s.base, s.high = true, uint32(seq), uint32(seq)
	}
	s.count++
	if step := int16(seq - s.last); s.count > 1 && step > 0 {
		s.high += uint32(step)
	}
	if s.count == 1 || int16(seq-s.last) > 0 {
		s.last = seq
	}
}

func (s *sequence) lost() int {
	if !s.started {
		return 0
	}
	return max(0, int(s.high-s.base)+1-s.count)
}
