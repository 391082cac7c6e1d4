package dialog

import (
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// A bye is our BYE on its way.
type bye struct {
	tx     txn.Client
	branch string
	to     call.Transmission // its first copy, without the flow that later ones take
}

// A farewell is why we send BYE, and what else it says.
type farewell struct {
	cause   call.Cause
	headers []call.Header
}

// Bye ends an answered dialog. The callee may not send BYE before the ACK has
// come or 64*T1 have passed (RFC 3261 15): until then it waits.
func (d *UAS) Bye(now time.Time, cause call.Cause) []call.Output { return d.ByeWith(now, cause, nil) }

// ByeWith implements [actors.Referrer].
func (d *UAS) ByeWith(now time.Time, cause call.Cause, headers []call.Header) []call.Output {
	d.begin()
	if d.over || d.hangup != nil || !d.first.tx.Accepted() {
		return nil
	}
	if d.leaving != nil { // its BYE was first
		d.conclude(now)
		d.end()
		return d.out
	}
	d.hangup = newFarewell(cause, headers)
	if !d.first.tx.AwaitsAck() {
		d.sendBye(now)
	}
	return d.out
}

func newFarewell(cause call.Cause, headers []call.Header) *farewell {
	return &farewell{cause, harmless(headers)}
}

// harmless returns an agent's header fields, and none where one of them is not
// its to set: whoever lets them come has checked them, too.
func harmless(all []call.Header) []call.Header {
	if checkFields(all) != nil {
		return nil
	}
	return all
}

// byeOnceAcked sends the BYE that is wanted, or leaves it to the ACK.
func (d *UAS) byeOnceAcked(now time.Time) {
	if !d.first.tx.AwaitsAck() {
		d.sendBye(now)
	}
}

// sendBye sends the BYE that waited, and ends the dialog: RFC 3261 15.1.1.
func (d *UAS) sendBye(now time.Time) {
	d.startBye(now)
	d.end()
}

// startBye sends the BYE that hangup is the cause of, with further header
// fields.
func (d *dialog) startBye(now time.Time, extra ...call.Header) {
	d.cease(now)
	extra = append(extra, d.hangup.headers...)
	d.seq++
	raw, b := d.writeBye(now, d.route, d.seq, d.flow, d.hangup.cause, extra)
	d.bye = &b
	d.sendCopy(d.bye.to, raw)
}

// writeBye returns a BYE and its transaction.
func (d *dialog) writeBye(now time.Time, r *route, seq uint32, flow call.Flow, cause call.Cause, extra []call.Header) ([]byte, bye) {
	request, to, branch := d.along("BYE", r, seq, flow)
	request.Headers = extra
	if v := reasonOf(cause, ""); v != "" {
		request.Headers = append(request.Headers, call.Header{Name: "Reason", Value: v})
	}
	raw := request.Bytes()
	return raw, bye{branch: branch, to: to, tx: txn.StartClient(now, d.options.Timers, to.Flow.Transport.Reliable(), raw)}
}

func (d *dialog) wakeBye(now time.Time) {
	if d.bye == nil {
		return
	}
	raw, timeout := d.bye.tx.Wake(now)
	if raw != nil {
		d.sendCopy(d.bye.to, raw)
	}
	if timeout { // timer F counts as 408 (RFC 3261 8.1.3.1)
		d.tell(call.Event{Kind: call.ByeDone, Status: 408, Cause: call.CauseByeUnanswered})
	}
}

// deadline is when the BYE's transaction wants to be woken; zero: not at all.
func (b *bye) deadline() time.Time {
	if b == nil {
		return time.Time{}
	}
	return b.tx.Deadline()
}

// done reports that nothing of the BYE need be kept.
func (b *bye) done() bool { return b == nil || b.tx.Done() }

// matches reports whether a response is one to the BYE.
func (b *bye) matches(m *wire.Message) bool {
	return b != nil && m.CSeqMethod == "BYE" && b.branch != "" && strings.EqualFold(m.Branch, b.branch)
}

// response takes a response to our REFER or BYE. Of a BYE, whatever its status, the call is over:
// one that asks for credentials or sends us elsewhere gets no second BYE.
func (d *UAS) response(now time.Time, m *wire.Message, flow call.Flow) {
	if d.referResponse(now, m, nil) || d.refreshResponse(now, m, flow) || d.keyResponse(now, m) || d.notifyResponse(now, m) {
		return
	}
	if d.bye.matches(m) && d.bye.tx.Response(now, m.Status) {
		d.tell(call.Event{Kind: call.ByeDone, Status: m.Status})
	}
}
