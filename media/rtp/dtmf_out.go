package rtp

import (
	"errors"
	"strings"
	"time"
)

// MaxDigits is how many digits and pauses may wait to be sent on one call.
const MaxDigits = 64

// Times of keys that are sent. One key takes 200 ms, so at most five leave in a
// second; ITU-T Q.24 wants at least 40 ms of tone and 40 ms of pause.
const (
	eventStep  = 20 * time.Millisecond
	eventHold  = 100 * time.Millisecond
	eventPause = 80 * time.Millisecond // after the last end packet
	digitWait  = 500 * time.Millisecond
	endPackets = 3
	eventLevel = 10 // dB below 0 dBm0
)

// Why digits were not taken.
var (
	ErrDigits     = errors.New("rtp: not a string of digits")
	ErrDigitsFull = errors.New("rtp: too many digits are waiting")
)

// An EventFrame is one telephone-event packet to be sent.
type EventFrame struct {
	Code  uint8
	Held  time.Duration // so far
	First bool          // the first packet of its key
	End   bool          // the key was released
	Again bool          // and that was said before
}

func (f EventFrame) payload(duration uint16) [4]byte {
	flags := byte(eventLevel)
	if f.End {
		flags |= 0x80
	}
	return [4]byte{f.Code, flags, byte(duration >> 8), byte(duration)}
}

// A DigitWriter says when which packet of which key is due (RFC 4733 2.5.1): a
// packet every 20 ms while the key is held, and three at its end.
type DigitWriter struct {
	queue  [MaxDigits]byte
	length int

	active bool
	code   uint8
	start  time.Duration
	step   int           // packets sent of this key
	ready  time.Duration // when the next key may begin
}

// Push takes digits (0-9, A-D, *, #) and pauses (w, half a second each), all of
// them or none.
func (w *DigitWriter) Push(s string) error {
	if err := CheckDigits(s); err != nil {
		return err
	}
	if w.length+len(s) > MaxDigits {
		return ErrDigitsFull
	}
	w.length += copy(w.queue[w.length:], s)
	return nil
}

// CheckDigits says why no queue would take digits and pauses.
func CheckDigits(s string) error {
	for i := range len(s) {
		if s[i] != 'w' && strings.IndexByte(digits, upper(s[i])) < 0 {
			return ErrDigits
		}
	}
	switch {
	case s == "":
		return ErrDigits
	case len(s) > MaxDigits:
		return ErrDigitsFull
	}
	return nil
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'd' {
		return c - 'a' + 'A'
	}
	return c
}

// Busy reports whether a key is being sent: its packets take the place of
// audio.
func (w *DigitWriter) Busy() bool { return w.active }

// Next returns the packet due at now, or false. Call it until it returns false.
func (w *DigitWriter) Next(now time.Duration) (EventFrame, bool) {
	for !w.active {
		if w.length == 0 || now < w.ready {
			return EventFrame{}, false
		}
		c := w.queue[0]
		w.length = copy(w.queue[:], w.queue[1:w.length])
		if c == 'w' {
			w.ready = now + digitWait
			continue
		}
		w.active, w.start, w.step = true, now, 0
		w.code = uint8(strings.IndexByte(digits, upper(c)))
	}
	return w.frame(now)
}

func (w *DigitWriter) frame(now time.Duration) (EventFrame, bool) {
	if now < w.start+time.Duration(w.step)*eventStep {
		return EventFrame{}, false
	}
	const holding = int(eventHold/eventStep) - 1
	w.step++
	f := EventFrame{
		Code:  w.code,
		Held:  min(time.Duration(w.step)*eventStep, eventHold),
		First: w.step == 1,
		End:   w.step > holding,
		Again: w.step > holding+1,
	}
	if w.step == holding+endPackets {
		w.active = false
		w.ready = now + eventPause
	}
	return f, true
}
