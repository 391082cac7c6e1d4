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
	options *Options
	id      call.ID
	callID  string
	tag     string // ours
	peerTag string
	peerSeq uint32    // highest CSeq of the carrier's requests
	seq     uint32    // CSeq of our last request
	flow    call.Flow // of the dialog's latest message
	route   route

	first   invite        // the INVITE that began the call
	message *wire.Message // that INVITE; nil after its final response
	session *sdp.Session  // its offer; nil likewise
	change  *invite       // a re-INVITE that was refused, until its ACK
	answers txn.Answers   // all other requests

	answered *call.Answer // our SDP, once it was sent
	revision uint64       // see Revision

	hangup *call.Cause // of a BYE that waits for the ACK
	bye    bye
	gone   bool // the carrier sent BYE
	over   bool // no dialog any more: refused, or BYE in either direction

	out []call.Output
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
	raw := bytes.Clone(d.message.Reply(d.reply(r))) // kept for copies: no spare room
	if !d.first.tx.Respond(now, r.Status, raw) {
		return nil
	}
	d.send(call.Transmission{Flow: d.first.flow, Raw: raw})
	if r.Status >= 200 {
		d.message, d.session = nil, nil
		d.answered = r.Answer
		d.revision++
	}
	if r.Status >= 300 {
		d.end()
	}
	return d.out
}

// reply puts a response into SIP's terms.
func (d *UAS) reply(r call.Response) wire.Reply {
	reply := wire.Reply{Status: r.Status}
	if r.Status == 100 { // no tag: it makes no dialog
		return reply
	}
	reply.Tag = d.tag
	if r.Status < 300 {
		reply.Contact = d.contact(d.first.flow, asksForTLS(d.message))
	}
	if r.Status/100 == 2 {
		reply.Headers = append(reply.Headers, call.Header{Name: "Allow", Value: wire.Allow})
	}
	if r.Answer != nil {
		reply.ContentType = "application/sdp"
		reply.Body = d.session.Answer(*r.Answer, d.origin())
	}
	if r.Status < 300 {
		return reply
	}
	if v := reasonOf(r.Cause, r.Text); v != "" {
		reply.Headers = append(reply.Headers, call.Header{Name: "Reason", Value: v})
	}
	if r.Status == 488 {
		text := r.Text
		if text == "" {
			text = r.Cause.Word
		}
		reply.Headers = append(reply.Headers, d.warning(305, text))
	}
	if r.RetryAfter > 0 {
		seconds := (r.RetryAfter + time.Second - 1) / time.Second
		reply.Headers = append(reply.Headers, call.Header{Name: "Retry-After", Value: strconv.Itoa(int(seconds))})
	}
	return reply
}

// origin is the o= line of our SDP. Many peers read its id as a signed number.
func (d *UAS) origin() sdp.Origin { return sdp.Origin{ID: uint64(d.id) >> 1, Version: 1} }

// warning is a Warning header field (RFC 3261 20.43).
func (d *UAS) warning(code int, text string) call.Header {
	return call.Header{Name: "Warning", Value: strconv.Itoa(code) + " " + d.host(d.flow) + ` "` + plain(text) + `"`}
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
	if c := d.change; c != nil {
		if raw, _ := c.tx.Wake(now); raw != nil {
			d.send(call.Transmission{Flow: c.flow, Raw: raw})
		}
		if c.tx.Done() {
			d.change = nil
		}
	}
	d.answers.Wake(now)
	d.wakeBye(now)
	return d.out
}

// Deadline is when Wake wants to be called; zero: not at all.
func (d *UAS) Deadline() time.Time {
	first := txn.Earliest(d.first.tx.Deadline(), d.answers.Deadline(), d.bye.tx.Deadline())
	if d.change != nil {
		first = txn.Earliest(first, d.change.tx.Deadline())
	}
	return first
}

// Done reports that the dialog is over and every transaction has ended.
func (d *UAS) Done() bool {
	return d.over && d.first.tx.Done() && d.change == nil && d.answers.Empty() && d.bye.tx.Done()
}

// end lets go of what only a live dialog needs. What is left answers copies.
func (d *UAS) end() {
	d.over = true
	d.hangup = nil
	d.message, d.session, d.answered = nil, nil, nil
	d.route = route{}
}

// begin lets go of the outputs of the method before.
func (d *UAS) begin() {
	clear(d.out)
	d.out = d.out[:0]
}

func (d *UAS) send(tx call.Transmission) { d.out = append(d.out, call.Output{Send: &tx}) }
func (d *UAS) tell(ev call.Event)        { d.out = append(d.out, call.Output{Event: &ev}) }
