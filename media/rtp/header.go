package rtp

import (
	"encoding/binary"
	"errors"
)

// HeaderSize is the size of an RTP header without CSRCs and extensions (RFC
// 3550 5.1), which is the only kind that is sent.
const HeaderSize = 12

// Why a packet is no RTP.
var (
	ErrShort   = errors.New("rtp: packet too short")
	ErrVersion = errors.New("rtp: version is not 2")
	ErrPadding = errors.New("rtp: padding exceeds the packet")
)

// A Header holds the fields of an RTP header that outlive a hop.
type Header struct {
	PayloadType uint8
	Marker      bool
	Sequence    uint16
	Timestamp   uint32
	SSRC        uint32
}

// Parse reads the header of packet b. The payload is b[start:end], after
// CSRCs and header extension and without padding; it may be empty.
func Parse(b []byte) (h Header, start, end int, err error) {
	if len(b) < HeaderSize {
		return h, 0, 0, ErrShort
	}
	if b[0]>>6 != 2 {
		return h, 0, 0, ErrVersion
	}
	start, end = HeaderSize+4*int(b[0]&0x0f), len(b)
	if b[0]&0x10 != 0 {
		if end < start+4 {
			return h, 0, 0, ErrShort
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	if end < start {
		return h, 0, 0, ErrShort
	}
	if b[0]&0x20 != 0 {
		padding := int(b[end-1])
		if padding == 0 || end-padding < start {
			return h, 0, 0, ErrPadding
		}
		end -= padding
	}
	return Header{
		PayloadType: b[1] & 0x7f,
		Marker:      b[1]&0x80 != 0,
		Sequence:    binary.BigEndian.Uint16(b[2:]),
		Timestamp:   binary.BigEndian.Uint32(b[4:]),
		SSRC:        binary.BigEndian.Uint32(b[8:]),
	}, start, end, nil
}

// Put writes the header into the first [HeaderSize] bytes of b.
func (h Header) Put(b []byte) {
	_ = b[HeaderSize-1]
	b[0] = 2 << 6
	b[1] = h.PayloadType & 0x7f
	if h.Marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], h.Sequence)
	binary.BigEndian.PutUint32(b[4:], h.Timestamp)
	binary.BigEndian.PutUint32(b[8:], h.SSRC)
}

// IsRTCP tells RTCP from RTP on one port by the second byte (RFC 5761 4).
func IsRTCP(b []byte) bool { return len(b) > 1 && b[1] >= 192 && b[1] <= 223 }
