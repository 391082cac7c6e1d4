package call

import (
	"time"
)

// A transfer without REFER takes two calls of one node: the one that is
// transferred, and one whose carrier is the target. That is placed for the
// purpose (Params.For), or is there already and has an agent of its own. Each
// is a machine of its own; what they tell each other are events. When both are
// ready, the one that is transferred has media join their carriers, and its
// agent leaves (docs/adr/0028).

// meetWait is how long the target's answered call may wait to be joined.
const meetWait = 5 * time.Second

// reachSlack is how much longer than its target may ring a transfer waits for
// what comes of that: control and the carrier take their time, too.
const reachSlack = 40 * time.Second

// coupled reports that the carrier has another carrier in place of an agent,
// or was called to have one.
func (c *Call) coupled() bool { return c.record.Joined != 0 || c.params.For != 0 }

// unreferred reports that the carrier has refused REFER, and that a call of
// ours is the other way. One that knows nothing of the dialog is asked no
// further, and one that took the REFER may be calling the target already.
func (c *Call) unreferred(ev Event) bool {
	t := c.live.wish
	if t == nil || t.Mode == TransferRefer || t.barred() != "" {
		return false
	}
	switch ev.Reason {
	case ReasonRefused:
		return ev.Status != 481
	case ReasonUnanswered, ReasonNoMethod:
		return true
	}
	return false
}

// reach goes about a transfer without the carrier.
func (c *Call) reach(now time.Time, ev Event) {
	t := c.live.wish
	if why := t.barred(); why != "" {
		c.settleTransfer(now, ev, TransferFailed, why)
		return
	}
	c.live.reaching = true
	wait := RingWait
	if t.RingTimeoutMs > 0 {
		wait = time.Duration(t.RingTimeoutMs) * time.Millisecond
	}
	c.do(Effect{Do: Arm, Timer: TimerTransfer, After: wait + reachSlack})
	if t.Other == 0 {
		c.do(Effect{Do: PlaceTarget, Transfer: t})
		return
	}
	ask := Event{Kind: JoinAsked, Other: c.params.ID}
	if t.By == ByAgent {
		ask.Agent = c.record.Agent
	}
	c.do(Effect{Do: TellOther, Other: t.Other, Event: ask})
}

// unreach lets go of a call that was placed for a transfer which has ended
// otherwise.
func (c *Call) unreach() {
	if !c.live.reaching {
		return
	}
	c.do(Effect{Do: Disarm, Timer: TimerTransfer})
	if other := c.record.Transfer.Call; other != 0 {
		c.do(Effect{Do: TellOther, Other: other, Event: Event{Kind: NotWanted, Other: c.params.ID}})
	}
}

// ofTwo takes news of another call.
func (c *Call) ofTwo(now time.Time, ev Event) {
	switch ev.Kind {
	case OtherFound:
		if c.moving() && !c.live.reaching && ev.Transfer != nil {
			c.live.wish = ev.Transfer
			c.do(Effect{Do: SendRefer, Transfer: ev.Transfer})
		}
	case TargetTold:
		c.targetTold(ev)
	case TargetReady:
		c.targetReady(now, ev)
	case TargetLost:
		c.targetLost(now, ev)
	case JoinAsked:
		c.joinAsked(ev)
	case Joined:
		c.joinedBy(ev)
	case NotWanted:
		c.notWanted(now, ev)
	}
}

// Awaits reports whether a transfer waits for that call. The first that is
// placed for it says who it is.
func (c *Call) Awaits(other ID) bool {
	return c.live != nil && c.moving() && c.live.reaching && (c.record.Transfer.Call == 0 || c.record.Transfer.Call == other)
}

// targetTold notes that the target's call is placed, and that it rings.
func (c *Call) targetTold(ev Event) {
	if !c.Awaits(ev.Other) {
		return
	}
	next := *c.record.Transfer
	next.Call = ev.Other
	if ev.Status != 0 {
		next.Status = ev.Status
	}
	c.record.Transfer, ev.Moved = &next, &next
	c.emit(EventTransferring, ev)
}

// targetReady joins the carriers. The agent hears of it first, for it is let go
// then. Should the target be gone by now, media says so as of any target that
// hangs up.
func (c *Call) targetReady(now time.Time, ev Event) {
	if !c.Awaits(ev.Other) || ev.Other == 0 {
		c.do(Effect{Do: TellOther, Other: ev.Other, Event: Event{Kind: NotWanted, Other: c.params.ID}})
		return
	}
	if ev.Answer == nil || !Joinable(ev.Answer.Codec, c.live.ours.Codec) {
		c.failTarget(now, Event{Status: 488, Reason: ReasonNoCodec})
		return
	}
	c.do(Effect{Do: Disarm, Timer: TimerTransfer})
	if c.state == StateHeld {
		c.do(Effect{Do: Disarm, Timer: TimerAgent})
		c.state = StateEstablished
	}
	next := *c.record.Transfer
	next.Call, next.Status = ev.Other, 200
	c.record.Transfer, c.record.Joined = &next, ev.Other
	c.settleTransfer(now, ev, TransferDone, "")
	c.dispatch++ // the agent's own news come too late
	c.do(Effect{Do: Couple, Other: ev.Other})
	c.do(Effect{Do: TellOther, Other: ev.Other, Event: Event{Kind: Joined, Other: c.params.ID}})
}

