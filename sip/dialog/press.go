package dialog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

var (
	_ actors.Presser = (*UAS)(nil)
	_ actors.Presser = (*UAC)(nil)
)

// Times of keys that leave by INFO, those of keys in RTP: whoever plays them as
// tones must not have two at once.
const (
	keyHeld  = 100 * time.Millisecond
	keyEvery = 200 * time.Millisecond // from one to the next, at least
	keyPause = 500 * time.Millisecond // of a w
)

// A keypress is the INFO of one key that is under way, and the keys that wait
// for its response: one at a time, so that they are heard in their order.
type keypress struct {
	tx      txn.Client
	branch  string
	to      call.Transmission
	key     string // under way; "": none
	again   int    // of its INFO, with credentials
	waiting string // keys, and w for a pause
	next    time.Time
	unready bool // our 2xx has no ACK yet
}

// Press implements [actors.Presser].
func (d *UAS) Press(now time.Time, keys string, always bool) []call.Output {
	d.begin()
	if d.hangup != nil || !d.first.tx.Accepted() {
		d.unsent(keys, 0, call.ReasonNotReady)
		return d.out
	}
	d.pressAll(now, keys, always, d.first.tx.AwaitsAck())
	return d.out
}

// Press implements [actors.Presser].
func (d *UAC) Press(now time.Time, keys string, always bool) []call.Output {
	d.begin()
	if d.hangup != nil || !d.answered {
		d.unsent(keys, 0, call.ReasonNotReady)
		return d.out
	}
	d.pressAll(now, keys, always, false)
	return d.out
}

func (d *dialog) unsent(keys string, status int, why string) {
	d.tell(call.Event{Kind: call.DigitsUnsent, Keys: keys, Status: status, Reason: why})
}

// pressAll lets keys wait for their turn, and sends the first if it is its.
func (d *dialog) pressAll(now time.Time, keys string, always, unready bool) {
	switch {
	case d.over:
		d.unsent(keys, 0, call.ReasonNotReady)
		return
	case !always && (d.clock == nil || !d.clock.info):
		d.unsent(keys, 0, call.ReasonNoInfo)
		return
	}
	if d.keypress == nil {
		d.keypress = &keypress{}
	}
	p := d.keypress
	if len(p.waiting)+len(keys) > call.MaxKeysWaiting {
		d.unsent(keys, 0, call.ReasonTooMany)
		return
	}
	p.waiting, p.unready = p.waiting+strings.ToUpper(strings.ReplaceAll(keys, "w", "-")), unready
	d.pressNext(now)
}

// pressNext sends the next key if it is its turn.
func (d *dialog) pressNext(now time.Time) {
	p := d.keypress
	if p == nil || d.over {
		return
	}
	for p.key == "" && !p.unready && p.waiting != "" && !now.Before(p.next) {
		first := p.waiting[:1]
		p.waiting = p.waiting[1:]
		if first == "-" {
			p.next = now.Add(keyPause)
			continue
		}
		p.key, p.again, p.next = first, 0, now.Add(keyEvery)
		d.sendKey(now)
	}
}

// sendKey sends the INFO of the key that is under way: that of RFC 2976, which
// has no package (RFC 6086 9).
func (d *dialog) sendKey(now time.Time) {
	p := d.keypress
	request, to, branch := d.within("INFO")
	p.to, p.branch = to, branch
	request.ContentType = "application/dtmf-relay"
	request.Body = fmt.Appendf(nil, "Signal=%s\r\nDuration=%d\r\n", p.key, keyHeld.Milliseconds())
	if c := d.clock; c != nil && c.login != nil {
		request.Headers = c.login.headers("INFO", request.URI)
	}
	raw := request.Bytes()
	p.tx = txn.StartClient(now, d.options.Timers, p.to.Flow.Transport.Reliable(), raw)
	d.sendCopy(p.to, raw)
}

// keyResponse takes a response to an INFO of ours, and reports that it was one.
// A carrier that refuses a key gets none of those that wait.
func (d *dialog) keyResponse(now time.Time, m *wire.Message) bool {
	p := d.keypress
	if m.CSeqMethod != "INFO" || p == nil || !strings.EqualFold(m.Branch, p.branch) {
		return false
	}
	switch {
	case !p.tx.Response(now, m.Status) || d.over:
	case m.Status < 300:
		p.key = ""
		d.pressNext(now)
	case d.proves(m):
		d.sendKey(now)
	default:
		if c := d.clock; c != nil && slices.Contains([]int{405, 415, 501}, m.Status) {
			c.info = false // the next keys go another way
		}
		d.dropKeys(m.Status, call.ReasonInfoRefused)
	}
	return true
}

// proves reports that the INFO may be sent again with the credentials that its
// response asks for.
func (d *dialog) proves(m *wire.Message) bool {
	p, c := d.keypress, d.clock
	if m.Status != 401 && m.Status != 407 || p.again == maxRealms || c == nil || c.login == nil {
		return false
	}
	p.again++
	return c.login.take(m, p.again == 1)
}

// dropKeys gives up the key under way and those that wait.
func (d *dialog) dropKeys(status int, why string) {
	p := d.keypress
	keys := p.key + strings.ReplaceAll(p.waiting, "-", "w")
	p.key, p.waiting = "", ""
	d.unsent(keys, status, why)
}

// acknowledged lets the keys leave that waited for an ACK.
func (d *dialog) acknowledged(now time.Time) {
	if p := d.keypress; p != nil {
		p.unready = false
		d.pressNext(now)
	}
}

func (d *dialog) wakeKeys(now time.Time) {
	p := d.keypress
	if p == nil {
		return
	}
	raw, timeout := p.tx.Wake(now)
	if raw != nil {
		d.sendCopy(p.to, raw)
	}
	if timeout && p.key != "" { // timer F counts as 408 (RFC 3261 8.1.3.1); the call goes on, for all else of it may work
		d.dropKeys(408, call.ReasonInfoSilent)
	}
	d.pressNext(now)
}

// deadline is when the keys want to be woken; zero: not at all.
func (p *keypress) deadline() time.Time {
	switch {
	case p == nil:
		return time.Time{}
	case p.key == "" && p.waiting != "" && !p.unready:
		return txn.Earliest(p.tx.Deadline(), p.next)
	}
	return p.tx.Deadline()
}
