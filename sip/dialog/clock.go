package dialog

import (
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// supported lists the extensions that we serve, for the Supported header field.
var supported = call.Header{Name: "Supported", Value: wire.Supported}

// Bounds of a session timer.
const (
	minSession    = wire.MinSessionExpires
	maxSession    = 24 * time.Hour   // longer ones count as that
	sessionMargin = 32 * time.Second // before its end, at most: RFC 4028 10
	maxRaises     = 3                // of the interval, by 422
)

// A clock is the session timer of a dialog (RFC 4028): both sides know by it
// that the other is still there.
type clock struct {
	interval time.Duration // 0: there is none
	ours     bool          // we refresh
	refresh  time.Time     // when; zero: nothing is to be sent
	expire   time.Time     // when the call is over without a refresh
	least    time.Duration // that the carrier has asked for by 422
	raises   int
	update   bool // the carrier takes UPDATE
	info     bool // and INFO
	login    *login
	requests []*refresh // the last is the one that counts
}

// timer returns the dialog's clock, a new one if need be.
func (d *dialog) timer() *clock {
	if d.clock == nil {
		d.clock = &clock{}
	}
	return d.clock
}

// timed returns what a 2xx to an INVITE or UPDATE says of methods, extensions
// and the session timer, and sets the timer by the table of RFC 4028 9.
func (d *dialog) timed(now time.Time, m *wire.Message) []call.Header {
	headers := []call.Header{allow, supported}
	c := d.timer()
	c.notes(m)
	takes := listed(m, "Supported", "timer") || listed(m, "Require", "timer")
	interval, refresher := d.agreeTimer(m, takes)
	if interval == 0 {
		c.stop()
		return headers
	}
	c.start(now, interval, refresher == "uas")
	headers = append(headers, sessionExpires(interval, refresher))
	if takes {
		headers = append(headers, call.Header{Name: "Require", Value: "timer"})
	}
	return headers
}

// agreeTimer decides on interval and refresher; 0: there is no timer.
func (d *dialog) agreeTimer(m *wire.Message, takes bool) (interval time.Duration, refresher string) {
	c := d.clock
	interval, refresher, asked := sessionExpiresOf(m)
	switch {
	case asked && interval < minSession: // of one that knows no 422; else the guard has refused it
		interval = 0
	case !asked && takes && c.interval > 0: // as it was
		interval, refresher = c.interval, "uac"
		if c.ours {
			refresher = "uas"
		}
	case !asked && takes && d.options.SessionExpires > 0: // it would rather not, so we do the work
		interval, refresher = max(d.options.SessionExpires, seconds(m.Header("Min-SE"))), "uas"
	}
	if !takes {
		return interval, "uas"
	}
	if refresher != "uas" {
		refresher = "uac"
	}
	return interval, refresher
}

// sessionExpiresOf reads Session-Expires (RFC 4028 4). What is malformed is not there.
func sessionExpiresOf(m *wire.Message) (interval time.Duration, refresher string, ok bool) {
	value := m.Header("Session-Expires")
	interval = seconds(value)
	_, params, _ := strings.Cut(value, ";")
	for one := range strings.SplitSeq(params, ";") {
		if name, v, _ := strings.Cut(one, "="); strings.EqualFold(strings.TrimSpace(name), "refresher") {
			refresher = strings.ToLower(strings.TrimSpace(v))
		}
	}
	return interval, refresher, interval > 0
}

// seconds reads the delta-seconds that a value begins with; 0: none.
func seconds(value string) time.Duration {
	number, _, _ := strings.Cut(value, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxSession)
}

func sessionExpires(interval time.Duration, refresher string) call.Header {
	value := strconv.Itoa(int(interval / time.Second))
	if refresher != "" {
		value += ";refresher=" + refresher
	}
	return call.Header{Name: "Session-Expires", Value: value}
}

// wanted are the header fields by which a request of ours asks for a timer.
func (d *dialog) wanted(interval time.Duration, refresher string) []call.Header {
	headers := []call.Header{supported}
	least := time.Duration(0)
	if d.clock != nil {
		least = d.clock.least
	}
	if interval = max(interval, least); interval > 0 {
		headers = append(headers, sessionExpires(interval, refresher))
	}
	if least > 0 {
		headers = append(headers, call.Header{Name: "Min-SE", Value: strconv.Itoa(int(least / time.Second))})
	}
	return headers
}

// answeredBy takes what a 2xx to a request of ours says of the timer. One that
// names no refresher leaves the work to us (RFC 4028 7.2).
func (c *clock) answeredBy(now time.Time, m *wire.Message, otherwise time.Duration) {
	c.notes(m)
	interval, refresher, ok := sessionExpiresOf(m)
	switch {
	case ok:
		c.start(now, max(interval, minSession), refresher != "uas")
	case otherwise > 0:
		c.start(now, otherwise, true)
	}
}

// raised takes a 422 and reports whether the request may be sent again, with
// the longer interval that it asks for (RFC 4028 7.3).
func (c *clock) raised(m *wire.Message) bool {
	least := seconds(m.Header("Min-SE"))
	if least <= c.least || c.raises == maxRaises {
		return false
	}
	c.least = least
	c.raises++
	return true
}

// notes takes down which methods the carrier serves.
func (c *clock) notes(m *wire.Message) {
	if m.Header("Allow") != "" {
		c.update, c.info = listed(m, "Allow", "UPDATE"), listed(m, "Allow", "INFO")
	}
}

// start sets the timer from now: who refreshes does so at half time, and both
// give up a little before the end (RFC 4028 10).
func (c *clock) start(now time.Time, interval time.Duration, ours bool) {
	c.interval, c.ours = interval, ours
	c.refresh, c.expire = time.Time{}, now.Add(interval-min(sessionMargin, interval/3))
	if ours {
		c.refresh = now.Add(interval / 2)
	}
}

func (c *clock) stop() { c.interval, c.ours, c.refresh, c.expire = 0, false, time.Time{}, time.Time{} }

func (d *dialog) clockDeadline() time.Time {
	c := d.clock
	if c == nil || d.over {
		return time.Time{}
	}
	first := c.expire
	if !c.busy() {
		first = txn.Earliest(first, c.refresh)
	}
	for _, r := range c.requests {
		first = txn.Earliest(first, r.deadline())
	}
	return first
}

// wakeClock refreshes what is due, and ends a call that nobody refreshes.
func (d *dialog) wakeClock(now time.Time) {
	c := d.clock
	if c == nil || d.over {
		return
	}
	d.wakeRefreshes(now)
	switch {
	case due(c.expire, now):
		d.expired()
	case due(c.refresh, now) && !c.busy():
		d.startRefresh(now)
	}
}

// expired ends the call: the carrier has gone.
func (d *dialog) expired() {
	d.clock.stop()
	d.tell(call.Event{Kind: call.Hangup, Cause: call.CauseSessionExpired})
}

func due(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
