package dialog

import (
	"time"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// Receive takes a message of the dialog. One that the guard refuses, or that
// belongs to another Call-ID, is dropped: no edge of ours hands it on.
func (d *UAC) Receive(now time.Time, p call.Packet) []call.Output {
	d.begin()
	m, fault := wire.Read(p.Raw, wire.RelayLimits())
	if fault != nil || m.CallID != d.callID {
		return nil
	}
	switch {
	case !m.IsRequest():
		d.response(now, m, p.Flow)
		d.forget()
	case m.Method == "ACK":
		if d.ours(m) || !d.answered { // of a 491 to one who rings
			d.ackOfChange(now, m, p.Flow)
		}
	case m.Method == "CANCEL":
		d.cancel(now, m, p.Flow)
	default:
		d.request(now, m, p.Flow)
	}
	d.depart(now)
	return d.out
}

// depart ends the dialog of a carrier that has left, once that is all it has to
// say.
func (d *UAC) depart(now time.Time) {
	if d.hasLeft(now) {
		d.over = true
	}
}

// cancel answers a CANCEL, which can only be one of a re-INVITE, and comes too
// late: that was answered at once.
func (d *UAC) cancel(now time.Time, m *wire.Message, flow call.Flow) {
	if d.again(m, flow) {
		return
	}
	status := 481
	if d.changeOf(m) != nil {
		status = 200
	}
	d.answer(now, m, flow, wire.Reply{Status: status, Tag: d.tag})
}

// request takes a request of the carrier's.
func (d *UAC) request(now time.Time, m *wire.Message, flow call.Flow) {
	if s := d.strayOf(m); s != nil {
		d.strayRequest(now, m, flow)
		return
	}
	if !d.answered {
		d.earlyRequest(now, m, flow)
		return
	}
	if !d.admit(now, m, flow) {
		return
	}
	if m.Method != "BYE" {
		d.serve(now, m, flow)
	} else if d.carrierBye(now, m, flow) {
		d.over = true
	}
}

// strayRequest answers in a dialog that we have ended: a BYE that crosses ours
// is as good.
func (d *UAC) strayRequest(now time.Time, m *wire.Message, flow call.Flow) {
	if d.again(m, flow) {
		return
	}
	status := 481
	if m.Method == "BYE" {
		status = 200
	}
	d.answer(now, m, flow, wire.Reply{Status: status})
}

// earlyRequest answers within an early dialog. Its CSeqs are nobody's yet: the
// callee may be one of several.
func (d *UAC) earlyRequest(now time.Time, m *wire.Message, flow call.Flow) {
	if d.again(m, flow) {
		return
	}
	for _, f := range d.forks {
		if f.tag == m.FromTag && m.Method != "BYE" && m.ToTag != "" {
			d.earlyServe(now, m, flow)
			return
		}
	}
	d.send(call.Transmission{Flow: flow, Raw: m.Reply(wire.Reply{Status: 481})})
}

// earlyServe answers a request of one who rings. Our INVITE is pending, and no
// answer to its offer counts before the 200 (RFC 3261 14.2, RFC 3311 5.2).
func (d *UAC) earlyServe(now time.Time, m *wire.Message, flow call.Flow) {
	switch {
	case d.over:
		d.answer(now, m, flow, wire.Reply{Status: 481})
	case m.Method == "INVITE":
		d.answer(now, m, flow, wire.Reply{Status: 491})
	case m.Method == "UPDATE" && m.Described():
		d.answer(now, m, flow, wire.Reply{Status: 491})
	case m.Method == "UPDATE": // its 2xx says where to reach it
		d.answer(now, m, flow, wire.Reply{Status: 200, Contact: d.contact(flow, asksForTLS(m))})
	default:
		d.serve(now, m, flow)
	}
}
