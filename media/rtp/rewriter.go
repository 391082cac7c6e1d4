package rtp

import "time"

// How far a source may jump before it counts as a new one (RFC 3550 A.1).
const (
	maxDropout  = 3000 // packets forward
	maxMisorder = 100  // packets back
)

const notCarried = 0xff

// A Rewriter turns the packets of changing sources into one stream of its own:
// one SSRC, no break in sequence numbers but for packets that were lost, and
// timestamps that follow the wall clock across a change of source, inserted
// silence and pauses. CSRCs, header extensions and padding do not pass.
type Rewriter struct {
	ssrc, rate uint32
	types      [128]uint8
	frame      uint32 // ticks of the source's packets, 20 ms until seen

	source     uint32 // SSRC the offsets hold for
	known      bool   // a source was seen
	broken     bool   // the next packet of the source needs new offsets
	seqOffset  uint16
	tsOffset   uint32
	floor, top uint16 // first and highest sequence number under these offsets
	begun      uint32 // timestamp of the source's last packet
	behind     bool   // the next packet with another one needs a new timestamp

	seq      uint16 // last sent
	extended int64  // the same, extended by rollovers

	ts      uint32        // last sent
	at      time.Duration // when ts was due
	eventTS uint32

	packets uint64
	octets  uint64
}

// NewRewriter returns a stream of ssrc at rate ticks a second. Sequence numbers
// and timestamps begin at seq and ts, which should be random (RFC 3550 5.1).
func NewRewriter(ssrc uint32, seq uint16, ts, rate uint32) *Rewriter {
	rate = max(rate, 1000)
	r := &Rewriter{ssrc: ssrc, rate: rate, frame: rate / 50, seq: seq - 1, extended: int64(seq) - 1, ts: ts}
	for i := range r.types {
		r.types[i] = notCarried
	}
	return r
}

// Map lets payload type from pass, as to. Types that were not mapped are
// dropped.
func (r *Rewriter) Map(from, to uint8) { r.types[from&0x7f] = to & 0x7f }

// Unmap drops payload type from again.
func (r *Rewriter) Unmap(from uint8) { r.types[from&0x7f] = notCarried }

// Rewrite returns packet b as it is to be sent, in b's own memory. It returns
// false for what must not be sent: malformed packets, unmapped payload types,
// empty packets, and packets too late to have a place in the stream. now is
// when b came.
func (r *Rewriter) Rewrite(now time.Duration, b []byte) ([]byte, bool) {
	h, start, end, err := Parse(b)
	if err != nil {
		return nil, false
	}
	if r.types[h.PayloadType] == notCarried || start == end {
		r.Skip()
		return nil, false
	}
	if !r.place(now, &h) {
		return nil, false
	}
	h.PayloadType, h.SSRC = r.types[h.PayloadType], r.ssrc
	h.Put(b[start-HeaderSize:])
	r.count(end - start)
	return b[start-HeaderSize : end], true
}

// place gives h its sequence number and timestamp, or finds that it came too
// late to have any.
func (r *Rewriter) place(now time.Duration, h *Header) bool {
	delta := int16(h.Sequence - r.top)
	same := r.known && h.SSRC == r.source && delta <= maxDropout && delta >= -maxMisorder
	if same && delta <= 0 {
		if delta == 0 || r.broken || int16(h.Sequence-r.floor) < 0 {
			return false
		}
	} else {
		r.advance(now, h, same)
	}
	h.Sequence += r.seqOffset
	h.Timestamp += r.tsOffset
	return true
}

// advance makes h the last packet of the stream. same says that it goes on
// where the source was.
func (r *Rewriter) advance(now time.Duration, h *Header, same bool) {
	next := same && h.Sequence == r.top+1
	if !same || r.broken || r.behind && h.Timestamp != r.begun {
		r.anchor(now, h, same)
	}
	r.begun = h.Timestamp
	ahead := r.ahead(h)
	if ahead > r.ticks(now-r.at)+2*int32(r.rate) || ahead < -int32(r.rate) {
		r.tsOffset = r.resume(now) - h.Timestamp // the source's clock jumped
		h.Marker = true
		ahead = r.ahead(h)
	}
	if next && ahead > 0 && ahead <= int32(r.rate/5) {
		r.frame = uint32(ahead)
	}
	r.top = h.Sequence
	r.sent(h.Sequence + r.seqOffset)
	if ahead >= 0 {
		r.ts = h.Timestamp + r.tsOffset
	}
	r.at = now
}

// ahead is how far h is from the last packet sent, in ticks.
func (r *Rewriter) ahead(h *Header) int32 { return int32(h.Timestamp + r.tsOffset - r.ts) }

// anchor makes h the next packet of the stream. The timestamp keeps its offset
// where a source that only paused still counts the time.
func (r *Rewriter) anchor(now time.Duration, h *Header, same bool) {
	r.seqOffset = r.seq + 1 - h.Sequence
	r.floor = h.Sequence
	if r.behind = same && h.Timestamp == r.begun; r.behind { // all packets of a key have the time of its beginning (RFC 4733 2.3.5)
		r.broken = false
		return
	}
	ahead := r.ahead(h)
	if !same || ahead < int32(r.frame) || ahead > r.ticks(now-r.at)+int32(r.rate/5) {
		r.tsOffset = r.resume(now) - h.Timestamp
	}
	r.source, r.known, r.broken = h.SSRC, true, false
	h.Marker = true
}

