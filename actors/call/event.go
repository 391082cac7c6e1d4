package call

import "time"

// An EventKind names something that happened to a call.
type EventKind string

// Events. The first group comes from the carrier's dialog, the second from
// media and the agent, the third from operators and the node itself.
const (
	Invited    EventKind = "invited"     // the INVITE was accepted and this node owns it
	Cancelled  EventKind = "cancelled"   // CANCEL before a final response
	Acked      EventKind = "acked"       // ACK for our 2xx
	AckMissing EventKind = "ack-missing" // 64*T1 passed without it
	CarrierBye EventKind = "carrier-bye"
	ByeDone    EventKind = "bye-done" // our BYE was answered, or timed out

	Ruled         EventKind = "ruled"           // the owner's webhook has decided: Ruling
	AgentChosen   EventKind = "agent-chosen"    // an agent took the offer, or may now dial in
	AgentJoined   EventKind = "agent-joined"    // both legs are up: Answer holds the codec
	AgentFailed   EventKind = "agent-failed"    // no agent, no codec, no ports: Status and Cause say which
	AgentLeft     EventKind = "agent-left"      // the agent hung up or its leg broke: Cause
	MediaTimeout  EventKind = "media-timeout"   // no first RTP, or silence: Cause
	FirstRTP      EventKind = "first-rtp"       // first audio from the carrier
	FirstAgentRTP EventKind = "first-agent-rtp" // first audio from the agent
	Digit         EventKind = "digit"           // RFC 4733 event from the carrier

	Hangup   EventKind = "hangup"    // by the control API, an agent's command, or drain: Cause
	TimerDue EventKind = "timer-due" // Timer says which
	NodeLost EventKind = "node-lost" // the node that carried the call died; see [Resume]
)

// An Event is something that happened to a call.
type Event struct {
	Kind   EventKind
	Cause  Cause
	Status int // SIP status of AgentFailed, of ByeDone
	Answer *Answer
	Ruling *Ruling
	Agent  string // name or id of the worker that took the call
	// Dispatch is the number of the agent that this is news of; 0: of none, or
	// of whichever is asked.
	Dispatch int
	Timer    Timer
	Digit    string
	Held     time.Duration // of Digit: how long the key was held
}

// A Timer is one of a call's own clocks. SIP transactions keep theirs inside
// the dialog.
type Timer string

// Timers of a call.
const (
	TimerRuling   Timer = "ruling"   // longest wait for the owner's webhook
	TimerAgent    Timer = "agent"    // longest wait for an agent
	TimerDuration Timer = "duration" // longest call
)
