package call

import "time"

// A Ruling is what the owner of an endpoint decided about a call that waited
// for it: agents, or a refusal.
type Ruling struct {
	Agents       []Candidate // who may be asked, in this order; none: refused
	AgentTimeout time.Duration
	MaxDuration  time.Duration
	Status       int    // of a refusal
	Cause        Cause  // of a refusal
	By           string // of a refusal: ByOwner, or ByNode where the owner was not heard
}

// consult begins a call whose owner has yet to decide. It is ours from its
// 100 on, as any other; no port is taken and no agent asked before the ruling.
func (c *Call) consult(ev Event) {
	c.state = StateDeciding
	c.respond(Response{Status: 100})
	c.do(Effect{Do: Arm, Timer: TimerRuling, After: c.params.Consult})
	c.do(Effect{Do: AskRuling})
	c.emit(EventStarted, ev)
}

// fallBack asks the owner who answers, where none of the candidates that were
// known before took the call. It is asked once in a call.
func (c *Call) fallBack(ev Event, cause Cause) bool {
	within := c.params.Fallback
	if within <= 0 || !ofAgent(cause) {
		return false
	}
	c.params.Fallback = 0
	c.state, c.live.left = StateDeciding, cause
	ev.Agent, ev.Cause = c.candidate().ID, cause
	c.do(Effect{Do: Disarm, Timer: TimerAgent})
	c.emit(EventAgentFailed, ev)
	c.do(Effect{Do: Arm, Timer: TimerRuling, After: within})
	c.do(Effect{Do: AskRuling})
	return true
}

// deciding is a call that waits for its ruling. News of agents that were given
// up for it come too late.
func (c *Call) deciding(now time.Time, ev Event) {
	switch ev.Kind {
	case Ruled:
		if ev.Ruling != nil {
			c.ruled(now, ev)
		}
	case Cancelled, CarrierBye, Hangup:
		c.unanswered(now, ev)
	case TimerDue:
		if ev.Timer == TimerRuling {
			c.reject(now, ev, 504, ByOwner, CauseWebhookTimeout)
		}
	}
}

func (c *Call) ruled(now time.Time, ev Event) {
	r := ev.Ruling
	if len(r.Agents) == 0 {
		c.reject(now, ev, r.Status, r.By, r.Cause)
		return
	}
	c.state = StateTrying
	if c.rang {
		c.state = StateRinging
	}
	c.params.Fallback = 0
	c.record.Stages.Ruled = now
	c.params.Agents, c.params.AgentTimeout, c.params.MaxDuration = r.Agents, r.AgentTimeout, r.MaxDuration
	c.do(Effect{Do: Disarm, Timer: TimerRuling})
	c.search(now, c.live.left)
	c.emit(EventRuled, ev)
}

// unansweredTimer is the clock of a call that was not answered.
func (c *Call) unansweredTimer() Timer {
	if c.state == StateDeciding {
		return TimerRuling
	}
	return TimerAgent
}
