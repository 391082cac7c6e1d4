package call

import "time"

// Params are what a call knows at its start and never changes.
type Params struct {
	ID           ID
	Tenant       string
	Endpoint     string      // Key, never the slug
	Agents       []Candidate // who may be asked, in this order
	Node         string
	DecisionID   string
	Invitation   Invitation
	Consult      time.Duration // longest wait for the owner's ruling; 0: the candidates are known
	Fallback     time.Duration // likewise, where none of the known candidates takes the call; 0: the owner is not asked then
	Refers       bool          // a REFER of the carrier's is asked about; else it is 603
	AgentTimeout time.Duration // longest wait for AgentJoined; then 480
	MaxDuration  time.Duration // longest call from the answer; 0: no limit
	Early        Early         // of a call that comes in: what its carrier hears before the answer

	// Of a call that we place.
	Outbound    bool
	Trunk       string        // id
	RingTimeout time.Duration // longest wait for the carrier's answer
	EarlyMedia  bool          // the agent is asked at the first SDP, not at the answer
	For         ID            // call that is transferred to this one; there is no agent. 0: none
}

// A State is where a call stands.
type State string

// States, in the order a successful call passes them.
const (
	StateNew         State = "new"
	StateDeciding    State = "deciding"    // ours since 100; the owner's webhook is asked
	StateTrying      State = "trying"      // ours since 100; looking for an agent
	StateCalling     State = "calling"     // we called; nobody rings yet
	StateRinging     State = "ringing"     // an agent is chosen and joins
	StateAnswered    State = "answered"    // 200 sent, ACK not yet seen
	StateEstablished State = "established" // acknowledged
	StateHeld        State = "held"        // answered; its agent has left, another is looked for
	StateEnding      State = "ending"      // our BYE is on its way
	StateEnded       State = "ended"
)

// Names of the events that a call emits to its agent and to the event stream.
const (
	EventStarted  = "call.started"
	EventRuled    = "call.ruled" // the owner's webhook named an agent
	EventRinging  = "call.ringing"
	EventAnswered = "call.answered"
	EventDigit    = "dtmf"
	EventEnded    = "call.ended"

	EventDigitsFailed = "call.dtmf_failed" // keys that the agent pressed did not reach the carrier

	EventHeld    = "call.held"    // the carrier put the call on hold: it takes no audio
	EventResumed = "call.resumed" // and takes it again

	EventAgentFailed = "agent.failed" // an agent did not take the call; the next, or the owner, is asked
	EventAgentLeft   = "agent.left"   // an answered call has lost its agent and looks for another
	EventAgentJoined = "agent.joined" // and has found one
)

// Who ended a call, as a [Record] says it.
const (
	ByCarrier  = "carrier"
	ByAgent    = "agent"
	ByOperator = "operator"
	ByNode     = "node"
	ByOwner    = "owner" // by the owner's webhook
)

// A Call is the state of one call. Make it with [New].
type Call struct {
	params  Params
	state   State
	record  Record
	effects []Effect

	agent    int       // candidate that is asked, or was last
	dispatch int       // agents asked so far
	epoch    uint64    // see [Dispatch]
	deadline time.Time // of the search for an agent
	unopened bool      // there is no bridge yet
	rang     bool      // the carrier has its 180; of a call of ours, we have its
	invited  bool      // of a call of ours: its INVITE is on its way
	asked    bool      // of a call of ours: an agent is

	live *live // nil: the call is over
}

// New returns a call that waits for [Invited].
func New(p Params) *Call {
	inv := p.Invitation
	c := &Call{params: p, state: StateNew, live: &live{}, effects: make([]Effect, 0, mostEffects), record: Record{
		ID: p.ID, Tenant: p.Tenant, Endpoint: p.Endpoint, Node: p.Node, DecisionID: p.DecisionID, SIPCallID: inv.Key.CallID,
		From: inv.From, To: inv.To, Transport: inv.Transport, Source: inv.Source,
	}}
	c.record.Agent = c.candidate().ID
	if p.Outbound {
		c.record.Direction, c.record.Trunk = Outbound, p.Trunk
	}
	return c
}

// mostEffects is how many effects the richest step has.
const mostEffects = 12

// State returns where the call stands.
func (c *Call) State() State { return c.state }

// Over reports that the call has ended and its record was handed out.
func (c *Call) Over() bool { return c.state == StateEnded }

// Record returns what is known of the call so far.
func (c *Call) Record() Record { return c.record }

