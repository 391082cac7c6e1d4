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

// Bye ends an answered dialog. The callee may not send BYE before the ACK has
// come or 64*T1 have passed (RFC 3261 15): until then it waits.
func (d *UAS) Bye(now time.Time, cause call.Cause) []call.Output {
	d.begin()
	if d.over || d.hangup != nil || !d.first.tx.Accepted() {
		return nil
	}
	d.hangup = &cause
	if !d.first.tx.AwaitsAck() {
		d.sendBye(now)
	}
	return d.out
}

// sendBye sends the BYE that waited, and ends the dialog: RFC 3261 15.1.1.
func (d *UAS) sendBye(now time.Time) {
	requestURI, routes, next, ok := d.route.plan()
	to := call.Transmission{Flow: d.flow}
	if ok {
		to = address(d.flow, next)
	}
	d.seq++
	d.bye.branch = d.options.Keys.Branch(d.options.Slot, d.id, d.callID, d.seq)
	request := wire.Request{
		Method: "BYE",
		URI:    requestURI,
		Vias:   []string{wire.Hop{Transport: to.Flow.Transport, SentBy: d.host(d.flow), Branch: d.bye.branch}.String()},
		From:   d.route.local + ";tag=" + d.tag,
		To:     d.route.remote,
		CallID: d.callID,
		CSeq:   d.seq,
		Route:  routes,
	}
	if v := reasonOf(*d.hangup, ""); v != "" {
		request.Headers = []call.Header{{Name: "Reason", Value: v}}
	}
	raw := request.Bytes()
	d.bye.tx = txn.StartClient(now, d.options.Timers, to.Flow.Transport.Reliable(), raw)
	d.bye.to = to
	d.end()
	d.sendByeCopy(raw)
}

// sendByeCopy sends the BYE by the dialog's latest flow: the edge that took
// the first copy may be gone.
func (d *UAS) sendByeCopy(raw []byte) {
	tx := d.bye.to
	if d.flow.Transport == tx.Flow.Transport {
		tx.Flow = d.flow
	}
	tx.Raw = raw
	d.send(tx)
}

func (d *UAS) wakeBye(now time.Time) {
	raw, timeout := d.bye.tx.Wake(now)
	if raw != nil {
		d.sendByeCopy(raw)
	}
	if timeout { // timer F counts as 408 (RFC 3261 8.1.3.1)
		d.tell(call.Event{Kind: call.ByeDone, Status: 408, Cause: call.CauseByeUnanswered})
	}
}

// response takes a response to our BYE. Whatever its status, the call is over:
// one that asks for credentials or sends us elsewhere gets no second BYE.
func (d *UAS) response(now time.Time, m *wire.Message) {
	if m.CSeqMethod != "BYE" || d.bye.branch == "" || !strings.EqualFold(m.Branch, d.bye.branch) {
		return
	}
	if d.bye.tx.Response(now, m.Status) {
		d.tell(call.Event{Kind: call.ByeDone, Status: m.Status})
	}
}
