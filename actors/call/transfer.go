package call

import "time"

// How a call is transferred.
const (
	TransferAuto   = "auto"   // as "": by REFER, and by a call of ours where the carrier refuses that
	TransferRefer  = "refer"  // the carrier is asked to call the target (RFC 3515)
	TransferBridge = "bridge" // we call the target and join the two carriers
)

// A Transfer is what an agent or the control API asks of an answered call.
type Transfer struct {
	// To is a sip or sips URI, or a number, which is then one at the host that
	// the other side names itself by.
	To       string    `json:"to,omitempty"`
	Mode     string    `json:"mode,omitempty"`
	Replaces *DialogID `json:"replaces,omitempty"` // the target's dialog that the new call takes over (RFC 3891); nil: a blind transfer
	Other    ID        `json:"other,omitempty"`    // our call that Replaces is of
	Headers  []Header  `json:"headers,omitempty"`  // further header fields of the REFER, or of the INVITE of our call
	By       string    `json:"by"`                 // ByAgent or ByOperator

	// Of a call of ours to the target.
	Trunk         string `json:"trunk,omitempty"`           // id of the trunk that it goes through; "": the one that is set up for transfers
	From          string `json:"from,omitempty"`            // as whom; "": by the trunk's policy
	RingTimeoutMs int64  `json:"ring_timeout_ms,omitempty"` // longest wait for its answer; 0: RingWait
	// Barred is why there can be no such call, or the two calls not be joined; "":
	// nothing speaks against it.
	Barred string `json:"-"`
}

// barred is why a transfer needs REFER; "": it does not.
func (t *Transfer) barred() string {
	if t.Barred == "" && t.Other == 0 && t.Trunk == "" {
		return ReasonNoTrunk
	}
	return t.Barred
}

// RingWait is how long the target of a transfer may ring where nobody says.
const RingWait = time.Minute

// A DialogID names a dialog of ours as its other side knows it (RFC 3891 3).
type DialogID struct {
	CallID    string `json:"call_id"`
	OurTag    string `json:"our_tag"`
	TheirTag  string `json:"their_tag"`
	TheirSide string `json:"their_side"` // URI of its Contact
}

// A Transferred is what became of the last transfer that was asked of a call.
type Transferred struct {
	To     string    `json:"to"`
	Call   ID        `json:"to_call,omitempty"` // our other call, of an attended transfer
	State  string    `json:"state"`             // pending, done, failed
	Status int       `json:"status,omitempty"`  // the last SIP status told: of the REFER, then of the target
	Reason string    `json:"reason,omitempty"`  // of a failure that is not the target's
	By     string    `json:"by"`                // agent, operator
	At     time.Time `json:"at"`                // when it was asked
	Ended  time.Time `json:"ended,omitzero"`    // when its outcome was known
}

// States of a transfer.
const (
	TransferPending = "pending"
	TransferDone    = "done"
	TransferFailed  = "failed"
)

// Why a transfer failed, where the target has not said it by a status.
const (
	ReasonPending    = "transfer_pending" // another one is under way
	ReasonNotReady   = "not_established"  // the call has no ACK yet, or is over
	ReasonRefused    = "refer_refused"    // the carrier's status to the REFER
	ReasonUnanswered = "refer_unanswered" // nothing came back
	ReasonNoNotify   = "no_notify"        // taken, and then nothing more was heard
	ReasonNoResult   = "no_result"        // the carrier stopped telling before there was one
	ReasonCallEnded  = "call_ended"       // the call ended first
	ReasonBadTarget  = "bad_target"       // To cannot be written into a REFER, or not be called
	ReasonReplaced   = "call_moved"       // another dialog took the call over first
	ReasonNoMethod   = "not_supported"    // this side of the call cannot send REFER
	ReasonNoTrunk    = "no_trunk"         // of a call of ours: none is named, and none is set up
	ReasonNotAllowed = "not_allowed"      // the agent may not have this target called, or does not have the other call
	ReasonLimit      = "limit"            // account or trunk have as many calls as they may
	ReasonNoCodec    = "no_common_codec"  // the carriers of the two calls have no codec in common
	ReasonOtherNode  = "other_node"       // the calls are on two nodes: REFER alone can join them
	ReasonOtherCall  = "no_other_call"    // the call that is to be joined is over, not established, or joined already
	ReasonHops       = "too_many_hops"    // the call has gone through too many hops to go on (RFC 3261 21.4.21)
	ReasonAway       = "unavailable"      // nobody could be asked for the trunk, or the node takes no calls
)

// Names of the events about a transfer.
const (
	EventTransferring   = "call.transferring"    // asked of the carrier; again with each other status that it tells
	EventTransferred    = "call.transferred"     // done: the call ends
	EventTransferFailed = "call.transfer_failed" // the call goes on with its agent
	EventJoined         = "call.joined"          // the carrier of a call that was transferred is on the other side now
)

// LeaveWait is how long a carrier that has told of its success may take to end
// the call; then we do.
const LeaveWait = 2 * time.Second

