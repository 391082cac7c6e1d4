package call

import "time"

// SignalledDigit is a key that the carrier told of by SIP INFO: Digit and Held.
const SignalledDigit EventKind = "signalled-digit"

// Why keys did not reach the carrier.
const (
	ReasonNoInfo      = "info_not_allowed" // its Allow does not name INFO
	ReasonInfoRefused = "info_refused"     // its status to the INFO
	ReasonInfoSilent  = "info_unanswered"  // none came
	ReasonTooMany     = "too_many"         // more than MaxKeysWaiting wait
	ReasonNoWay       = "no_way"           // nor can its codec, or the call on hold, carry tones
)

// MaxKeysWaiting is how many keys and pauses may wait to leave by INFO.
const MaxKeysWaiting = 64

// Limits of keys.
const (
	// sameKey is how far apart RTP and SIP may tell of one press, beside the time
	// that the key was held: one says so at its beginning, the other at its end.
	sameKey = time.Second
	// maxKeys is how many presses are remembered that were told of in one way.
	maxKeys = 16
	// keyInterval is the pause between signalled keys, on average: no hand presses
	// more than twenty in a second. So many may come at once.
	keyInterval = 50 * time.Millisecond
)

// A press is a key that was told of in one way: by RTP, or by SIP.
type press struct {
	digit     string
	signalled bool
	at        time.Time
}

// A keypad makes one of what RTP and SIP tell of the same press: some carriers
// send both. The zero value has heard of none.
type keypad struct {
	heard []press   // oldest first, each once
	next  time.Time // when the allowance of signalled keys is used up
}

// digit hands a key on, once.
func (c *Call) digit(now time.Time, ev Event) {
	signalled := ev.Kind == SignalledDigit
	if c.live.keypad == nil {
		c.live.keypad = &keypad{}
	}
	if ev.Digit == "" || signalled && !c.live.keypad.allow(now) || c.live.keypad.known(now, ev, signalled) {
		return
	}
	ev.Kind = Digit
	c.emit(EventDigit, ev)
}

// allow takes one signalled key from the allowance, which refills steadily.
func (k *keypad) allow(now time.Time) bool {
	next := now
	if k.next.After(now) {
		next = k.next
	}
	if next = next.Add(keyInterval); next.Sub(now) > time.Second {
		return false
	}
	k.next = next
	return true
}

// known reports whether the other way has told of the press, and remembers it
// if not. Each press is matched once: two of the same key, told of twice each,
// are two.
func (k *keypad) known(now time.Time, ev Event, signalled bool) bool {
	for i, p := range k.heard {
		if p.digit == ev.Digit && p.signalled != signalled && now.Sub(p.at) <= sameKey+ev.Held {
			k.heard = append(k.heard[:i], k.heard[i+1:]...)
			return true
		}
	}
	if len(k.heard) == maxKeys {
		k.heard = append(k.heard[:0], k.heard[1:]...)
	}
	k.heard = append(k.heard, press{ev.Digit, signalled, now})
	return false
}

// pressing takes keys for an answered carrier: those that its RTP has no
// telephone-event for leave by INFO where it takes that, else as tones.
func (c *Call) pressing(ev Event) {
	answered := c.state == StateAnswered || c.state == StateEstablished || c.state == StateHeld
	over := c.state == StateNew || c.state == StateEnding || c.state == StateEnded
	switch {
	case over:
	case !answered:
		ev.Reason = ReasonNotReady
		c.emit(EventDigitsFailed, ev)
	case ev.Kind == DigitsAsked:
		c.do(Effect{Do: SendKeys, Keys: ev.Keys, Info: ev.Info})
	case ev.Reason == ReasonNoInfo:
		c.do(Effect{Do: PlayKeys, Keys: ev.Keys})
	default:
		c.emit(EventDigitsFailed, ev)
	}
}
