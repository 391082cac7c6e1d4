package dialog

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/wire"
)

// maxChanges is how many re-INVITEs of one dialog are kept for their copies and
// ACKs. Beyond it the oldest is forgotten: the carrier has given that up.
const maxChanges = 4

// An asked is a request that may change the call, re-INVITE or UPDATE, while
// the call makes up its mind.
type asked struct {
	m       *wire.Message
	flow    call.Flow
	session *sdp.Session // nil: it has no SDP
}

// change takes a re-INVITE (RFC 3261 14.2) or an UPDATE (RFC 3311 5.2) of an
// answered dialog. What is wrong with it is answered at once, and so is what
// changes nothing; the rest is the call's to answer.
func (d *dialog) change(now time.Time, m *wire.Message, flow call.Flow) {
	switch {
	case d.premature(now, m, flow):
		return
	case !m.Described() && m.Method == "UPDATE":
		d.answer(now, m, flow, d.changed(now, m, flow))
		return
	case !m.Described():
		d.ask(asked{m: m, flow: flow}, nil)
		return
	}
	session, offer, refusal := readOffer(m)
	switch {
	case refusal != nil:
		d.answer(now, m, flow, d.unchanged(refusal.Response))
	case d.refresh(session, m.Body()):
		d.answer(now, m, flow, d.described(d.changed(now, m, flow), d.said.body))
	default:
		d.ask(asked{m: m, flow: flow, session: session}, &offer)
	}
}

// premature takes a change that comes at the wrong time, and reports that it did.
func (d *dialog) premature(now time.Time, m *wire.Message, flow call.Flow) bool {
	offers := m.Method == "INVITE" || m.Described()
	switch {
	case d.asked != nil: // RFC 3261 14.2: the one before has no answer yet
		d.answer(now, m, flow, d.later())
	case d.hangup == nil && offers && d.overtakes(now, m, flow):
	case d.hangup != nil, d.offering() && offers: // our offer has no answer yet: RFC 3311 5.2
		d.answer(now, m, flow, wire.Reply{Status: 491})
	default:
		return false
	}
	return true
}

// earlyUpdate takes an UPDATE before the INVITE that began the call has its
// final response. Without SDP it may say where the carrier is now; an offer in
// it crosses the one in the INVITE (RFC 3311 5.2), unless that has had its answer
// in a 183 that was confirmed.
func (d *dialog) earlyUpdate(now time.Time, m *wire.Message, flow call.Flow, refusal wire.Reply) {
	if m.Described() {
		d.answer(now, m, flow, refusal)
		return
	}
	d.answer(now, m, flow, d.changed(now, m, flow))
}

func (d *dialog) ask(a asked, offer *call.Offer) {
	d.asked = &a
	d.tell(call.Event{Kind: call.CarrierOffered, Offer: offer, Source: a.flow.Remote.Addr()})
}

// AnswerOffer implements [actors.Dialog].
func (d *dialog) AnswerOffer(now time.Time, r call.Response) []call.Output {
	d.begin()
	a := d.asked
	if a == nil {
		return nil
	}
	d.asked = nil
	switch {
	case r.Status/100 != 2:
		d.answer(now, a.m, a.flow, d.unchanged(r))
	case r.Answer != nil && a.session != nil:
		reply := d.changed(now, a.m, a.flow)
		d.answer(now, a.m, a.flow, d.described(reply, d.answerTo(a.session, a.m.Body(), *r.Answer)))
	case r.Offer != nil && a.session == nil:
		reply := d.changed(now, a.m, a.flow)
		d.answer(now, a.m, a.flow, d.described(reply, d.offerIn(a.m.CSeq, *r.Offer)))
	default:
		d.answer(now, a.m, a.flow, d.unchanged(call.Response{Status: 500}))
	}
	return d.out
}

// changed begins the 2xx to a request that may move the carrier: from here on
// our requests go to its Contact (RFC 3261 12.2.2, RFC 6141 4.4).
func (d *dialog) changed(now time.Time, m *wire.Message, flow call.Flow) wire.Reply {
	if m.Method == "PRACK" { // moves nobody
		return wire.Reply{Status: 200}
	}
	if target, err := m.Contact(); err == nil { // else it stays where it is: a lost call helps nobody
		if target, err = wire.ParseURI(strings.Clone(target.Reveal())); err == nil { // shall not keep the message
			d.route.target = target
			d.revision++
		}
	}
	reply := wire.Reply{Status: 200, Contact: d.contact(flow, asksForTLS(m)), Headers: []call.Header{allow, supported}}
	if !d.ringing { // what rings has no session timer
		reply.Headers = d.timed(now, m)
	}
	return reply
}