// Step moves the call on and returns what to do about it, in the order it must
// happen. An event that makes no sense in the present state changes nothing:
// networks repeat themselves, and legs end at the same time. The result is
// valid until the next Step.
//
// Whatever the events and their order, a call gives at most one final
// response, opens and closes its bridge at most once, asks agents only between
// the two, never answers after CANCEL, and finishes once; after Finish it has
// no effects. One that we place sends at most one INVITE, and at most one BYE
// or CANCEL, which are one effect.
func (c *Call) Step(now time.Time, ev Event) []Effect {
	c.effects = c.effects[:0]
	switch ev.Kind {
	case FirstRTP, FirstAgentRTP:
		c.audio(now, ev)
		return nil
	}
	if c.stale(ev) {
		return nil
	}
	if c.anyway(now, ev) {
		return c.handOut()
	}
	switch c.state {
	case StateNew:
		c.begin(now, ev)
	case StateDeciding, StateTrying, StateCalling, StateRinging, StateEarly:
		c.early(now, ev)
	case StateAnswered, StateEstablished:
		c.talking(now, ev)
	case StateHeld:
		c.held(now, ev)
	case StateEnding:
		c.ending(ev)
	case StateEnded:
	}
	return c.handOut()
}

// ending is a call that waits for the carrier's last word.
func (c *Call) ending(ev Event) {
	switch ev.Kind {
	case ByeDone, CarrierBye:
		c.finish()
	case CarrierFailed:
		if c.params.Outbound && c.record.Status != 200 {
			c.record.Status = ev.Status
			c.finish()
		}
	}
}

// handOut returns the effects of a step.
func (c *Call) handOut() []Effect {
	effects := c.effects
	if c.state == StateEnded { // no more will come
		c.effects = nil
	}
	return effects
}

// audio keeps when each side was first heard.
func (c *Call) audio(now time.Time, ev Event) {
	first := &c.record.Stages.FirstRTP
	if ev.Kind == FirstAgentRTP {
		first = &c.record.Stages.FirstAgentRTP
	}
	live := c.state != StateNew && c.state != StateEnding && c.state != StateEnded
	if live && first.IsZero() {
		*first = now
	}
}

func (c *Call) begin(now time.Time, ev Event) {
	if ev.Kind == Placed && c.params.Outbound {
		c.place(now, ev)
	}
	if ev.Kind != Invited || c.params.Outbound {
		return
	}
	c.record.Stages.Invited = now
	c.unopened = true
	if c.params.Consult > 0 {
		c.consult(ev)
		return
	}
	c.state = StateTrying
	c.respond(Response{Status: 100})
	c.search(now, Cause{})
	c.emit(EventStarted, ev)
}

// early is a call between its 100 and its final response.
func (c *Call) early(now time.Time, ev Event) {
	switch {
	case c.params.Outbound:
		c.calling(now, ev)
	case c.beforeAnswer(now, ev):
	case c.state == StateDeciding:
		c.deciding(now, ev)
	default:
		c.unanswered(now, ev)
	}
}

// talking is a call after its answer.
func (c *Call) talking(now time.Time, ev Event) {
	if c.params.Outbound && c.state == StateAnswered {
		c.waiting(now, ev)
		return
	}
	c.answered(now, ev)
}

// unanswered is a call that looks for its first agent.
func (c *Call) unanswered(now time.Time, ev Event) {
	switch ev.Kind {
	case AgentChosen:
		c.ring(now, ev)
	case AgentJoined:
		if ev.Answer != nil {
			c.arrives(now, ev)
		}
	case Cancelled, CarrierBye: // BYE in an early dialog: RFC 3261 15
		c.reject(now, ev, 487, ByCarrier, carrierCause(ev.Cause, CauseCancelled))
	case AgentFailed, AgentLeft:
		cause := orElse(ev.Cause, CauseAgentFailed)
		c.leftEarly(now)
		if c.another(now, ev, cause) || c.fallBack(ev, cause) {
			return
		}
		c.reject(now, ev, ev.Status, blame(cause), cause)
	case Hangup:
		cause := orElse(ev.Cause, CauseOperator)
		c.reject(now, ev, ev.Status, blame(cause), cause)
	case TimerDue:
		c.tooLongEarly(now, ev)
	}
}

