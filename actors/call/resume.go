package call

import "time"

// Resume returns a call that another node carried until it died, as far as its
// snapshot knew it. It has had its Invited; what it waits for is [NodeLost].
func Resume(p Params, rec Record) *Call {
	c := New(p)
	c.record = rec
	c.epoch = 1
	switch {
	case p.Outbound && rec.Stages.Answered.IsZero():
		c.state, c.invited = StateCalling, true
	case rec.Status != 200:
		c.state = StateTrying
	case rec.Stages.Acked.IsZero():
		c.state = StateAnswered
	default:
		c.state = StateEstablished
	}
	return c
}

// Serving returns which candidate has the call or is asked, the epoch of its
// leg, and until when the search, or the answered call, may last; the zero time
// where there is no such limit.
func (c *Call) Serving() (agent int, epoch uint64, until time.Time) {
	until = c.deadline
	if c.record.Status == 200 && c.state != StateHeld {
		until = time.Time{}
		if c.params.MaxDuration > 0 {
			until = c.record.Stages.Answered.Add(c.params.MaxDuration)
		}
	}
	return c.agent, max(c.epoch, 1), until
}

// lost ends a call whose node has died with it: BYE, or 503 where the carrier
// has no answer. Its record does not wait for the BYE to be answered.
func (c *Call) lost(now time.Time, ev Event) {
	switch c.state {
	case StateNew, StateEnded:
	case StateEnding:
		c.finish()
	case StateDeciding, StateTrying, StateCalling, StateRinging, StateEarly:
		if c.params.Outbound {
			c.giveUp(now, ev, ByNode, CauseNodeLost)
			if c.state == StateEnding {
				c.finish()
			}
			return
		}
		c.reject(now, ev, 503, ByNode, CauseNodeLost)
	case StateAnswered, StateEstablished, StateHeld:
		c.hangUp(now, ev, ByNode, CauseNodeLost)
		c.finish()
	}
}
