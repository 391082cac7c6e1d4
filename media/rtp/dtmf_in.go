package rtp

import (
	"encoding/binary"
	"time"
)

// digits are the keys by their RFC 4733 event code.
const digits = "0123456789*#ABCD"

// missingEnd is how long after its last packet a key counts as released when no
// packet said so: senders repeat every 20 to 50 ms.
const missingEnd = 200 * time.Millisecond

// oldEvent is how far behind the last event a timestamp counts as a straggler
// of it and not as a new event of a clock that was set back.
const oldEvent = 5 * time.Second

// A Press is one step in the life of a pressed key: its beginning, or its end
// with the time it was held.
type Press struct {
	Digit byte // one of 0-9 * # A-D
	Ended bool
	Held  time.Duration
}

// A DigitReader finds key presses in telephone-event packets (RFC 4733). It
// goes by timestamps alone: packets may repeat, come late, lack the marker, and
// every packet with the E bit may be lost. Codes over 15 are ignored.
type DigitReader struct {
	rate     uint32
	any      bool // an event was seen
	active   bool
	code     uint8
	ts       uint32 // start of the current or last event, or of its segment
	base     uint32 // ticks of earlier segments (RFC 4733 2.5.1.3)
	duration uint32 // ticks of this segment
	last     time.Duration
	moved    bool // the source has changed since: its timestamps say nothing
}

// NewDigitReader reads events at rate ticks a second: 8000, or 48000 with Opus.
func NewDigitReader(rate uint32) *DigitReader { return &DigitReader{rate: max(rate, 1000)} }

// Read takes the payload of one telephone-event packet that came at now and
// returns what it tells: nothing, the beginning of a key, its end, or both; or
// the end of a key followed by the beginning of the next. fresh says that the
// packet moved its event on, rather than repeating what was known.
func (r *DigitReader) Read(now time.Duration, ts uint32, payload []byte) (presses [3]Press, n int, fresh bool) {
	if len(payload) < 4 || payload[0] >= uint8(len(digits)) {
		return presses, 0, false
	}
	code, end := payload[0], payload[1]&0x80 != 0
	duration := uint32(binary.BigEndian.Uint16(payload[2:]))
	if r.moved {
		r.follow(now, code, ts, duration)
	}
	switch r.relate(now, code, ts) {
	case oldNews:
		return presses, 0, false
	case sameEvent:
		fresh = duration > r.duration
		r.duration = max(r.duration, duration)
	case nextSegment:
		r.base, r.ts, r.duration, fresh = r.base+r.duration, ts, duration, true
	case newEvent:
		if r.active {
			presses[n] = r.end()
			n++
		}
		r.any, r.active, r.code = true, true, code
		r.ts, r.base, r.duration, fresh = ts, 0, duration, true
		presses[n] = Press{Digit: digits[code]}
		n++
	}
	r.last = now
	if end {
		presses[n] = r.end()
		n++
	}
	return presses, n, fresh
}

// A relation is what a packet has to do with the last event.
type relation uint8

const (
	newEvent    relation = iota
	sameEvent            // more of the event that goes on
	nextSegment          // the event went on beyond its longest duration
	oldNews              // of an event that has ended
)

func (r *DigitReader) relate(now time.Duration, code uint8, ts uint32) relation {
	switch {
	case r.any && ts == r.ts && r.active && code == r.code:
		return sameEvent
	case r.any && ts == r.ts, r.stale(ts):
		return oldNews
	case r.active && code == r.code && r.duration > 0 && r.continues(now, ts-r.ts):
		return nextSegment
	}
	return newEvent
}

// continues reports whether what begins so many ticks after the key's segment is
// its next one: that begins where the segment ended, and where its last packets
// were lost, as late as a duration can say.
func (r *DigitReader) continues(now time.Duration, ahead uint32) bool {
	const longest = 0xffff
	lost := ahead > r.duration && ahead <= longest && ahead > longest-r.rate/10 && now-r.last < missingEnd
	if lost {
		r.duration = ahead
	}
	return lost || ahead == r.duration
}

// follow decides about the first event of a source that has taken the place of
// another. Where the same key is told of, held for as long as it was known to
// be or longer, it is the same press, whatever its timestamp.
func (r *DigitReader) follow(now time.Duration, code uint8, ts, duration uint32) {
	r.moved = false
	same := r.any && code == r.code && duration >= r.duration && r.duration > 0 && now-r.last < missingEnd
	if same && (r.active || duration == r.duration) {
		r.ts = ts
		return
	}
	r.any = false
}

// stale reports whether ts belongs to an event before the last one.
func (r *DigitReader) stale(ts uint32) bool {
	behind := int32(r.ts - ts)
	return r.any && behind > 0 && behind < int32(oldEvent/time.Second)*int32(r.rate)
}

func (r *DigitReader) end() Press {
	r.active = false
	ticks := time.Duration(r.base + r.duration)
	return Press{Digit: digits[r.code], Ended: true, Held: ticks * time.Second / time.Duration(r.rate)}
}

// Expire ends a key whose packets stopped without saying so.
func (r *DigitReader) Expire(now time.Duration) (Press, bool) {
	if !r.active || now-r.last < missingEnd {
		return Press{}, false
	}
	return r.end(), true
}

// Duration is how many ticks the current event has lasted, over all segments,
// and Start its first timestamp.
func (r *DigitReader) Duration() (start, ticks uint32) { return r.ts - r.base, r.base + r.duration }

// Move says that packets come from another source, which counts its own time. A
// key that is held is released when that source tells of something else, or by
// time.
func (r *DigitReader) Move() { r.moved = true }
