package call

import "time"

// Events about a REFER of the carrier's.
const (
	EventReferred    = "call.referred"     // the carrier had us call somebody else: that is under way
	EventReferFailed = "call.refer_failed" // nothing came of it; the call goes on as it was
)

// Why a REFER of the carrier's came to nothing, where the target has not said it
// by a status.
const (
	ReasonTargetNotAllowed = "target_not_allowed" // by the policy of the call's endpoint, or trunk
	ReasonNotPlaced        = "not_placed"         // the call to the target could not be begun
	ReasonNoAnswer         = "no_answer"          // it rang for ReferralRing
)

// ReferralRing is how long the target of a carrier's REFER may ring.
const ReferralRing = time.Minute

// A Referral is a REFER of the carrier's: whom we are to call in its place.
type Referral struct {
	To         string   // URI, without the header fields that it asks for
	User, Host string   // of it; the host without its port
	Replaces   string   // the value of that header field, which To asks for; "": a blind transfer
	ReferredBy string   // as the carrier says it (RFC 3892); "": it does not
	Headers    []Header // further ones that To asks for
}

// A referring is a REFER of the carrier's that has no outcome yet.
type referring struct {
	referral *Referral
	placed   bool // our INVITE is on its way
	alone    bool // the carrier has hung up meanwhile: the target is waited for without it
	status   int  // told last
}

// Refers says that the policy of the call's endpoint, or trunk, lets its carrier
// send us elsewhere; what exactly it allows is asked then.
func (c *Call) refers() bool { return c.params.Refers }

// referrals takes what moves the call, or is about a REFER of the carrier's, and
// reports that this was all there was to it.
func (c *Call) referrals(now time.Time, ev Event) bool {
	switch ev.Kind {
	case CarrierReplaces:
		c.replaced(now, ev)
	case CarrierRefers:
		c.referred(now, ev)
	case ReferralRuled:
		c.ruledReferral(now, ev)
	case TargetRings:
		c.targetRings(ev)
	case TargetAnswered:
		c.targetAnswered(now, ev)
	case TargetFailed:
		c.targetFailed(now, ev, ev.Status, ev.Reason)
	case CarrierBye, MediaTimeout:
		return c.waitsAlone(ev)
	case TimerDue:
		if ev.Timer != TimerTarget {
			return false
		}
		c.targetFailed(now, ev, 408, ReasonNoAnswer)
	default:
		return false
	}
	return true
}

// referred takes a REFER: without a policy it is 603, and 491 while the call is
// on its way elsewhere already.
func (c *Call) referred(now time.Time, ev Event) {
	status := 0
	switch {
	case !c.refers():
		status = 603
	case c.live == nil || c.state != StateAnswered && c.state != StateEstablished && c.state != StateHeld, c.moving(), c.moved(), c.coupled(), c.live.referring != nil, c.live.owed:
		status = 491
	case ev.Referral == nil || ev.Status != 0:
		status = max(ev.Status, 400)
	}
	if status != 0 {
		c.do(Effect{Do: AnswerRefer, Response: Response{Status: status}})
		return
	}
	c.live.referring = &referring{referral: ev.Referral}
	c.do(Effect{Do: AskReferral, Referral: ev.Referral})
}

// ruledReferral takes what the policy says: a refusal, or a call to be placed.
func (c *Call) ruledReferral(now time.Time, ev Event) {
	r := c.referring()
	if r == nil || r.placed {
		return
	}
	if ev.Status >= 300 {
		c.do(Effect{Do: AnswerRefer, Response: Response{Status: ev.Status}})
		c.live.referring = nil
		c.tellReferral(now, EventReferFailed, r.referral, ev.Status, ev.Reason)
		return
	}
	r.placed, r.status = true, 100
	c.do(Effect{Do: AnswerRefer, Response: Response{Status: 202}})
	c.do(Effect{Do: InviteTarget, Offer: c.live.ours.Describe()})
	c.do(Effect{Do: Arm, Timer: TimerTarget, After: ReferralRing})
	c.tellReferral(now, EventReferred, r.referral, 100, "")
}

func (c *Call) referring() *referring {
	if c.live == nil {
		return nil
	}
	return c.live.referring
}

// targetRings tells the carrier of each other status.
func (c *Call) targetRings(ev Event) {
	if r := c.referring(); r != nil && r.placed && ev.Status != r.status {
		r.status = ev.Status
		c.do(Effect{Do: NotifyRefer, Response: Response{Status: ev.Status}})
	}
}

// targetAnswered moves the call to the dialog with the target.
func (c *Call) targetAnswered(now time.Time, ev Event) {
	r := c.referring()
	if r == nil || !r.placed || ev.Answer == nil {
		return
	}
	c.live.referring = nil
	c.do(Effect{Do: Disarm, Timer: TimerTarget})
	c.do(Effect{Do: NotifyRefer, Response: Response{Status: 200}})
	c.do(Effect{Do: TakeTarget})
	c.move(now, ev)
	ev.Mover = nil // of call.moved alone
	c.settle(now, ev)
}

// targetFailed tells the carrier that the target did not take the call, which
// goes on as it was, or ends where the carrier has hung up meanwhile.
func (c *Call) targetFailed(now time.Time, ev Event, status int, why string) {
	r := c.referring()
	if r == nil || !r.placed {
		return
	}
	c.live.referring = nil
	c.do(Effect{Do: Disarm, Timer: TimerTarget})
	c.do(Effect{Do: NotifyRefer, Response: Response{Status: max(status, 400)}})
	c.do(Effect{Do: DropTarget, Cause: CauseNormal})
	c.tellReferral(now, EventReferFailed, r.referral, status, why)
	if r.alone {
		c.end(now, ev, ByCarrier, CauseNormal)
		c.finish()
	}
}

// waitsAlone keeps a call whose carrier hangs up, as it may once we have taken
// its REFER (RFC 5589 6.1), until the target has answered or not.
func (c *Call) waitsAlone(ev Event) bool {
	r := c.referring()
	switch {
	case r == nil || !r.placed:
		return false
	case ev.Kind == CarrierBye && !r.alone:
		r.alone = true
		return true
	}
	return ev.Kind == MediaTimeout && r.alone
}

// alone reports that the carrier has hung up and no target has answered yet.
func (c *Call) alone() bool {
	r := c.referring()
	return r != nil && r.alone
}

// endReferral gives up what the carrier had us begin: the call ends.
func (c *Call) endReferral(now time.Time) {
	r := c.referring()
	if r == nil {
		return
	}
	c.live.referring = nil
	if !r.placed {
		c.do(Effect{Do: AnswerRefer, Response: Response{Status: 603}})
		return
	}
	c.do(Effect{Do: Disarm, Timer: TimerTarget})
	c.do(Effect{Do: NotifyRefer, Response: Response{Status: 487}})
	c.do(Effect{Do: DropTarget, Cause: CauseNormal})
	c.tellReferral(now, EventReferFailed, r.referral, 487, ReasonCallEnded)
}

// tellReferral tells how a REFER of the carrier's stands, in the words of a
// transfer.
func (c *Call) tellReferral(now time.Time, name string, r *Referral, status int, why string) {
	state := TransferPending
	if name == EventReferFailed {
		state = TransferFailed
	}
	c.emit(name, Event{Moved: &Transferred{To: r.To, State: state, Status: status, Reason: why, By: ByCarrier, At: now}})
}
