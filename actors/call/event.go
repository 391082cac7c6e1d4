package call

import (
	"net/netip"
	"time"
)

// An EventKind names something that happened to a call.
type EventKind string

// Events. The first group comes from the dialog of a carrier that calls, the
// second from that of one that we call, which says exactly one of
// CarrierAnswered and CarrierFailed, the third from either in an answered call;
// then come media and the agent, operators and the node itself.
const (
	Invited    EventKind = "invited"     // the INVITE was accepted and this node owns it
	Cancelled  EventKind = "cancelled"   // CANCEL before a final response
	Acked      EventKind = "acked"       // ACK for our 2xx
	AckMissing EventKind = "ack-missing" // 64*T1 passed without it
	CarrierBye EventKind = "carrier-bye"
	ByeDone    EventKind = "bye-done" // our BYE was answered, or timed out

	CarrierRings    EventKind = "carrier-rings"    // provisional response over 100 to our INVITE: Status; Answer where it has early media
	CarrierAnswered EventKind = "carrier-answered" // the first 2xx to our INVITE, which is acknowledged: Answer
	CarrierFailed   EventKind = "carrier-failed"   // our INVITE came to nothing: Status and Cause; 487 also where we gave it up

	CarrierOffered EventKind = "carrier-offered" // re-INVITE or UPDATE: Offer; without one the carrier wants ours
	CarrierSettled EventKind = "carrier-settled" // the ACK that answers such an offer of ours: Answer
	ChangeUnacked  EventKind = "change-unacked"  // 64*T1 passed without the ACK for our 2xx to a re-INVITE

	CarrierReplaces EventKind = "carrier-replaces" // an INVITE asks to carry the call from now on: Offer, nil if it has none; Mover

	CarrierRefers  EventKind = "carrier-refers"  // a REFER, which has no answer yet: Referral
	ReferralRuled  EventKind = "referral-ruled"  // what the policy says to it: Status of a refusal, and Reason; else the call to the target is ready
	TargetRings    EventKind = "target-rings"    // provisional response of the target: Status
	TargetAnswered EventKind = "target-answered" // its 2xx, which is acknowledged: Answer; Mover
	TargetFailed   EventKind = "target-failed"   // our INVITE to it came to nothing: Status

	Placed       EventKind = "placed"        // a call of ours begins here
	CarrierReady EventKind = "carrier-ready" // there is a port for the carrier that we call: Offer

	Ruled         EventKind = "ruled"           // the owner's webhook has decided: Ruling
	AgentChosen   EventKind = "agent-chosen"    // an agent took the offer, or may now dial in
	AgentJoined   EventKind = "agent-joined"    // both legs are up: Answer holds the codec
	AgentFailed   EventKind = "agent-failed"    // no agent, no codec, no ports: Status and Cause say which
	AgentLeft     EventKind = "agent-left"      // the agent hung up or its leg broke: Cause
	MediaTimeout  EventKind = "media-timeout"   // no first RTP, or silence: Cause
	FirstRTP      EventKind = "first-rtp"       // first audio from the carrier
	FirstAgentRTP EventKind = "first-agent-rtp" // first audio from the agent
	Digit         EventKind = "digit"           // RFC 4733 event, or tones, from the carrier

	DigitsAsked  EventKind = "digits-asked"  // keys for the carrier that its RTP has no telephone-event for: Keys, Info
	DigitsUnsent EventKind = "digits-unsent" // they did not leave, or the carrier has refused them: Keys from there on; Status, Reason

	TransferAsked EventKind = "transfer-asked" // by the control API or an agent's command: Transfer
	ReferTold     EventKind = "refer-told"     // the carrier took our REFER, or tells how its call goes: Status
	ReferDone     EventKind = "refer-done"     // it tells how that ended: Status; or nothing came of the REFER: Reason

	// Of two calls of a node that a transfer joins: Other says which the news are of.
	OtherFound  EventKind = "other-found"  // the other call of an attended transfer: Transfer has its dialog
	TargetTold  EventKind = "target-told"  // the call to the target is placed, or rings: Status
	TargetReady EventKind = "target-ready" // it can be joined: Answer has its codec
	TargetLost  EventKind = "target-lost"  // nothing came of it: Status, Reason
	JoinAsked   EventKind = "join-asked"   // a call that is transferred wants to be joined with this one; Agent, if an agent asks
	Joined      EventKind = "joined"       // it has been, by the other
	NotWanted   EventKind = "not-wanted"   // the call that this one was placed for needs it no more

	Hangup   EventKind = "hangup"    // by the control API, an agent's command, or drain: Cause
	TimerDue EventKind = "timer-due" // Timer says which
	NodeLost EventKind = "node-lost" // the node that carried the call died; see [Resume]
)

// An Event is something that happened to a call.
type Event struct {
	Kind   EventKind
	Cause  Cause
	Status int // SIP status of AgentFailed, of ByeDone, of what the carrier said to our INVITE
	// Answer is ours, of AgentJoined; of CarrierRings and CarrierAnswered it is
	// the carrier's to our offer: its address, and its number of the codec. So it
	// is of CarrierSettled, and of Acked where the INVITE had no SDP; nil there
	// says that the ACK has none that we can use.
	Answer *Answer
	// Offer is ours, of CarrierReady, and of AgentJoined where the INVITE had no
	// SDP; it is the carrier's, of CarrierOffered.
	Offer  *Offer
	Source netip.Addr // of CarrierOffered, CarrierSettled and Acked: the packet's
	Ruling *Ruling
	Agent  string // name or id of the worker that took the call
	// Dispatch is the number of the agent that this is news of; 0: of none, or
	// of whichever is asked.
	Dispatch int
	Timer    Timer
	Digit    string
	Keys     string        // of DigitsAsked and DigitsUnsent: keys, and w for a pause
	Info     bool          // of DigitsAsked: by INFO, whether the carrier says that it takes it or not
	Held     time.Duration // of Digit: how long the key was held
	Headers  []Header      // of Hangup: further header fields of the BYE; of AgentJoined: of the 200

	Transfer *Transfer    // of TransferAsked, OtherFound
	Reason   string       // of ReferDone, TargetLost and DigitsUnsent
	Other    ID           // of news of another call
	Moved    *Transferred // of the events that tell of a transfer: how it stands
	Referral *Referral    // of CarrierRefers
	Mover    *Moved       // of CarrierReplaces, TargetAnswered and call.moved: what carries the call from now on
}

// A Timer is one of a call's own clocks. SIP transactions keep theirs inside
// the dialog.
type Timer string

// Timers of a call.
const (
	TimerRuling   Timer = "ruling"   // longest wait for the owner's webhook
	TimerAgent    Timer = "agent"    // longest wait for an agent
	TimerDuration Timer = "duration" // longest call
	TimerTransfer Timer = "transfer" // longest wait for the BYE of a carrier that has left for somebody else
	TimerTarget   Timer = "target"   // longest wait for the target of a REFER of the carrier's
	TimerRing     Timer = "ring"     // longest wait for the answer of a carrier that we call
)

// anyway takes what is taken in any state, and reports that it was that.
func (c *Call) anyway(now time.Time, ev Event) bool {
	switch ev.Kind {
	case NodeLost:
		c.lost(now, ev)
	case DigitsAsked, DigitsUnsent:
		c.pressing(ev)
	default:
		return c.referrals(now, ev) || c.transfers(now, ev)
	}
	return true
}
