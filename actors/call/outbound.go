package call

import "time"

// A call that we place is another machine on the same parts: the carrier's leg
// comes first, and the agent is asked when the carrier has answered, with the
// codec that the carrier chose (docs/adr/0024). With EarlyMedia it is asked at
// the first response that has SDP.

// Outbound is the direction of a call that we place.
const Outbound = "outbound"

// place begins a call that we place: a port first, for the offer names it.
func (c *Call) place(now time.Time, ev Event) {
	c.state = StateCalling
	c.record.Stages.Invited = now
	c.do(Effect{Do: Arm, Timer: TimerRing, After: c.params.RingTimeout})
	c.do(Effect{Do: OpenCarrier})
	c.emit(EventStarted, ev)
}

// calling is a call that the carrier has not answered.
func (c *Call) calling(now time.Time, ev Event) {
	switch ev.Kind {
	case CarrierReady:
		if ev.Offer != nil && !c.invited {
			c.invited, c.live.offer = true, ev.Offer
			c.do(Effect{Do: SendInvite, Offer: ev.Offer})
		}
	case CarrierRings, CarrierAnswered, CarrierFailed:
		if c.invited {
			c.carrierSays(now, ev)
		}
	case Hangup:
		cause := orElse(ev.Cause, CauseOperator)
		c.giveUp(now, ev, blame(cause), cause)
	case AgentChosen, AgentJoined:
		c.joinsEarly(now, ev)
	case AgentFailed, AgentLeft:
		c.losesEarly(now, ev)
	case TimerDue:
		c.tooLong(now, ev)
	case Digit:
		c.emit(EventDigit, ev)
	}
}

func (c *Call) carrierSays(now time.Time, ev Event) {
	switch ev.Kind {
	case CarrierRings:
		c.rings(now, ev)
	case CarrierAnswered:
		c.pickedUp(now, ev)
	default:
		c.failed(now, ev)
	}
}

// tooLong ends a call that nobody answers, or that finds no agent.
func (c *Call) tooLong(now time.Time, ev Event) {
	switch {
	case ev.Timer == TimerRing:
		c.giveUp(now, ev, ByNode, CauseCalledNoAnswer)
	case ev.Timer == TimerAgent && c.asked && c.record.Stages.AgentJoined.IsZero():
		c.giveUp(now, ev, ByNode, CauseNoAgent)
	}
}

// rings notes that somebody is being called. Early media brings the agent in
// where the call is for that.
func (c *Call) rings(now time.Time, ev Event) {
	if !c.rang {
		c.rang = true
		c.state = StateRinging
		c.record.Stages.Ringing = now
		c.emit(EventRinging, ev)
		c.tellRinging(ev)
	}
	if c.params.EarlyMedia && ev.Answer != nil && !c.asked {
		c.do(Effect{Do: TakeAnswer, Answer: ev.Answer})
		c.askFirst(now, ev.Answer, Cause{})
	}
}

// askFirst looks for an agent for the codec that the carrier has chosen.
func (c *Call) askFirst(now time.Time, answer *Answer, cause Cause) {
	c.asked = true
	c.record.Codec = answer.Codec.Name
	c.record.Stages.AgentJoined = time.Time{}
	c.search(now, cause)
}

func (c *Call) joinsEarly(now time.Time, ev Event) {
	switch {
	case !c.asked:
	case ev.Kind == AgentChosen:
		c.chosen(now, ev)
	default:
		c.joined(now, ev)
	}
}

// losesEarly asks the next agent where the one for early media has failed, or
// has left. Before any is asked, it was the port that failed.
func (c *Call) losesEarly(now time.Time, ev Event) {
	cause := orElse(ev.Cause, CauseAgentFailed)
	if c.asked && !c.record.Stages.AgentJoined.IsZero() {
		c.record.Stages.AgentJoined = time.Time{}
		c.deadline = now.Add(c.params.AgentTimeout)
		c.do(Effect{Do: Arm, Timer: TimerAgent, After: c.params.AgentTimeout})
	}
	if !c.asked || !c.another(now, ev, cause) {
		c.giveUp(now, ev, blame(cause), cause)
	}
}

