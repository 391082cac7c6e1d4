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

	described bool // the last one has SDP
	settled   bool // one with SDP was confirmed: offer and answer are exchanged (RFC 3262 5)
}

// describes reports a response with SDP.
func describes(r call.Response) bool { return r.Answer != nil || r.Offer != nil }

// takesReliable reports whether the carrier confirms provisional responses.
func takesReliable(m *wire.Message) bool {
	return listed(m, "Require", "100rel") || listed(m, "Supported", "100rel")
}

// confirmed decides how a provisional response other than 100 leaves. Whoever
// requires it gets it reliably; whoever only supports it gets what has SDP so,
// and the rest where a setting says so. An INVITE without SDP wants our offer in
// the first reliable response (RFC 3262 5): until that is confirmed, others are
// sent as they are, or not at all.
func (d *UAS) confirmed(described bool) (reliably, silent bool) {
	required := listed(d.message, "Require", "100rel")
	reliably = required || (described || d.options.Reliable) && takesReliable(d.message)
	if d.session == nil && (d.reliable == nil || !d.reliable.settled) {
		return described && reliably, described && !reliably || !described && required
	}
	return reliably, false
}

// provisional sends a provisional response other than 100. The call hears where
// one with SDP has to be confirmed: it may not answer before.
func (d *UAS) provisional(now time.Time, r call.Response) {
	reliably, silent := d.confirmed(describes(r))
	if silent || d.first.tx.Final() {
		return
	}
	d.progressed = progress{status: r.Status, at: now.Add(progressEvery)}
	if reliably && describes(r) {
		d.tell(call.Event{Kind: call.Unconfirmed})
	}
	var reply wire.Reply
	if reliably {
		if d.reliable == nil {
			d.reliable = &reliable{acked: true}
		}
		if !d.reliable.acked { // RFC 3262 3: not before the one before is confirmed
			d.reliable.next = &r
			return
		}
		reply = d.reply(now, r)
		d.progressed.at = now.Add(reliableProgressEvery)
		d.reliable.rseq++
		d.reliable.described = describes(r)
		reply.Headers = append(reply.Headers, allow, call.Header{Name: "Require", Value: "100rel"},
			call.Header{Name: "RSeq", Value: strconv.FormatUint(uint64(d.reliable.rseq), 10)})
	} else {
		reply = d.reply(now, r)
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

// prack answers a PRACK: 481 if it confirms nothing that waits (RFC 3262 3). It
// answers our offer, where the response had one; it may offer anew where that had
// our answer; before there was any, an offer in it comes too early (5).
func (d *UAS) prack(now time.Time, m *wire.Message, flow call.Flow) {
	r := d.reliable
	if r == nil || r.acked || !d.confirms(m) {
		d.answer(now, m, flow, wire.Reply{Status: 481})
		return
	}
	r.acked = true
	next, described := r.next, r.described
	r.stop()
	r.settled, r.described = r.settled || described, false
	answer := d.answerPrack(now, m, flow, described)
	if described {
		d.tell(call.Event{Kind: call.Confirmed, Answer: answer, Source: flow.Remote.Addr()})
	}
	if next != nil && d.message != nil {
		d.provisional(now, *next)
	}
}

// answerPrack answers the PRACK of what waited, and reads what it says to our
// offer in that. An offer in it is answered before the call hears of the rest.
func (d *UAS) answerPrack(now time.Time, m *wire.Message, flow call.Flow, described bool) (answer *call.Answer) {
	switch {
	case described && d.owed() != nil:
		answer = d.settledBy(m)
	case !m.Described():
	case d.reliable.settled:
		d.change(now, m, flow)
		return nil
	default:
		d.answer(now, m, flow, wire.Reply{Status: 488, Headers: []call.Header{d.warning(399, "the offer before has no answer yet")}})
		return nil
	}
	d.answer(now, m, flow, wire.Reply{Status: 200})
	return answer
}

// How often a call that is not answered says that it goes on: proxies cancel
// what is silent for three minutes (RFC 3261 13.3.1.1, RFC 3262 3).
const (
	progressEvery         = time.Minute
	reliableProgressEvery = 150 * time.Second
)

// A progress is the last provisional response, and when the next is due.
type progress struct {
	status int
	at     time.Time // zero: none is
}

// wakeProgress sends the last provisional response again, to a carrier that
// confirms them as one of its own without SDP.
func (d *UAS) wakeProgress(now time.Time) {
	switch {
	case !due(d.progressed.at, now):
	case d.message == nil || d.first.tx.Final():
		d.progressed = progress{}
	case d.reliable != nil:
		d.provisional(now, call.Response{Status: d.progressed.status})
	default:
		d.progressed.at = now.Add(progressEvery)
		d.send(call.Transmission{Flow: d.first.flow, Raw: d.first.tx.Copy()})
	}
}

// confirms reports whether RAck names the response that waits.
func (d *UAS) confirms(m *wire.Message) bool {
	words := strings.Fields(m.Header("RAck"))
	return len(words) == 3 && words[0] == strconv.FormatUint(uint64(d.reliable.rseq), 10) &&
		words[1] == strconv.FormatUint(uint64(d.first.seq), 10) && words[2] == "INVITE"
}
