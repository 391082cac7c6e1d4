package rtp

import (
	"encoding/binary"
	"strings"
)

// Lengths that audio is cut to, ms.
const (
	minCut = 10
	maxCut = 60
)

// octetsPerMs holds for the three codecs of 64 kbit/s, whose clocks count octets:
// G.711, and G.722 (RFC 3551 4.5.2).
const octetsPerMs = 8

// A Cutter makes packets of the length that the other side asks for (a=ptime, RFC
// 4566 6) out of packets of any length. Audio is neither decoded nor delayed by
// more than one packet. What is lost stays lost: there is a gap in the sequence
// where there was one. Late packets are dropped. It has one writer.
type Cutter struct {
	audio uint8
	size  int // octets of a packet; 0: nothing is cut

	buf   [HeaderSize + maxCut*octetsPerMs]byte
	n     int    // octets in buf
	first Header // of the octet that buf begins with

	rest   []byte // of the packet taken, what is not in buf
	head   Header // of the octet that rest begins with
	other  []byte // a packet that is not audio
	flush  bool   // what is in buf leaves as it is
	gap    uint16 // packets that are missing before what leaves next
	later  uint16 // and before what leaves after what is flushed
	known  bool   // a packet was taken
	source uint32
	in     uint16 // sequence number of the last packet taken
	next   uint32 // timestamp of the audio that would follow it
	out    uint16 // sequence number of the last packet given
}

// Set cuts audio of a payload type and codec to ptime ms, and lets everything pass
// where ptime is 0, is 20 as nearly everybody sends, cannot be served, or where the
// codec is none of G.711 and G.722.
func (c *Cutter) Set(audio uint8, codec string, ptime int) {
	size := 0
	switch {
	case ptime == 20 || ptime < minCut || ptime > maxCut:
	case strings.EqualFold(codec, "PCMU"), strings.EqualFold(codec, "PCMA"), strings.EqualFold(codec, "G722"):
		size = ptime * octetsPerMs
	}
	if c.audio != audio || c.size != size {
		c.Reset()
	}
	c.audio, c.size = audio, size
}

// Cuts reports whether packets are to be taken at all.
func (c *Cutter) Cuts() bool { return c.size > 0 }

// Reset forgets what has not left.
func (c *Cutter) Reset() {
	c.n, c.rest, c.other, c.flush, c.gap, c.later, c.known = 0, nil, nil, false, 0, 0, false
}

// Take takes one packet, which must stay as it is until Next has returned false.
func (c *Cutter) Take(packet []byte) {
	h, start, end, err := Parse(packet)
	if err != nil || start == end {
		return
	}
	if !c.follow(h, end-start) {
		return
	}
	if h.PayloadType != c.audio {
		c.flush, c.other = c.n > 0, packet[start-HeaderSize:end]
		h.Put(c.other)
		return
	}
	if c.n > 0 && (h.Timestamp != c.next || h.Marker) {
		c.flush = true
	}
	c.rest, c.head = packet[start:end], h
	c.next = h.Timestamp + uint32(end-start)
}

// follow counts what is missing before a packet, and reports whether it came in
// time.
func (c *Cutter) follow(h Header, octets int) bool {
	delta := int16(h.Sequence - c.in)
	switch same := c.known && h.SSRC == c.source && delta <= maxDropout && delta >= -maxMisorder; {
	case !same:
		c.Reset()
	case delta <= 0:
		return false
	case delta > 1:
		c.missing(uint16(max(1, int(delta-1)*octets/c.size)))
	}
	c.known, c.source, c.in = true, h.SSRC, h.Sequence
	return true
}

// Next returns the next packet that can leave. It is good until the next call.
func (c *Cutter) Next() ([]byte, bool) {
	switch {
	case c.flush:
		c.flush = false
		b := c.give()
		c.gap, c.later = c.later, 0
		return b, true
	case c.other != nil:
		b := c.other
		c.other = nil
		return c.number(b), true
	case len(c.rest) == 0:
		return nil, false
	}
	if c.n == 0 {
		c.first = c.head
		c.head.Marker = false
	}
	n := copy(c.buf[HeaderSize+c.n:HeaderSize+c.size], c.rest)
	c.n += n
	c.rest, c.head.Timestamp = c.rest[n:], c.head.Timestamp+uint32(n)
	if c.n < c.size {
		return nil, false
	}
	return c.give(), true
}

// Flush returns what is left, for nothing will follow it soon.
func (c *Cutter) Flush() ([]byte, bool) {
	if c.n == 0 {
		return nil, false
	}
	return c.give(), true
}

// missing says that n packets are lost before the one that is being taken.
func (c *Cutter) missing(n uint16) {
	if c.n == 0 {
		c.gap += n
		return
	}
	c.flush, c.later = true, n
}

// give empties the buffer.
func (c *Cutter) give() []byte {
	b := c.buf[:HeaderSize+c.n]
	c.n = 0
	c.first.Put(b)
	return c.number(b)
}

// number gives a packet its place among those that leave.
func (c *Cutter) number(b []byte) []byte {
	c.out += 1 + c.gap
	c.gap = 0
	binary.BigEndian.PutUint16(b[2:], c.out)
	return b
}
