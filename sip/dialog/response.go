package dialog

import (
	"bytes"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
	"patchbay/sip/txn"
	"patchbay/sip/wire"
)

// response takes a response to a request of ours. One with another From-tag is
// to none of them.
func (d *UAC) response(now time.Time, m *wire.Message, flow call.Flow) {
	if !strings.EqualFold(m.FromTag, d.tag) {
		return
	}
	if d.refreshResponse(now, m, flow) {
		return
	}
	switch m.CSeqMethod {
	case "INVITE":
		if a := d.attemptOf(m); a != nil {
			d.inviteResponse(now, a, m, flow)
		}
	case "CANCEL":
		if a := d.attemptOf(m); a != nil {
			a.cancel.Response(now, m.Status)
		}
	case "INFO":
		d.keyResponse(now, m)
	case "PRACK":
		d.prackResponse(now, m)
	case "BYE", "NOTIFY":
		d.byeResponse(now, m)
	case "REFER":
		d.referResponse(now, m, d.referAgain(now, m))
	}
}

// attemptOf is the INVITE that a response is to, or to whose CANCEL; nil: none.
func (d *UAC) attemptOf(m *wire.Message) *attempt {
	for _, a := range d.attempts {
		if a.is(m.Branch) {
			return a
		}
	}
	return nil
}

func (d *UAC) inviteResponse(now time.Time, a *attempt, m *wire.Message, flow call.Flow) {
	if a.sentBy == "" {
		d.revision++
	}
	a.heardFrom(m, flow)
	d.heard = true
	if !d.answered {
		d.flow = flow
	}
	if m.Status >= 200 {
		a.cancel.Abandon()
	}
	switch a.tx.Response(now, m.Status) {
	case txn.HeardProgress:
		d.progress(now, a, m, flow)
	case txn.HeardAnswer:
		d.accepted(now, a, m, flow)
	case txn.HeardRefusal:
		ack := bytes.Clone(d.within(a, "ACK", m.Header("To")))
		a.tx.Acknowledged(ack)
		d.sendOn(a, ack)
		d.refused(now, a, m, flow)
	case txn.HeardRefusalCopy:
		if ack := a.tx.Ack(); ack != nil {
			d.sendOn(a, ack)
		}
	case txn.HeardNothing:
	}
}

// progress takes a provisional response. What rings for nobody is cancelled: a
// call that we gave up, that somebody else has answered, or that has failed.
func (d *UAC) progress(now time.Time, a *attempt, m *wire.Message, flow call.Flow) {
	switch {
	case d.given != nil, d.outcome, a != d.current():
		d.cancelAttempt(now, a, d.reason())
		return
	case m.Status == 100, !d.inOrder(now, a, m, flow):
		return
	}
	answer := d.early(m)
	show := shown{status: m.Status, tag: m.ToTag}
	if answer != nil {
		show.media = answer.Addr
	}
	if show == d.shown {
		return
	}
	show.tag = strings.Clone(show.tag)
	d.shown = show
	d.tell(call.Event{Kind: call.CarrierRings, Status: m.Status, Answer: answer})
}

// early remembers the early dialog of a provisional response, and returns the
// SDP in it, if we can use it.
func (d *UAC) early(m *wire.Message) *call.Answer {
	answer, err := d.answerIn(m)
	if err != nil {
		answer = nil
	}
	if f := d.forkOf(m); f != nil && answer != nil {
		f.answer = answer
	}
	return answer
}

// answerIn reads the SDP of a response as the answer to our offer. Without any
// it is nil, and no error.
func (d *UAC) answerIn(m *wire.Message) (*call.Answer, error) {
	if !m.Described() {
		return nil, nil
	}
	session, err := sdp.Read(m.Header("Content-Type"), m.Body())
	if err != nil {
		return nil, err
	}
	answer, err := session.AnswerTo(d.offer)
	if err != nil {
		return nil, err
	}
	return &answer, nil
}

// finalAnswer reads the answer in a 2xx. Some carriers leave out what they have
// said in a provisional response of the same dialog.
func (d *UAC) finalAnswer(m *wire.Message) *call.Answer {
	answer, err := d.answerIn(m)
	if answer != nil || err != nil {
		return answer
	}
	for _, f := range d.forks {
		if f.tag == m.ToTag {
			return f.answer
		}
	}
	return nil
}

// accepted takes a 2xx. The first makes the dialog, its copies get the ACK
// again; any other is acknowledged and ended (RFC 3261 13.2.2.4).
func (d *UAC) accepted(now time.Time, a *attempt, m *wire.Message, flow call.Flow) {
	switch {
	case d.answered && m.ToTag == d.peerTag:
		d.ackAgain(d.ack, flow)
		return
	case d.outcome:
		d.stray(now, a, m, flow, d.reason())
		return
	case d.given != nil:
		d.stray(now, a, m, flow, *d.given)
		d.fail(now, 487, *d.given)
		return
	}
	answer := d.finalAnswer(m)
	if answer == nil {
		d.stray(now, a, m, flow, call.CauseBadAnswer)
		d.fail(now, 488, call.CauseBadAnswer)
		return
	}
	d.answered, d.outcome = true, true
	d.peerTag, d.flow = strings.Clone(m.ToTag), flow
	to := d.routeTo(m)
	d.route = &to
	ack := d.writeAck(a, to, flow)
	d.ack = &ack
	d.send(ack)
	d.timer().login = &d.login
	d.clock.answeredBy(now, m, 0)
	d.letGo(now)
	d.tell(call.Event{Kind: call.CarrierAnswered, Status: m.Status, Answer: answer})
}

// ackAgain repeats the ACK of a 2xx, by the edge that took its copy.
func (d *UAC) ackAgain(ack *call.Transmission, flow call.Flow) {
	if ack == nil {
		return
	}
	tx := *ack
	if tx.Flow.Transport == flow.Transport {
		tx.Flow = flow
	}
	d.send(tx)
}

// refused takes the first final response other than 2xx of an attempt, whose
// ACK has left.
func (d *UAC) refused(now time.Time, a *attempt, m *wire.Message, flow call.Flow) {
	switch {
	case d.outcome, a != d.current():
	case d.given != nil:
		d.fail(now, m.Status, *d.given)
	case (m.Status == 401 || m.Status == 407) && d.login.take(m, false):
		d.start(now, a.hop, flow, false)
	case m.Status == 422 && d.timer().raised(m):
		d.start(now, a.hop, flow, false)
	case m.Status == 503 && a.hop+1 < len(d.hops):
		d.next(now, a, m.Status)
	default:
		cause := call.CauseOfStatus(m.Status)
		if own := told(m); own.Q850 != 0 {
			cause.Q850 = own.Q850
		}
		d.fail(now, m.Status, cause)
	}
}

// byeResponse takes a response to a BYE, or a NOTIFY. Who asks for credentials gets them,
// if we have any; with every other final response the dialog is over.
func (d *UAC) byeResponse(now time.Time, m *wire.Message) {
	if d.notifyResponse(now, m) {
		return
	}
	for _, s := range d.strays {
		if s.bye.matches(m) {
			s.bye.tx.Response(now, m.Status)
			return
		}
	}
	if !d.bye.matches(m) || !d.bye.tx.Response(now, m.Status) {
		return
	}
	if (m.Status == 401 || m.Status == 407) && !d.gone && d.login.take(m, true) {
		d.sendBye(now)
		return
	}
	d.tell(call.Event{Kind: call.ByeDone, Status: m.Status})
}