// moving reports that a transfer has no outcome yet, and moved that the last
// one is done.
func (c *Call) moving() bool { t := c.record.Transfer; return t != nil && t.State == TransferPending }
func (c *Call) moved() bool  { t := c.record.Transfer; return t != nil && t.State == TransferDone }

// transfer begins one, or says why not.
func (c *Call) transfer(now time.Time, ev Event) {
	t := ev.Transfer
	why := ""
	switch {
	case t == nil:
		return
	case c.moving(), c.moved(), c.coupled(), c.referring() != nil:
		why = ReasonPending
	case c.state != StateEstablished && c.state != StateHeld:
		why = ReasonNotReady
	}
	if why != "" {
		ev.Moved = &Transferred{To: t.To, Call: t.Other, State: TransferFailed, Reason: why, By: t.By, At: now, Ended: now}
		c.emit(EventTransferFailed, ev)
		return
	}
	c.record.Transfer = &Transferred{To: t.To, Call: t.Other, State: TransferPending, By: t.By, At: now}
	c.live.wish, c.live.reaching = t, false
	ev.Moved = c.record.Transfer
	c.emit(EventTransferring, ev)
	switch {
	case t.Mode == TransferBridge:
		c.reach(now, ev)
	case t.Other != 0 && t.Replaces == nil:
		c.do(Effect{Do: FindOther, Transfer: t})
	default:
		c.do(Effect{Do: SendRefer, Transfer: t})
	}
}

// transferTold takes what the carrier says of the target it calls.
func (c *Call) transferTold(now time.Time, ev Event) {
	if !c.moving() || c.live.reaching {
		return
	}
	next := *c.record.Transfer // the one before may have been handed out
	next.Status = ev.Status
	c.record.Transfer = &next
	switch {
	case ev.Kind == ReferTold:
		ev.Moved = &next
		c.emit(EventTransferring, ev)
	case ev.Status/100 == 2:
		c.settleTransfer(now, ev, TransferDone, "")
		c.do(Effect{Do: Arm, Timer: TimerTransfer, After: LeaveWait})
	case c.unreferred(ev):
		ev.Moved = &next
		c.emit(EventTransferring, ev)
		c.reach(now, ev)
	default:
		c.settleTransfer(now, ev, TransferFailed, ev.Reason)
	}
}

// settleTransfer notes the outcome of the transfer under way, once.
func (c *Call) settleTransfer(now time.Time, ev Event, state, reason string) {
	if state == TransferFailed {
		c.unreach()
	}
	next := *c.record.Transfer
	next.State, next.Reason, next.Ended = state, reason, now
	c.live.wish, c.live.reaching = nil, false
	c.record.Transfer, ev.Moved = &next, &next
	if ev.Status = next.Status; state == TransferDone {
		c.emit(EventTransferred, ev)
		return
	}
	c.emit(EventTransferFailed, ev)
}

// transfers takes what is about a transfer, in any state, and reports that this
// was all there was to it.
func (c *Call) transfers(now time.Time, ev Event) bool {
	live := c.state != StateNew && c.state != StateEnding && c.state != StateEnded
	switch ev.Kind {
	case TransferAsked:
		if live {
			c.transfer(now, ev)
		}
		return true
	case ReferTold, ReferDone:
		if live {
			c.transferTold(now, ev)
		}
		return true
	case OtherFound, TargetTold, TargetReady, TargetLost, JoinAsked, Joined, NotWanted:
		if live {
			c.ofTwo(now, ev)
		}
		return true
	}
	return live && c.leaving(now, ev)
}

// leaving ends a call whose carrier has gone to somebody else, and reports that
// it did: whatever ends it then, that is why it ended.
func (c *Call) leaving(now time.Time, ev Event) bool {
	switch {
	case c.coupled():
		return c.apart(now, ev)
	case c.live.reaching && ev.Kind == TimerDue && ev.Timer == TimerTransfer:
		c.targetLost(now, Event{Other: c.record.Transfer.Call, Status: 408, Reason: ReasonNoAnswer})
		return true
	case !c.moved():
		return false
	}
	switch ev.Kind {
	case CarrierBye:
		c.end(now, ev, ByCarrier, CauseTransferred)
		c.finish()
	case AgentLeft, AgentFailed, Hangup, MediaTimeout, AckMissing, TimerDue, ChangeUnacked:
		c.hangUp(now, ev, c.record.Transfer.By, CauseTransferred)
	default:
		return false
	}
	return true
}

// byeCause is why a carrier hangs up. One that took a REFER, and has not told
// what became of it, has left for the target.
func (c *Call) byeCause(now time.Time, ev Event) Cause {
	if !c.moving() || c.live.reaching || c.record.Transfer.Status == 0 {
		return carrierCause(ev.Cause, CauseNormal)
	}
	c.settleTransfer(now, ev, TransferDone, "")
	return CauseTransferred
}

// endTransfer says that a call ends whose transfer has no outcome.
func (c *Call) endTransfer(now time.Time, ev Event) {
	if c.moving() {
		c.settleTransfer(now, ev, TransferFailed, ReasonCallEnded)
	}
	if c.moved() && !c.coupled() {
		c.do(Effect{Do: Disarm, Timer: TimerTransfer})
	}
}
