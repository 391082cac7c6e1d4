package dialog

import (
	"time"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// overtakenLimit is the longest wait of a request for a message that it has
// overtaken: T2, within which that comes again if it was lost (RFC 3261 17.1.2.2).
// With a short T1 it is half of what the sender's transaction lasts.
const overtakenLimit = 4 * time.Second

func (d *dialog) overtaken() time.Duration { return min(overtakenLimit, 32*d.options.Timers.T1) }

// An ahead is an offer of the carrier's that came before the ACK that answers
// ours. RFC 3311 5.2 and RFC 3261 14.2 refuse an offer that crosses ours; one
// whose sender has answered ours already only came too early, and who sent it
// looks the same until that ACK is there. So it waits for it.
type ahead struct {
	m     *wire.Message
	flow  call.Flow
	until time.Time
}

// overtakes keeps a change that came before the ACK with the answer to our
// offer, and reports that it did. A second one is refused.
func (d *dialog) overtakes(now time.Time, m *wire.Message, flow call.Flow) bool {
	if d.ahead != nil || d.owed() == nil {
		return false
	}
	d.ahead = &ahead{m: m, flow: flow, until: now.Add(d.overtaken())}
	return true
}

// overtakesAgain takes a copy of a change that waits.
func (d *dialog) overtakesAgain(m *wire.Message, flow call.Flow) bool {
	a := d.ahead
	if a == nil || a.m.Method != m.Method || a.m.CSeq != m.CSeq || a.m.Branch != m.Branch {
		return false
	}
	a.flow = flow
	return true
}

// catchUp takes the change that waited for an ACK, which is here.
func (d *dialog) catchUp(now time.Time) {
	if a := d.ahead; a != nil && d.owed() == nil && !d.over {
		d.ahead = nil
		d.change(now, a.m, a.flow)
	}
}

// wakeAhead refuses a change whose ACK did not come.
func (d *dialog) wakeAhead(now time.Time) {
	if a := d.ahead; a != nil && due(a.until, now) {
		d.ahead = nil
		d.answer(now, a.m, a.flow, wire.Reply{Status: 491})
	}
}

func (a *ahead) deadline() time.Time {
	if a == nil {
		return time.Time{}
	}
	return a.until
}

// A leaving is the BYE of a carrier that has not answered our REFER yet.
type leaving struct {
	cause call.Cause
	until time.Time
}

// leaves takes a BYE that came before any answer to our REFER, and reports that
// it did. It is answered; but whether its sender has gone to the target, or just
// gone, is in its response to the REFER, which is a transaction of its own.
func (d *dialog) leaves(now time.Time, cause call.Cause) bool {
	if d.hangup != nil || !d.referral().unanswered() {
		return false
	}
	d.leaving = &leaving{cause, now.Add(d.overtaken())}
	d.gone, d.clock = true, nil
	return true
}

// hasLeft ends the dialog of a carrier that has left, once its answer to our REFER
// is there or due no more, and reports that it did.
func (d *dialog) hasLeft(now time.Time) bool {
	l := d.leaving
	if l == nil || d.over || d.referral().unanswered() && now.Before(l.until) {
		return false
	}
	d.conclude(now)
	return true
}

// conclude tells the call of the BYE of a carrier that has left.
func (d *dialog) conclude(now time.Time) {
	cause := d.leaving.cause
	d.leaving = nil
	d.cease(now)
	d.tell(call.Event{Kind: call.CarrierBye, Cause: cause})
}

func (l *leaving) deadline() time.Time {
	if l == nil {
		return time.Time{}
	}
	return l.until
}

// unanswered reports that nothing was heard of a REFER of ours.
func (r *refer) unanswered() bool { return r != nil && r.open && !r.taken }
