// Package txn is the transactions of RFC 3261 17 as pure state machines in
// virtual time: the INVITE server transaction (17.2.1, with the Accepted state
// of RFC 6026), non-INVITE server transactions as a bounded store of their
// answers (17.2.2), the INVITE client transaction (17.1.1, likewise with RFC
// 6026), and the non-INVITE client transaction (17.1.2).
//
// They hold bytes and clocks and decide when those bytes leave again. They read
// no message, know no flow and own no timer: the caller asks for a Deadline and
// calls Wake when it has come. None is safe for concurrent use.
package txn

import "time"

// Timers are the base values that all others follow from (RFC 3261 table 4).
type Timers struct {
	T1 time.Duration // estimate of the round trip
	T2 time.Duration // longest pause between copies
	T4 time.Duration // longest a message stays in the network
}

// Timeout is timers B, D, F, H, J, L and M: 64*T1.
func (t Timers) Timeout() time.Duration { return 64 * t.T1 }

// resend is when the next copy leaves. The pause doubles up to a limit.
type resend struct {
	at           time.Time // zero: stopped
	pause, limit time.Duration
}

func (r *resend) start(now time.Time, pause, limit time.Duration) {
	r.pause, r.limit, r.at = pause, limit, now.Add(pause)
}

func (r *resend) stop() { r.at = time.Time{} }

// due reports that a copy is owed now, and schedules the next one. A caller
// that was late owes one copy, not all that it missed.
func (r *resend) due(now time.Time) bool {
	if r.at.IsZero() || now.Before(r.at) {
		return false
	}
	r.pause = min(2*r.pause, r.limit)
	r.at = now.Add(r.pause)
	return true
}

// Earliest returns the first of some deadlines; zero ones do not count.
func Earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func passed(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