func (d *dialog) described(r wire.Reply, body []byte) wire.Reply {
	r.ContentType, r.Body = "application/sdp", body
	return r
}

// unchanged is the refusal of a change: the call goes on as it was.
func (d *dialog) unchanged(r call.Response) wire.Reply {
	reply := wire.Reply{Status: r.Status}
	text := r.Text
	if text == "" {
		text = r.Cause.Word
	}
	switch r.Status {
	case 415:
		reply.Headers = append(reply.Headers, call.Header{Name: "Accept", Value: "application/sdp"})
	case 488:
		reply.Headers = append(reply.Headers, d.warning(305, text))
	}
	return reply
}

// later refuses a request that came too early (RFC 3261 14.2, RFC 3311 5.2).
func (d *dialog) later() wire.Reply {
	return wire.Reply{Status: 500, Headers: []call.Header{{Name: "Retry-After", Value: strconv.Itoa(1 + int(d.id%10))}}}
}

// keepChange keeps the transaction of a re-INVITE. A new one says that the
// carrier has our answer to those before, though we have no ACK yet.
func (d *dialog) keepChange(c *invite) {
	for _, older := range d.changes {
		if o := d.owed(); o == nil || o.seq != older.seq {
			older.tx.Abandon()
		}
	}
	if len(d.changes) == maxChanges {
		d.changes = slices.Delete(d.changes, 0, 1)
	}
	d.changes = append(d.changes, c)
}

// askedAgain takes a copy of a re-INVITE that the call has not answered yet.
func (d *dialog) askedAgain(m *wire.Message, flow call.Flow) bool {
	a := d.asked
	if a == nil || a.m.Method != m.Method || a.m.CSeq != m.CSeq || a.m.Branch != m.Branch {
		return false
	}
	a.flow = flow
	return true
}

// changeOf returns the re-INVITE that a message is a copy or a CANCEL of.
func (d *dialog) changeOf(m *wire.Message) *invite {
	for _, c := range d.changes {
		if c.matches(m) {
			return c
		}
	}
	return nil
}

// ackOfChange takes the ACK of a re-INVITE, and the answer to our offer in it.
func (d *dialog) ackOfChange(now time.Time, m *wire.Message, flow call.Flow) bool {
	for _, c := range d.changes {
		if c.seq != m.CSeq {
			continue
		}
		if first := c.tx.Ack(now); first && c.tx.Accepted() && !d.over {
			d.move(flow)
			if answer, due := d.taken(m); due {
				d.tell(call.Event{Kind: call.CarrierSettled, Answer: answer, Source: flow.Remote.Addr()})
			}
			d.catchUp(now)
		}
		d.forgetChanges()
		return true
	}
	return false
}

// wakeChanges repeats what waits for an ACK, and gives up what never got one.
func (d *dialog) wakeChanges(now time.Time) {
	for _, c := range d.changes {
		raw, unacked := c.tx.Wake(now)
		if raw != nil {
			d.send(call.Transmission{Flow: c.flow, Raw: raw})
		}
		if unacked && !d.over {
			d.tell(call.Event{Kind: call.ChangeUnacked})
		}
	}
	d.forgetChanges()
}

func (d *dialog) forgetChanges() {
	d.changes = slices.DeleteFunc(d.changes, func(c *invite) bool { return c.tx.Done() })
	if len(d.changes) == 0 {
		d.changes = nil
	}
}

// cease ends what changes of the call are under way: it is over. Nobody waits
// for the ACK of a 2xx any more, and what has no answer gets 487 (RFC 3261
// 15.1.2).
func (d *dialog) cease(now time.Time) {
	for _, c := range d.changes {
		c.tx.Abandon()
	}
	if a := d.asked; a != nil {
		d.asked = nil
		d.answer(now, a.m, a.flow, wire.Reply{Status: 487})
	}
	d.referred.stop()
	if a := d.ahead; a != nil {
		d.ahead = nil
		d.answer(now, a.m, a.flow, wire.Reply{Status: 487})
	}
	d.said, d.clock, d.keypress = nil, nil, nil
}
