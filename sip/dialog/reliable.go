package dialog

import (
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// A reliable is the provisional response of ours that a carrier must confirm by
// PRACK (RFC 3262 3). There is one at a time.
type reliable struct {
	rseq  uint32 // of the last one
	acked bool
	raw   []byte // its copies; nil: none leave any more
	pause time.Duration
	at    time.Time // of the next copy
	end   time.Time
	next  *call.Response // what waits until it is confirmed
}

// confirmed decides how a provisional response other than 100 leaves. Whoever
// requires it gets it reliably, and whoever only supports it where a setting
// says so. An INVITE without SDP wants our offer in the first reliable response
// (RFC 3262 5): it gets none before its 200.
func (d *UAS) confirmed() (reliably, silent bool) {
	required := listed(d.message, "Require", "100rel")
	reliably = required || d.options.Reliable && listed(d.message, "Supported", "100rel")
	if d.session == nil {
		return false, required
	}
	return reliably, false
}

// provisional sends a provisional response other than 100.
func (d *UAS) provisional(now time.Time, r call.Response) {
	reliably, silent := d.confirmed()
	if silent || d.first.tx.Final() {
		return
	}
	reply := d.reply(now, r)
	if reliably {
		if d.reliable == nil {
			d.reliable = &reliable{acked: true}
		}
		if !d.reliable.acked { // RFC 3262 3: not before the one before is confirmed
			d.reliable.next = &r
			return
		}
		d.reliable.rseq++
		reply.Headers = append(reply.Headers, allow, call.Header{Name: "Require", Value: "100rel"},
			call.Header{Name: "RSeq", Value: strconv.FormatUint(uint64(d.reliable.rseq), 10)})
	}
	raw := d.message.Reply(reply)
	if !d.first.tx.Respond(now, r.Status, raw) {
		return
	}
	if reliably {
		d.reliable.start(now, d.options.Timers, raw)
	}
	d.send(call.Transmission{Flow: d.first.flow, Raw: raw})
}

func (r *reliable) start(now time.Time, timers txn.Timers, raw []byte) {
	r.acked, r.raw, r.pause, r.at, r.end = false, raw, timers.T1, now.Add(timers.T1), now.Add(timers.Timeout())
}

// stop ends the copies: it is confirmed, or the final response says more.
func (r *reliable) stop() {
	if r != nil {
		r.raw, r.at, r.end, r.next = nil, time.Time{}, time.Time{}, nil
	}
}

func (r *reliable) deadline() time.Time {
	if r == nil {
		return time.Time{}
	}
	return txn.Earliest(r.at, r.end)
}

// wakeReliable repeats what waits for its PRACK, on every transport, with a
// pause that doubles. Who does not confirm it within 64*T1 does not hear us, and
// the INVITE is refused (RFC 3262 3).
func (d *UAS) wakeReliable(now time.Time) {
	r := d.reliable
	switch {
	case r == nil:
	case due(r.end, now):
		r.stop()
		d.tell(call.Event{Kind: call.Hangup, Cause: call.CauseNoPrack})
	case due(r.at, now):
		r.pause *= 2
		r.at = now.Add(r.pause)
		d.send(call.Transmission{Flow: d.first.flow, Raw: r.raw})
	}
}

// prack answers a PRACK: 481 if it confirms nothing that waits (RFC 3262 3). No
// answer of ours was in the response, so that an offer in it comes too early (5).
func (d *UAS) prack(now time.Time, m *wire.Message, flow call.Flow) {
	r := d.reliable
	if r == nil || r.acked || !d.confirms(m) {
		d.answer(now, m, flow, wire.Reply{Status: 481})
		return
	}
	r.acked = true
	next := r.next
	r.stop()
	if m.Described() {
		d.answer(now, m, flow, wire.Reply{Status: 488, Headers: []call.Header{d.warning(399, "the offer before has no answer yet")}})
	} else {
		d.answer(now, m, flow, wire.Reply{Status: 200})
	}
	if next != nil && d.message != nil {
		d.provisional(now, *next)
	}
}

// confirms reports whether RAck names the response that waits.
func (d *UAS) confirms(m *wire.Message) bool {
	words := strings.Fields(m.Header("RAck"))
	return len(words) == 3 && words[0] == strconv.FormatUint(uint64(d.reliable.rseq), 10) &&
		words[1] == strconv.FormatUint(uint64(d.first.seq), 10) && words[2] == "INVITE"
}
