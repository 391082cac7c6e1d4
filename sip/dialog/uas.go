package dialog

import (
	"bytes"
	"strconv"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// A UAS is the dialog of one call that a carrier began. [Factory.New] makes
// it. The outputs of a method are valid until the next one is called.
type UAS struct {
	dialog

	first    invite        // the INVITE that began the call
	message  *wire.Message // that INVITE; nil after its final response
	reliable *reliable     // provisional responses that want a PRACK; nil: none was sent
	session  *sdp.Session  // its offer; nil likewise, and where it has none

	progressed progress // the last provisional response
}

// An invite is an INVITE server transaction and where its responses go: the
// flow of the latest copy of the request.
type invite struct {
	tx     txn.InviteServer
	branch string
	seq    uint32
	flow   call.Flow
}

func (i *invite) matches(m *wire.Message) bool { return i.seq == m.CSeq && i.branch == m.Branch }

// Respond answers the INVITE. After a final response it does nothing.
func (d *UAS) Respond(now time.Time, r call.Response) []call.Output {
	d.begin()
	if d.message == nil {
		return nil
	}
	if r.Status > 100 && r.Status < 200 {
		d.provisional(now, r)
		return d.out
	}
	raw := bytes.Clone(d.message.Reply(d.reply(now, r))) // kept for copies: no spare room
	if !d.first.tx.Respond(now, r.Status, raw) {
		return nil
	}
	d.send(call.Transmission{Flow: d.first.flow, Raw: raw})
	if r.Status >= 200 {
		d.reliable.stop()
		d.message, d.session, d.ringing, d.progressed = nil, nil, false, progress{}
		d.revision++
	}
	if r.Status >= 300 {
		d.end()
	}
	return d.out
}

// reply puts a response into SIP's terms.
func (d *UAS) reply(now time.Time, r call.Response) wire.Reply {
	reply := wire.Reply{Status: r.Status}
	if r.Status == 100 { // no tag: it makes no dialog
		return reply
	}
	reply.Tag = d.tag
	if r.Status < 300 {
		reply.Contact = d.contact(d.first.flow, asksForTLS(d.message))
	}
	if r.Status/100 == 2 {
		reply.Headers = append(reply.Headers, d.timed(now, d.message)...)
		reply.Headers = append(reply.Headers, harmless(r.Headers)...)
	}
	switch {
	case r.Answer != nil && d.session != nil:
		reply = d.described(reply, d.answerTo(d.session, d.message.Body(), *r.Answer))
	case r.Offer != nil:
		reply = d.described(reply, d.offerIn(d.first.seq, *r.Offer))
	}
	if r.Status < 200 && reply.Body != nil && listed(d.message, "P-Early-Media", "supported") { // RFC 5009 8: else some let no early media pass
		reply.Headers = append(reply.Headers, call.Header{Name: "P-Early-Media", Value: "sendrecv"})
	}
	if r.Status >= 300 {
		reply.Headers = append(reply.Headers, d.whyNot(r)...)
	}
	return reply
}

// whyNot is what a refusal says beside its status.
func (d *UAS) whyNot(r call.Response) (headers []call.Header) {
	if v := reasonOf(r.Cause, r.Text); v != "" {
		headers = append(headers, call.Header{Name: "Reason", Value: v})
	}
	if r.Status == 488 {
		text := r.Text
		if text == "" {
			text = r.Cause.Word
		}
		headers = append(headers, d.warning(305, text))
	}
	if r.RetryAfter > 0 {
		seconds := (r.RetryAfter + time.Second - 1) / time.Second
		headers = append(headers, call.Header{Name: "Retry-After", Value: strconv.Itoa(int(seconds))})
	}
	return headers
}

// Wake sends the copies that are due and notes what did not come in time.
func (d *UAS) Wake(now time.Time) []call.Output {
	d.begin()
	raw, unacked := d.first.tx.Wake(now)
	if raw != nil {
		d.send(call.Transmission{Flow: d.first.flow, Raw: raw})
	}
	switch {
	case unacked && d.hangup != nil:
		d.sendBye(now)
	case unacked && !d.over:
		d.tell(call.Event{Kind: call.AckMissing})
	}
	d.wakeReliable(now)
	d.wakeReferred(now, d.byeOnceAcked)
	d.wakeProgress(now)
	d.wake(now)
	d.depart(now)
	return d.out
}

// Deadline is when Wake wants to be called; zero: not at all.
func (d *UAS) Deadline() time.Time {
	return txn.Earliest(d.first.tx.Deadline(), d.reliable.deadline(), d.progressed.at, d.deadline())
}

// Done reports that the dialog is over and every transaction has ended.
func (d *UAS) Done() bool {
	return d.over && d.first.tx.Done() && d.settled()
}

// end lets go of what only a live dialog needs. What is left answers copies.
func (d *UAS) end() {
	d.over = true
	d.hangup = nil
	d.message, d.session, d.said, d.keypress, d.progressed = nil, nil, nil, nil, progress{}
	d.route, d.clock = &nowhere, nil
}
