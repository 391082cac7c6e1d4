package call

import "time"

// MaxResumes is how often an answered call may lose its agent and get another.
const MaxResumes = 3

// What becomes of an answered call whose agent leaves or breaks. A hangup that
// the agent asks for always ends the call.
const (
	OnCloseHangup   = "hangup"   // BYE; the same as ""
	OnCloseFallback = "fallback" // the next candidate takes over
	OnCloseHold     = "hold"     // a new session of the same agent takes over, else the next candidate
)

// A Candidate is an agent that may be asked to take the call.
type Candidate struct {
	ID      string
	OnClose string
}

// A Dispatch is one agent that is asked.
type Dispatch struct {
	Number  int           // counts those asked for this call, from 1
	Agent   int           // which candidate
	Within  time.Duration // longest wait for it to join
	Patient bool          // nobody is asked after it
	Epoch   uint64        // 1 until the answer; then one more for each agent that takes over
	Cause   Cause         // why the agent before it is let go
}

// Resumes reports that the agent takes over an answered call.
func (d Dispatch) Resumes() bool { return d.Epoch > 1 }

// search begins to look for an agent, the first candidate first. cause is why
// the one before is let go, where there was one.
func (c *Call) search(now time.Time, cause Cause) {
	c.epoch = 1
	c.deadline = now.Add(c.params.AgentTimeout)
	c.do(Effect{Do: Arm, Timer: TimerAgent, After: c.params.AgentTimeout})
	do := AskAgent
	if c.unopened {
		c.unopened, do = false, OpenBridge
	}
	c.ask(now, do, 0, cause)
}

// ask gives candidate number i its share of the time that is left: one that
// never answers must leave some for those after it.
func (c *Call) ask(now time.Time, do EffectKind, i int, cause Cause) {
	c.agent = i
	c.dispatch++
	after := len(c.params.Agents) - 1 - i
	d := Dispatch{Number: c.dispatch, Agent: i, Patient: after <= 0 && c.params.Fallback == 0, Epoch: c.epoch, Cause: cause,
		Within: c.deadline.Sub(now) / time.Duration(max(after, 0)+1)}
	c.record.Agent, c.record.Worker = c.candidate().ID, ""
	c.do(Effect{Do: do, Dispatch: d})
}

func (c *Call) candidate() Candidate {
	if c.agent < len(c.params.Agents) {
		return c.params.Agents[c.agent]
	}
	return Candidate{}
}

// stale reports news of an agent that was given up.
func (c *Call) stale(ev Event) bool {
	switch ev.Kind {
	case AgentChosen, AgentJoined, AgentFailed, AgentLeft, AnswerAsked, Hangup:
		return ev.Dispatch != 0 && ev.Dispatch != c.dispatch
	}
	return false // the carrier's news is never old
}

// another asks the next candidate where a call failed for the one before.
func (c *Call) another(now time.Time, ev Event, cause Cause) bool {
	if !ofAgent(cause) || c.agent+1 >= len(c.params.Agents) || !now.Before(c.deadline) {
		return false
	}
	ev.Agent, ev.Cause = c.candidate().ID, cause
	c.emit(EventAgentFailed, ev)
	c.ask(now, AskAgent, c.agent+1, cause)
	return true
}

// ofAgent reports causes that lie with one agent: another may do better.
func ofAgent(cause Cause) bool {
	switch cause.Word {
	case CauseNoAgent.Word, CauseAgentBusy.Word, CauseAgentFailed.Word, CauseAgentLost.Word, CauseAgentHangup.Word, CauseNoCodec.Word:
		return true
	}
	return false
}

// keep looks for another agent for an answered call that its agent has left,
// where its policy says so.
func (c *Call) keep(now time.Time, ev Event, cause Cause) bool {
	next := c.agent
	switch c.candidate().OnClose {
	case OnCloseHold:
	case OnCloseFallback:
		next++
	default:
		return false
	}
	if next >= len(c.params.Agents) || c.epoch > MaxResumes {
		return false
	}
	c.state, c.live.left = StateHeld, cause
	c.epoch++
	c.deadline = now.Add(c.params.AgentTimeout)
	ev.Agent, ev.Cause = c.candidate().ID, cause
	c.do(Effect{Do: Arm, Timer: TimerAgent, After: c.params.AgentTimeout})
	c.emit(EventAgentLeft, ev)
	c.ask(now, AskAgent, next, cause)
	return true
}

// held is an answered call that looks for another agent. The carrier goes on
// as before; where none is found, the call ends for the reason that it lost
// its last.
func (c *Call) held(now time.Time, ev Event) {
	switch ev.Kind {
	case AgentChosen:
		c.record.Worker = ev.Agent
	case AgentJoined:
		c.resume(ev)
	case AgentFailed, AgentLeft:
		if !c.another(now, ev, orElse(ev.Cause, CauseAgentFailed)) {
			c.hangUp(now, ev, blame(c.live.left), c.live.left)
		}
	case TimerDue:
		if ev.Timer == TimerAgent {
			c.hangUp(now, ev, blame(c.live.left), c.live.left)
			return
		}
		c.answered(now, ev)
	default:
		c.answered(now, ev)
	}
}

func (c *Call) resume(ev Event) {
	c.state = StateAnswered
	if !c.record.Stages.Acked.IsZero() {
		c.state = StateEstablished
	}
	if ev.Agent != "" {
		c.record.Worker = ev.Agent
	}
	c.record.Resumed++
	c.do(Effect{Do: Disarm, Timer: TimerAgent})
	ev.Agent = c.record.Agent
	c.emit(EventAgentJoined, ev)
}

// stopped is an answered call that somebody on our side ends.
func (c *Call) stopped(now time.Time, ev Event) {
	cause := ev.Cause
	switch ev.Kind {
	case AgentLeft:
		if cause = orElse(cause, CauseAgentHangup); !c.keep(now, ev, cause) {
			c.hangUp(now, ev, ByAgent, cause)
		}
		return
	case AgentFailed:
		cause = orElse(cause, CauseAgentFailed)
	default:
		cause = orElse(cause, CauseOperator)
	}
	c.hangUp(now, ev, blame(cause), cause)
}