// chosen notes who takes the call.
func (c *Call) chosen(now time.Time, ev Event) {
	if ev.Agent != "" {
		c.record.Worker = ev.Agent
	}
	if c.record.Stages.AgentChosen.IsZero() {
		c.record.Stages.AgentChosen = now
	}
}

// joined notes that the first agent is there.
func (c *Call) joined(now time.Time, ev Event) {
	c.chosen(now, ev)
	c.record.Stages.AgentJoined = now
	c.do(Effect{Do: Disarm, Timer: TimerAgent})
	ev.Agent = c.record.Agent
	c.emit(EventAgentJoined, ev)
}

// pickedUp is the carrier's answer, which its dialog has acknowledged. An agent
// that joined for early media stays if the answer has its codec.
func (c *Call) pickedUp(now time.Time, ev Event) {
	if ev.Answer == nil { // a dialog does not say so: without SDP there is no call
		c.giveUp(now, ev, ByCarrier, CauseBadAnswer)
		return
	}
	same := c.asked && c.record.Codec == ev.Answer.Codec.Name
	c.record.Status = 200
	c.record.Codec = ev.Answer.Codec.Name
	c.record.Stages.Answered, c.record.Stages.Acked = now, now
	c.do(Effect{Do: Disarm, Timer: TimerRing})
	c.do(Effect{Do: TakeAnswer, Answer: ev.Answer})
	if c.params.MaxDuration > 0 {
		c.do(Effect{Do: Arm, Timer: TimerDuration, After: c.params.MaxDuration})
	}
	c.state = StateAnswered
	if same && !c.record.Stages.AgentJoined.IsZero() {
		c.state = StateEstablished
	}
	c.emit(EventAnswered, ev)
	c.hold(now, ev, c.called(ev.Answer))
	switch {
	case c.params.For != 0:
		c.ready()
	case !c.asked:
		c.askFirst(now, ev.Answer, Cause{})
	case !same:
		c.askFirst(now, ev.Answer, CauseNoCodec)
	}
}

// waiting is a call that the carrier has answered and no agent has joined yet.
func (c *Call) waiting(now time.Time, ev Event) {
	switch ev.Kind {
	case AgentChosen:
		c.chosen(now, ev)
	case AgentJoined:
		c.state = StateEstablished
		c.joined(now, ev)
	case AgentFailed, AgentLeft:
		if cause := orElse(ev.Cause, CauseAgentFailed); !c.another(now, ev, cause) {
			c.hangUp(now, ev, blame(cause), cause)
		}
	case TimerDue:
		if ev.Timer == TimerAgent {
			c.hangUp(now, ev, ByNode, CauseNoAgent)
			return
		}
		c.answered(now, ev)
	default:
		c.answered(now, ev)
	}
}

// failed ends a call that came to nothing, for the carrier's reason.
func (c *Call) failed(now time.Time, ev Event) {
	c.record.Status = ev.Status
	by := ByCarrier
	if ev.Status == 0 {
		by = ByNode
	}
	c.end(now, ev, by, orElse(ev.Cause, CauseOfStatus(ev.Status)))
	c.finish()
}

// giveUp ends a call from our side that the carrier has not answered. The
// record waits for the carrier's last word, where it has heard of the call.
func (c *Call) giveUp(now time.Time, ev Event, by string, cause Cause) {
	if !c.invited {
		c.end(now, ev, by, cause)
		c.finish()
		return
	}
	c.do(Effect{Do: SendBye, Cause: cause})
	c.record.Status = 487 // unless the carrier has another word for it
	c.end(now, ev, by, cause)
	c.state = StateEnding
}

// endOutbound lets go of what an unanswered call of ours has.
func (c *Call) endOutbound() {
	if c.record.Stages.Answered.IsZero() {
		c.do(Effect{Do: Disarm, Timer: TimerRing})
	}
	if c.asked && c.record.Stages.AgentJoined.IsZero() {
		c.do(Effect{Do: Disarm, Timer: TimerAgent})
	}
}
