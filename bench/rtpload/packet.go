package rtpload

import (
	"encoding/binary"
	"time"
)

// Sizes of a packet: 20 ms of G.711 behind an RTP header.
const (
	headerBytes  = 12
	payloadBytes = 160
	magic        = 0xA55A1234 // marks our payloads
)

// A source writes the packets of one call.
type source struct {
	ssrc uint32
	seq  uint16
	ts   uint32
}

func (s *source) next(b []byte, call int, now time.Duration) {
	s.seq++
	s.ts += payloadBytes
	clear(b)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], s.seq)
	binary.BigEndian.PutUint32(b[4:], s.ts)
	binary.BigEndian.PutUint32(b[8:], s.ssrc)
	binary.BigEndian.PutUint32(b[headerBytes:], magic)
	binary.BigEndian.PutUint32(b[headerBytes+4:], uint32(call))
	binary.BigEndian.PutUint64(b[headerBytes+8:], uint64(now))
}

// read returns when a packet of ours left.
func read(b []byte) (left time.Duration, ok bool) {
	if len(b) < headerBytes+16 || b[0]>>6 != 2 || binary.BigEndian.Uint32(b[headerBytes:]) != magic {
		return 0, false
	}
	return time.Duration(binary.BigEndian.Uint64(b[headerBytes+8:])), true
}
