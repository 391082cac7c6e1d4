package call

import "time"

// What the carrier of a call that comes in hears before the answer
// (docs/adr/0027), as [Early.Mode].
const (
	EarlyRingback = "ringback" // a ringing tone of ours, since the first agent is asked
	EarlyAgent    = "agent"    // the agent, once it has joined; it says when the call is answered
)

// An Early is what a carrier hears before the answer. The zero value is nothing
// of ours: it gets 180.
type Early struct {
	Mode   string
	Limit  time.Duration // of EarlyAgent: longest time from the first early audio to the answer
	Reject bool          // and what then: the call is refused, not answered
}

// StateEarly is a call whose agent is heard, and which is not answered yet.
const StateEarly State = "early"

// EventEarly says that the carrier hears something before the answer: the agent
// of the event, or ringing.
const EventEarly = "call.early_media"

// Events of early media.
const (
	EarlyReady  EventKind = "early-ready"  // there is a port that can ring: Answer; Offer, where the INVITE had no SDP
	Unconfirmed EventKind = "unconfirmed"  // our 183 with SDP waits for its PRACK: no 2xx before (RFC 3262 3)
	Confirmed   EventKind = "confirmed"    // its PRACK: Answer, where that 183 had an offer of ours
	AnswerAsked EventKind = "answer-asked" // the agent that is heard early has the call answered: Headers
)

// An earliness is how far a call is whose carrier hears something before the
// answer.
type earliness struct {
	unconfirmed bool      // no 2xx may leave
	settled     bool      // SDP has been agreed on since, or with the 183: the 200 needs none
	until       time.Time // of EarlyAgent: the answer, or the end
	joined      *Event    // the agent that is heard
	wanted      *Event    // the answer that waits for the PRACK
}

// CauseRejected is an agent that refuses a call with a status of its own.
func CauseRejected(status int) Cause {
	return Cause{CauseOfStatus(status).Q850, CauseAgentRejected.Word}
}

// isEarly reports that the carrier has our SDP and no answer.
func (c *Call) isEarly() bool { return !c.record.Stages.EarlyMedia.IsZero() }

// beforeAnswer takes what concerns only early media, and reports whether ev did.
func (c *Call) beforeAnswer(now time.Time, ev Event) bool {
	switch ev.Kind {
	case EarlyReady:
		c.ringsBack(now, ev)
	case Unconfirmed:
		c.live.early.unconfirmed = true
	case Confirmed:
		c.confirmed(now, ev)
	case CarrierOffered:
		c.offeredEarly(now, ev)
	case AnswerAsked:
		if c.state == StateEarly {
			c.answerEarly(now, ev.Headers)
		}
	case Digit, SignalledDigit:
		if c.isEarly() {
			c.digit(now, ev)
		}
	default:
		return false
	}
	return true
}

// arrives is an agent that has joined: the call is answered, unless the agent
// is to be heard before.
func (c *Call) arrives(now time.Time, ev Event) {
	switch {
	case c.params.Early.Mode == EarlyAgent && c.canHear(ev):
		c.speaksEarly(now, ev)
	default:
		c.answerWith(now, ev)
	}
}

// canHear reports whether anything of an agent would reach the carrier before
// the answer. Who made no offer can be made one by a reliable response only
// (RFC 3262 5); who takes no audio hears nothing.
func (c *Call) canHear(ev Event) bool {
	if c.isEarly() {
		return true
	}
	if ev.Offer != nil {
		return c.params.Invitation.Reliable
	}
	return ev.Answer.Direction != RecvOnly && ev.Answer.Direction != Inactive
}

// speaksEarly lets the agent be heard. The carrier gets one 183, however many
// agents come after the first.
func (c *Call) speaksEarly(now time.Time, ev Event) {
	c.state = StateEarly
	if ev.Agent != "" {
		c.record.Worker = ev.Agent
	}
	first := !c.isEarly()
	if first {
		c.live.early.until = now.Add(c.params.Early.Limit)
		c.describeEarly(now, ev)
	}
	c.live.early.joined = &ev
	c.do(Effect{Do: Arm, Timer: TimerAgent, After: max(c.live.early.until.Sub(now), 0)})
	c.emit(EventEarly, ev)
	if first {
		c.hold(now, ev, c.live.ours.Direction)
	}
}