// targetLost ends a transfer that came to nothing: of a call of ours, or
// because nobody knows the other call.
func (c *Call) targetLost(now time.Time, ev Event) {
	if c.moving() && !c.live.reaching && c.live.wish.Other != 0 && ev.Other == c.live.wish.Other { // it was looked for
		c.settleTransfer(now, ev, TransferFailed, ev.Reason)
		return
	}
	if c.Awaits(ev.Other) {
		c.failTarget(now, ev)
	}
}

func (c *Call) failTarget(now time.Time, ev Event) {
	next := *c.record.Transfer
	if ev.Status != 0 {
		next.Status = ev.Status
	}
	c.record.Transfer = &next
	c.settleTransfer(now, ev, TransferFailed, ev.Reason)
}

// joinAsked says whether this call, which has an agent, can be joined with one
// that is transferred. An agent has its own calls joined only.
func (c *Call) joinAsked(ev Event) {
	told := Event{Kind: TargetReady, Other: c.params.ID, Answer: &c.live.ours}
	talks := c.state == StateEstablished || c.state == StateHeld
	switch {
	case !talks, c.coupled(), c.moving(), c.moved(), c.referring() != nil:
		told = Event{Kind: TargetLost, Other: c.params.ID, Reason: ReasonOtherCall}
	case ev.Agent != "" && ev.Agent != c.record.Agent:
		told = Event{Kind: TargetLost, Other: c.params.ID, Reason: ReasonNotAllowed}
	}
	c.do(Effect{Do: TellOther, Other: ev.Other, Event: told})
}

// joinedBy notes that the carrier has another carrier in place of an agent.
func (c *Call) joinedBy(ev Event) {
	if c.record.Joined != 0 {
		return
	}
	if c.state == StateHeld {
		c.do(Effect{Do: Disarm, Timer: TimerAgent})
		c.state = StateEstablished
	}
	if c.params.For != 0 {
		c.do(Effect{Do: Disarm, Timer: TimerTransfer})
	}
	c.record.Joined = ev.Other
	c.dispatch++
	c.emit(EventJoined, ev)
}

// notWanted ends a call that was placed for a transfer. One with an agent goes
// on with that.
func (c *Call) notWanted(now time.Time, ev Event) {
	switch {
	case c.params.For == 0 || c.params.For != ev.Other || c.record.Joined != 0:
	case c.record.Status == 200:
		c.hangUp(now, ev, ByNode, CauseNormal)
	default:
		c.giveUp(now, ev, ByNode, CauseCancelled)
	}
}

// tellRinging tells the call that is transferred that the target rings.
func (c *Call) tellRinging(ev Event) {
	if c.params.For != 0 {
		c.do(Effect{Do: TellOther, Other: c.params.For, Event: Event{Kind: TargetTold, Other: c.params.ID, Status: ev.Status}})
	}
}

// ready tells the call that is transferred that the target has answered.
func (c *Call) ready() {
	c.state = StateEstablished
	c.do(Effect{Do: Arm, Timer: TimerTransfer, After: meetWait})
	c.do(Effect{Do: TellOther, Other: c.params.For, Event: Event{Kind: TargetReady, Other: c.params.ID, Answer: &c.live.ours}})
}

// endTarget tells the call that is transferred that nothing comes of this one.
// Where both are joined, media does.
func (c *Call) endTarget() {
	if c.params.For == 0 || c.record.Joined != 0 {
		return
	}
	if !c.record.Stages.Answered.IsZero() {
		c.do(Effect{Do: Disarm, Timer: TimerTransfer})
	}
	told := Event{Kind: TargetLost, Other: c.params.ID, Status: c.record.Status}
	switch cause := c.record.Cause; {
	case cause == CauseCalledNoAnswer && c.record.EndedBy == ByNode:
		told.Status, told.Reason = 408, ReasonNoAnswer
	case c.record.EndedBy != ByCarrier, cause == CauseUnreachable:
		told.Reason = cause.Word
	}
	c.do(Effect{Do: TellOther, Other: c.params.For, Event: told})
}

// apart ends a call that was joined with another when either ends, and reports
// that it did. What ends only this one is told as of any call.
func (c *Call) apart(now time.Time, ev Event) bool {
	if c.record.Status != 200 {
		return false
	}
	switch ev.Kind {
	case CarrierBye:
		c.end(now, ev, ByCarrier, c.parted(carrierCause(ev.Cause, CauseNormal)))
		c.finish()
	case AgentLeft, AgentFailed: // the other carrier has gone
		cause := c.parted(ev.Cause)
		by := blame(cause)
		if cause == CauseTransferred || cause == CauseNormal {
			by = ByCarrier
		}
		c.hangUp(now, ev, by, cause)
	case TimerDue:
		if ev.Timer != TimerTransfer {
			return false
		}
		if c.record.Joined == 0 { // nobody came for it
			c.hangUp(now, ev, ByNode, CauseNormal)
		}
	default:
		return false
	}
	return true
}

// parted is why one of two joined calls ended. The one that was transferred
// ends for that.
func (c *Call) parted(told Cause) Cause {
	switch told.Word {
	case "", CauseNormal.Word, CauseTransferred.Word, CauseCarrier.Word:
		if c.moved() {
			return CauseTransferred
		}
		return CauseNormal
	}
	return told
}