// answered is a call after its 200, acknowledged or not.
func (c *Call) answered(now time.Time, ev Event) {
	switch ev.Kind {
	case Acked:
		c.acked(now, ev)
	case CarrierOffered, CarrierSettled, ChangeUnacked:
		c.changed(now, ev)
	case CarrierBye:
		c.end(now, ev, ByCarrier, c.byeCause(now, ev))
		c.finish()
	case AckMissing:
		if c.record.Stages.Acked.IsZero() || c.live.unacked {
			c.hangUp(now, ev, ByNode, CauseNoAck)
		}
	case AgentLeft, AgentFailed, Hangup:
		c.stopped(now, ev)
	case MediaTimeout:
		if !c.OnHold() { // else it crossed the hold
			c.hangUp(now, ev, ByNode, orElse(ev.Cause, CauseRTPTimeout))
		}
	case TimerDue:
		c.timerDue(now, ev)
	case Digit, SignalledDigit:
		c.digit(now, ev)
	}
}

func (c *Call) timerDue(now time.Time, ev Event) {
	if ev.Timer == TimerDuration {
		c.hangUp(now, ev, ByNode, CauseMaxDuration)
	}
}

// ring tells the carrier that somebody is there. Another worker that takes the
// call over later is noted, but the carrier hears 180 once.
func (c *Call) ring(now time.Time, ev Event) {
	if ev.Agent != "" {
		c.record.Worker = ev.Agent
	}
	if c.rang {
		return
	}
	c.rang = true
	if c.state != StateEarly {
		c.state = StateRinging
	}
	c.record.Stages.AgentChosen = now
	if !c.isEarly() { // else it hears ringing
		c.respond(Response{Status: 180})
	}
	c.emit(EventRinging, ev)
}

func (c *Call) answer(now time.Time, ev Event) {
	c.state = StateAnswered
	c.record.Status = 200
	c.record.Codec = ev.Answer.Codec.Name
	c.record.Stages.Answered = now
	if ev.Agent != "" {
		c.record.Worker = ev.Agent
	}
	c.do(Effect{Do: Disarm, Timer: TimerAgent})
	c.respond(c.accept(ev))
	if c.params.MaxDuration > 0 {
		c.do(Effect{Do: Arm, Timer: TimerDuration, After: c.params.MaxDuration})
	}
	c.emit(EventAnswered, ev)
	c.hold(now, ev, c.live.ours.Direction)
}

// reject ends a call that was not answered. Status 0 lets the cause say it.
func (c *Call) reject(now time.Time, ev Event, status int, by string, cause Cause) {
	if status < 400 || status > 699 {
		status = statusOf(cause)
	}
	c.record.Status = status
	c.do(Effect{Do: Disarm, Timer: c.unansweredTimer()})
	r := Response{Status: status, Cause: cause}
	if status == 503 {
		r.RetryAfter = c.retryAfter()
	}
	c.respond(r)
	c.end(now, ev, by, cause)
	c.finish()
}

// hangUp ends an answered call from our side: the record waits for the BYE.
func (c *Call) hangUp(now time.Time, ev Event, by string, cause Cause) {
	if c.alone() { // there is nobody to send a BYE to
		c.end(now, ev, by, cause)
		c.finish()
		return
	}
	c.do(Effect{Do: SendBye, Cause: cause, Headers: ev.Headers})
	c.end(now, ev, by, cause)
	c.state = StateEnding
}

// end notes why and when, tells the agent while it is still there, and lets
// the media go.
func (c *Call) end(now time.Time, ev Event, by string, cause Cause) {
	if c.record.Status == 200 && c.params.MaxDuration > 0 {
		c.do(Effect{Do: Disarm, Timer: TimerDuration})
	}
	if c.state == StateHeld {
		c.do(Effect{Do: Disarm, Timer: TimerAgent})
	}
	if c.params.Outbound && c.state != StateHeld {
		c.endOutbound()
	}
	c.endTransfer(now, ev)
	c.endReferral(now)
	c.record.Cause, c.record.EndedBy = cause, by
	c.record.Stages.Ended = now
	c.endTarget()
	c.release(now)
	ev.Cause, ev.Status = cause, c.record.Status
	c.emit(EventEnded, ev)
	if !c.unopened {
		c.do(Effect{Do: CloseBridge, Cause: cause})
	}
}

func (c *Call) finish() {
	c.state = StateEnded
	c.params.Invitation = Invitation{}
	c.live = nil
	rec := c.record
	c.do(Effect{Do: Finish, Record: &rec})
}

func (c *Call) do(e Effect)            { c.effects = append(c.effects, e) }
func (c *Call) respond(r Response)     { c.do(Effect{Do: Respond, Response: r}) }
func (c *Call) emit(n string, e Event) { c.do(Effect{Do: Emit, Name: n, Event: e}) }