// ringsBack lets the carrier hear ringing of ours.
func (c *Call) ringsBack(now time.Time, ev Event) {
	if c.params.Early.Mode != EarlyRingback || ev.Answer == nil || c.isEarly() || c.state == StateDeciding {
		return
	}
	c.describeEarly(now, ev)
	c.emit(EventEarly, ev)
}

// describeEarly sends 183 with our side of the call, which the 200 repeats.
func (c *Call) describeEarly(now time.Time, ev Event) {
	r := c.accept(ev)
	r.Status, r.Headers = 183, nil
	c.live.early.settled = ev.Offer != nil
	c.record.Stages.EarlyMedia = now
	c.record.Codec = ev.Answer.Codec.Name
	c.respond(r)
}

// acceptEarly is the 200 of a call whose 183 had SDP: it has the same, or none
// where more has been agreed on since (RFC 3261 13.2.1, RFC 6337 3.1).
func (c *Call) acceptEarly(headers []Header) Response {
	r := Response{Status: 200, Headers: headers}
	if !c.live.early.settled {
		ours := c.live.ours
		r.Answer = &ours
	}
	return r
}

// answerEarly answers for the agent that is heard, with the header fields that
// it joined with and further ones.
func (c *Call) answerEarly(now time.Time, more []Header) {
	ev := *c.live.early.joined
	ev.Headers = append(append([]Header(nil), ev.Headers...), more...)
	c.answerWith(now, ev)
}

// answerWith answers now, or when the 183 with SDP is confirmed. The dialog
// gives up one that never is, so nothing else limits that wait.
func (c *Call) answerWith(now time.Time, ev Event) {
	e := &c.live.early
	switch {
	case !e.unconfirmed:
		c.answer(now, ev)
	case e.wanted == nil:
		waits := ev // a call that is answered at once keeps no event
		e.wanted = &waits
		c.do(Effect{Do: Disarm, Timer: TimerAgent})
	}
}

// confirmed is the PRACK of our SDP. Where that was an offer and the PRACK has
// no answer to it, there is nobody to talk to.
func (c *Call) confirmed(now time.Time, ev Event) {
	e := &c.live.early
	e.unconfirmed = false
	if c.live.owed {
		c.live.owed = false
		if ev.Answer == nil {
			c.reject(now, ev, 488, ByCarrier, CauseBadAnswer)
			return
		}
		c.settle(now, ev)
	}
	if w := e.wanted; w != nil {
		e.wanted = nil
		c.answer(now, *w)
	}
}

// offeredEarly is a change before the answer, in a PRACK or an UPDATE (RFC 3262
// 5, RFC 3311 5.1).
func (c *Call) offeredEarly(now time.Time, ev Event) {
	if !c.isEarly() || ev.Offer == nil {
		c.do(Effect{Do: AnswerOffer, Response: Response{Status: 488, Cause: CauseBadOffer}})
		return
	}
	c.offered(now, ev)
}

// tooLongEarly ends the wait of a call for its agent: to join, or to say what
// becomes of it.
func (c *Call) tooLongEarly(now time.Time, ev Event) {
	switch {
	case ev.Timer != TimerAgent, c.live.early.wanted != nil:
	case c.state != StateEarly:
		if !c.fallBack(ev, CauseNoAgent) {
			c.reject(now, ev, 480, ByNode, CauseNoAgent)
		}
	case c.params.Early.Reject:
		c.reject(now, ev, 480, ByNode, CauseEarlyLimit)
	default:
		c.answerEarly(now, nil)
	}
}

// leftEarly is a call that has lost an agent which had joined. There is as much
// time for another as there was for the first.
func (c *Call) leftEarly(now time.Time) {
	if c.state != StateEarly && c.live.early.wanted == nil {
		return
	}
	c.state = StateRinging
	c.live.early.joined, c.live.early.wanted = nil, nil
	c.deadline = now.Add(c.params.AgentTimeout)
	c.do(Effect{Do: Arm, Timer: TimerAgent, After: c.params.AgentTimeout})
}