// resume is the timestamp that the wall clock asks for, at least one frame on.
func (r *Rewriter) resume(now time.Duration) uint32 {
	if r.packets == 0 {
		return r.ts
	}
	return r.ts + uint32(max(int32(r.frame), r.ticks(now-r.at)))
}

// ticks is d in units of the timestamp, at most a minute.
func (r *Rewriter) ticks(d time.Duration) int32 {
	d = max(0, min(d, time.Minute))
	return int32(int64(d) * int64(r.rate) / int64(time.Second))
}

// Skip says that a packet of the source is not sent on purpose: its absence
// shall not look like loss.
func (r *Rewriter) Skip() { r.broken = true }

// Restart says that the source begins anew, whatever its packets look like.
func (r *Rewriter) Restart() { r.known = false }

// Fill writes a packet of silence into dst, which must have room, and returns
// it. payload lasts 20 ms. The timestamp follows the wall clock, so the first
// packet after a pause has a marker and a gap before it.
func (r *Rewriter) Fill(now time.Duration, dst []byte, payloadType uint8, payload []byte) []byte {
	tick := r.rate / 50
	first := !r.broken
	steps := uint32(1)
	if r.packets > 0 {
		steps = max(1, (uint32(r.ticks(now-r.at))+tick/2)/tick)
		r.ts += steps * tick
	}
	if first || steps > 50 {
		r.at = now
	} else {
		r.at += time.Duration(steps) * 20 * time.Millisecond
	}
	r.sent(r.seq + 1)
	r.broken = true
	h := Header{PayloadType: payloadType, Marker: first, Sequence: r.seq, Timestamp: r.ts, SSRC: r.ssrc}
	return r.write(dst, h, payload)
}

// PlayDue is how many packets of 20 ms a sound of ours is behind the wall clock.
func (r *Rewriter) PlayDue(now time.Duration) int {
	if r.packets == 0 {
		return 1
	}
	return int((now - r.at + playFrame/2) / playFrame)
}

const playFrame = 20 * time.Millisecond

// maxPlayLag is how far a sound of ours may be behind the clock and still go on
// without a gap.
const maxPlayLag = time.Second

// Play writes the next packet of a sound of ours into dst, which must have room,
// and returns it. payload lasts 20 ms. Unlike those of [Rewriter.Fill] its packets
// follow one another without a gap in their timestamps, however late they are
// sent, so that what they sound like keeps its rhythm.
func (r *Rewriter) Play(now time.Duration, dst []byte, payloadType uint8, payload []byte) []byte {
	if r.packets == 0 || !r.broken || now-r.at > maxPlayLag {
		return r.Fill(now, dst, payloadType, payload)
	}
	r.ts += r.rate / 50
	r.at += playFrame
	r.sent(r.seq + 1)
	return r.write(dst, Header{PayloadType: payloadType, Sequence: r.seq, Timestamp: r.ts, SSRC: r.ssrc}, payload)
}

// Event writes one packet of a telephone-event into dst, which must have room,
// and returns it. All packets of one key press carry the timestamp of its start
// (RFC 4733 2.3.5).
func (r *Rewriter) Event(now time.Duration, dst []byte, payloadType uint8, f EventFrame) []byte {
	if f.First {
		r.eventTS = r.resume(now)
	}
	duration := uint32(r.ticks(f.Held))
	if f.End && r.ts != r.eventTS+duration {
		r.ts, r.at = r.eventTS+duration, now
	}
	r.sent(r.seq + 1)
	r.broken = true
	h := Header{PayloadType: payloadType, Marker: f.First, Sequence: r.seq, Timestamp: r.eventTS, SSRC: r.ssrc}
	payload := f.payload(uint16(min(duration, 0xffff)))
	return r.write(dst, h, payload[:])
}

// FillDue reports whether a packet of silence now would not run ahead of the
// wall clock.
func (r *Rewriter) FillDue(now time.Duration) bool {
	return r.packets == 0 || now-r.at >= 10*time.Millisecond
}

func (r *Rewriter) write(dst []byte, h Header, payload []byte) []byte {
	h.Put(dst)
	n := copy(dst[HeaderSize:], payload)
	r.count(n)
	return dst[:HeaderSize+n]
}

func (r *Rewriter) count(octets int) {
	r.packets++
	r.octets += uint64(octets)
}

// SSRC is the stream's synchronization source.
func (r *Rewriter) SSRC() uint32 { return r.ssrc }

// Frame is how long the source's packets last, as far as was seen.
func (r *Rewriter) Frame() time.Duration {
	return time.Duration(r.frame) * time.Second / time.Duration(r.rate)
}

// Sent returns what a sender report says at now: packets and payload octets
// sent, and the timestamp of this moment (RFC 3550 6.4.1).
func (r *Rewriter) Sent(now time.Duration) (packets, octets uint64, ts uint32) {
	return r.packets, r.octets, r.ts + uint32(r.ticks(now-r.at))
}
