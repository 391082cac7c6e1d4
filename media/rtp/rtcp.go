package rtp

import (
	"encoding/binary"
	"errors"
	"time"
)

// RTCP packet types (RFC 3550 12.1).
const (
	typeSR   = 200
	typeRR   = 201
	typeSDES = 202
	typeBye  = 203
)

// ErrRTCP says a packet is no valid compound RTCP packet (RFC 3550 A.2).
var ErrRTCP = errors.New("rtp: malformed RTCP")

const (
	blockSize  = 24
	senderSize = 20
)

// A ReportBlock is one reception report (RFC 3550 6.4.1).
type ReportBlock struct {
	SSRC     uint32 // whose packets it is about
	Fraction uint8  // lost since the last report, of 256
	Lost     int32  // lost since the beginning
	Highest  uint32 // extended highest sequence number
	Jitter   uint32 // ticks
	LSR      uint32 // middle of the NTP time of the last sender report; 0: none
	DLSR     uint32 // since then, in 1/65536 s
}

// A SenderReport is what a sender says of its own stream (RFC 3550 6.4.1).
type SenderReport struct {
	NTP     uint64
	RTP     uint32
	Packets uint32
	Octets  uint32
}

// NTP returns t as a 64-bit NTP timestamp (RFC 3550 4).
func NTP(t time.Time) uint64 {
	const since1900 = 2208988800
	seconds := uint64(t.Unix() + since1900)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// NTPMiddle returns the middle 32 bits of an NTP timestamp: 1/65536 s.
func NTPMiddle(ntp uint64) uint32 { return uint32(ntp >> 16) }

// AppendReport appends a compound packet of ssrc to dst: a sender report, or a
// receiver report where sender is nil, with at most one block, and an SDES with
// cname, which has at most 255 bytes.
func AppendReport(dst []byte, ssrc uint32, sender *SenderReport, block *ReportBlock, cname string) []byte {
	kind, words, blocks := byte(typeRR), 1, byte(0)
	if sender != nil {
		kind, words = typeSR, words+senderSize/4
	}
	if block != nil {
		words, blocks = words+blockSize/4, 1
	}
	dst = append(dst, 2<<6|blocks, kind, byte(words>>8), byte(words))
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	if sender != nil {
		dst = binary.BigEndian.AppendUint64(dst, sender.NTP)
		dst = binary.BigEndian.AppendUint32(dst, sender.RTP)
		dst = binary.BigEndian.AppendUint32(dst, sender.Packets)
		dst = binary.BigEndian.AppendUint32(dst, sender.Octets)
	}
	if block != nil {
		dst = block.append(dst)
	}
	return appendSDES(dst, ssrc, cname)
}

func (b *ReportBlock) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, b.SSRC)
	dst = binary.BigEndian.AppendUint32(dst, uint32(b.Fraction)<<24|uint32(b.Lost)&0xffffff)
	dst = binary.BigEndian.AppendUint32(dst, b.Highest)
	dst = binary.BigEndian.AppendUint32(dst, b.Jitter)
	dst = binary.BigEndian.AppendUint32(dst, b.LSR)
	return binary.BigEndian.AppendUint32(dst, b.DLSR)
}

// appendSDES appends a source description with one item, CNAME (RFC 3550 6.5).
func appendSDES(dst []byte, ssrc uint32, cname string) []byte {
	cname = cname[:min(len(cname), 255)]
	chunk := 4 + 2 + len(cname) + 1 // SSRC, item, the null that ends the list
	padding := (4 - chunk%4) % 4
	words := (chunk + padding) / 4
	dst = append(dst, 2<<6|1, typeSDES, byte(words>>8), byte(words))
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = append(dst, 1, byte(len(cname)))
	dst = append(dst, cname...)
	return append(dst, make([]byte, 1+padding)...)
}

// AppendBye appends a BYE of ssrc to a compound packet (RFC 3550 6.6).
func AppendBye(dst []byte, ssrc uint32) []byte {
	dst = append(dst, 2<<6|1, typeBye, 0, 1)
	return binary.BigEndian.AppendUint32(dst, ssrc)
}

// Feedback is what a compound packet says, as far as it matters here.
type Feedback struct {
	SSRC      uint32 // of the first report
	Reported  bool   // Sender holds a sender report
	Sender    SenderReport
	HasBlock  bool // Block is a reception report about our stream
	Block     ReportBlock
	Bye       bool
	Described bool // an SDES was there
}

// ParseRTCP reads a compound packet. ours is the SSRC whose reception reports
// are wanted. It follows the validity checks of RFC 3550 A.2, and like all
// others accepts reduced-size packets without a leading report (RFC 5506).
func ParseRTCP(b []byte, ours uint32) (Feedback, error) {
	var f Feedback
	if len(b) < 8 {
		return f, ErrRTCP
	}
	for len(b) > 0 {
		if len(b) < 4 || b[0]>>6 != 2 {
			return f, ErrRTCP
		}
		size := 4 + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			return f, ErrRTCP
		}
		if err := f.take(b[:size], ours); err != nil {
			return f, err
		}
		b = b[size:]
	}
	return f, nil
}

func (f *Feedback) take(p []byte, ours uint32) error {
	switch p[1] {
	case typeSDES:
		f.Described = true
	case typeBye:
		f.Bye = true
	case typeSR:
		if len(p) < 8+senderSize {
			return ErrRTCP
		}
		f.Reported = true
		f.Sender = SenderReport{
			NTP:     binary.BigEndian.Uint64(p[8:]),
			RTP:     binary.BigEndian.Uint32(p[16:]),
			Packets: binary.BigEndian.Uint32(p[20:]),
			Octets:  binary.BigEndian.Uint32(p[24:]),
		}
		return f.report(p, p[8+senderSize:], ours)
	case typeRR:
		if len(p) < 8 {
			return ErrRTCP
		}
		return f.report(p, p[8:], ours)
	}
	return nil
}

// report reads the blocks of a sender or receiver report.
func (f *Feedback) report(p, blocks []byte, ours uint32) error {
	f.SSRC = binary.BigEndian.Uint32(p[4:])
	count := int(p[0] & 0x1f)
	if len(blocks) < count*blockSize {
		return ErrRTCP
	}
	for ; count > 0; count-- {
		if binary.BigEndian.Uint32(blocks) == ours {
			f.HasBlock = true
			lost := binary.BigEndian.Uint32(blocks[4:])
			f.Block = ReportBlock{
				SSRC:     ours,
				Fraction: uint8(lost >> 24),
				Lost:     int32(lost<<8) >> 8,
				Highest:  binary.BigEndian.Uint32(blocks[8:]),
				Jitter:   binary.BigEndian.Uint32(blocks[12:]),
				LSR:      binary.BigEndian.Uint32(blocks[16:]),
				DLSR:     binary.BigEndian.Uint32(blocks[20:]),
			}
		}
		blocks = blocks[blockSize:]
	}
	return nil
}

// RTT is the round trip that a block about our stream shows when it came at now
// (RFC 3550 6.4.1); false where it holds no report of ours or is absurd.
func (b ReportBlock) RTT(now time.Time) (time.Duration, bool) {
	if b.LSR == 0 {
		return 0, false
	}
	units := NTPMiddle(NTP(now)) - b.LSR - b.DLSR
	if units > 60<<16 { // negative, or over a minute
		return 0, false
	}
	return time.Duration(units) * time.Second >> 16, true
}
