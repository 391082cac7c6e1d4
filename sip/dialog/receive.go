package dialog

import (
	"bytes"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// Receive takes a message of the dialog. One that the guard refuses, or that
// belongs to another Call-ID, is dropped: no edge of ours hands it on.
func (d *UAS) Receive(now time.Time, p call.Packet) []call.Output {
	d.begin()
	m, fault := wire.Read(p.Raw, wire.RelayLimits())
	if fault != nil || m.CallID != d.callID {
		return nil
	}
	switch {
	case !m.IsRequest():
		d.response(now, m, p.Flow)
	case m.Method == "ACK":
		d.ack(now, m, p.Flow)
	case m.Method == "CANCEL":
		d.cancel(now, m, p.Flow)
	case m.Method == "INVITE" && m.ToTag == "":
		d.copyOfInvite(m, p.Flow)
	default:
		d.request(now, m, p.Flow)
	}
	d.depart(now)
	return d.out
}

// depart ends the dialog of a carrier that has left, once that is all it has to
// say.
func (d *UAS) depart(now time.Time) {
	if d.hasLeft(now) {
		d.end()
	}
}

// copyOfInvite takes the initial INVITE again. The last response follows it to
// the flow of the latest copy. With another branch it took another way here:
// it is merged with the first (RFC 3261 8.2.2.2), and its ACK shall not meet
// our own tag.
func (d *UAS) copyOfInvite(m *wire.Message, flow call.Flow) {
	if !d.first.matches(m) {
		raw := m.Reply(wire.Reply{Status: 482, Tag: d.options.Keys.Reject(d.callID)})
		d.send(call.Transmission{Flow: flow, Raw: raw})
		return
	}
	d.first.flow = flow
	if !d.over {
		d.move(flow)
	}
	if raw := d.first.tx.Copy(); raw != nil {
		d.send(call.Transmission{Flow: flow, Raw: raw})
	}
}

// ack takes an ACK. That of a 2xx is a transaction of its own with any branch;
// that of a refusal is told by its CSeq just as well.
func (d *UAS) ack(now time.Time, m *wire.Message, flow call.Flow) {
	if !d.ours(m) {
		return
	}
	if d.ackOfChange(now, m, flow) || m.CSeq != d.first.seq {
		return
	}
	accepted := d.first.tx.Accepted()
	if !d.first.tx.Ack(now) || !accepted {
		return
	}
	d.move(flow)
	answer, _ := d.taken(m)
	d.tell(call.Event{Kind: call.Acked, Answer: answer, Source: flow.Remote.Addr()})
	if d.hangup != nil {
		d.sendBye(now)
		return
	}
	d.acknowledged(now)
	d.catchUp(now)
}

// cancel answers a CANCEL, and ends the INVITE if it still can (RFC 3261 9.2).
func (d *UAS) cancel(now time.Time, m *wire.Message, flow call.Flow) {
	if d.again(m, flow) {
		return
	}
	if !d.first.matches(m) && d.changeOf(m) == nil {
		d.answer(now, m, flow, wire.Reply{Status: 481, Tag: d.tag})
		return
	}
	d.answer(now, m, flow, wire.Reply{Status: 200, Tag: d.tag})
	if d.first.matches(m) && !d.first.tx.Final() {
		d.tell(call.Event{Kind: call.Cancelled, Cause: told(m)})
	}
}

// request takes a request within the dialog.
func (d *UAS) request(now time.Time, m *wire.Message, flow call.Flow) {
	if !d.admit(now, m, flow) {
		return
	}
	switch {
	case m.Method == "BYE" && d.carrierBye(now, m, flow):
		d.first.tx.Abandon()
		if d.first.tx.Final() { // else the call still answers the INVITE
			d.end()
		}
	case m.Method == "BYE":
	case m.Method == "PRACK" && !d.over:
		d.prack(now, m, flow)
	case !d.over && !d.first.tx.Final():
		d.earlyRequest(now, m, flow)
	default:
		d.serve(now, m, flow)
	}
}

// earlyRequest takes a request while the INVITE has no final response. Changes
// come too early (RFC 3261 14.2).
func (d *UAS) earlyRequest(now time.Time, m *wire.Message, flow call.Flow) {
	switch m.Method {
	case "INVITE":
		d.answer(now, m, flow, d.later())
	case "UPDATE":
		if d.reliable != nil && d.reliable.settled && d.reliable.acked {
			d.change(now, m, flow)
			return
		}
		d.earlyUpdate(now, m, flow, d.later())
	default:
		d.serve(now, m, flow)
	}
}

// admit takes note of a request within the dialog and reports whether it is a
// new one, in order.
func (d *dialog) admit(now time.Time, m *wire.Message, flow call.Flow) bool {
	switch {
	case !d.ours(m): // keeps no state: each copy gets the same
		d.send(call.Transmission{Flow: flow, Raw: m.Reply(wire.Reply{Status: 481})})
		return false
	case d.again(m, flow):
		return false
	case m.CSeq < d.peerSeq: // RFC 3261 12.2.2
		d.outOfOrder(now, m, flow)
		return false
	}
	d.peerSeq = m.CSeq
	d.revision++
	d.move(flow)
	return true
}

// serve answers a request other than BYE.
func (d *dialog) serve(now time.Time, m *wire.Message, flow call.Flow) {
	switch {
	case m.Method == "NOTIFY" && d.referral() != nil:
		d.notify(now, m, flow)
	case d.over, d.leaving != nil:
		d.answer(now, m, flow, wire.Reply{Status: 481})
	case d.referred.leaves() && m.Method != "OPTIONS" && m.Method != "INFO":
		d.answer(now, m, flow, wire.Reply{Status: 603}) // the call is somebody else's: there is nothing to change
	case m.Method == "INVITE", m.Method == "UPDATE":
		d.change(now, m, flow)
	default:
		d.method(now, m, flow)
	}
}

// carrierBye ends the dialog from the other side, and reports that it did. If
// our own BYE is under way both are answered; if it still waits for the ACK it
// is not needed any more.
func (d *dialog) carrierBye(now time.Time, m *wire.Message, flow call.Flow) bool {
	if d.gone || d.over && d.bye == nil {
		d.answer(now, m, flow, wire.Reply{Status: 481})
		return false
	}
	d.answer(now, m, flow, wire.Reply{Status: 200})
	if d.leaves(now, told(m)) {
		return false
	}
	d.cease(now)
	d.gone = true
	d.tell(call.Event{Kind: call.CarrierBye, Cause: told(m)})
	return true
}

// ours reports whether a message has the tags of the dialog. Ours is compared
// without case, because some peers fold it.
func (d *dialog) ours(m *wire.Message) bool {
	return strings.EqualFold(m.ToTag, d.tag) && m.FromTag == d.peerTag
}

// again answers a copy of a request that was answered before.
func (d *dialog) again(m *wire.Message, flow call.Flow) bool {
	if m.Method == "INVITE" {
		c := d.changeOf(m)
		if c == nil {
			return d.askedAgain(m, flow) || d.overtakesAgain(m, flow)
		}
		c.flow = flow
		if raw := c.tx.Copy(); raw != nil {
			d.send(call.Transmission{Flow: flow, Raw: raw})
		}
		return true
	}
	raw := d.answers.Find(txn.Request{Branch: m.Branch, Method: m.Method, Seq: m.CSeq})
	if raw != nil {
		d.send(call.Transmission{Flow: flow, Raw: raw})
	}
	return raw != nil || d.overtakesAgain(m, flow)
}

// answer sends a final response and keeps it for copies of the request.
func (d *dialog) answer(now time.Time, m *wire.Message, flow call.Flow, r wire.Reply) {
	raw := bytes.Clone(m.Reply(r)) // kept for copies: no spare room
	reliable := flow.Transport.Reliable()
	if m.Method == "INVITE" {
		c := &invite{tx: txn.StartInvite(d.options.Timers, reliable), branch: strings.Clone(m.Branch), seq: m.CSeq, flow: flow}
		c.tx.Respond(now, r.Status, raw)
		d.keepChange(c)
	} else {
		request := txn.Request{Branch: strings.Clone(m.Branch), Method: strings.Clone(m.Method), Seq: m.CSeq}
		d.answers.Keep(now, d.options.Timers, reliable, request, raw)
	}
	d.send(call.Transmission{Flow: flow, Raw: raw})
}

// told is the cause that a carrier's Reason header gives, or none.
func told(m *wire.Message) call.Cause {
	for _, v := range m.Headers("Reason") {
		if n := q850(v); n > 0 {
			return call.Cause{Q850: n}
		}
	}
	return call.Cause{}
}
