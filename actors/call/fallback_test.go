package call_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// newBacked is a call with one candidate, whose owner is asked where that does
// not take it.
func newBacked() *call.Call {
	return call.New(call.Params{ID: 6, Tenant: "default", Endpoint: "k", Node: "n1", DecisionID: "d1",
		Agents: []call.Candidate{{ID: "a"}}, AgentTimeout: 20 * time.Second, MaxDuration: time.Hour, Fallback: 8 * time.Second})
}

func TestLaddersOfACallThatFallsBackToItsOwner(t *testing.T) {
	t.Parallel()
	const asks = "disarm agent, emit agent.failed, arm ruling, ask-ruling"
	kind := func(k call.EventKind) call.Event { return call.Event{Kind: k} }
	due := func(timer call.Timer) call.Event { return call.Event{Kind: call.TimerDue, Timer: timer} }
	invited, gaveUp := rung{kind(call.Invited), start}, rung{busy, asks}
	named := rung{accepted, "disarm ruling, arm agent, ask-agent 0, emit call.ruled"}
	for name, ladder := range map[string][]rung{
		"an agent that answers leaves nothing to decide": {invited, {joined, answered}, {acked, ""}, {lost, "send-bye agent_lost, " + ended + "agent_lost"}},
		"busy, and the owner names another":              {invited, gaveUp, named, {joined, answered}},
		"nobody in time, and the owner names another":    {invited, {due(call.TimerAgent), asks}, named, {joined, answered}},
		"the owner's refusal is the call's": {invited, gaveUp,
			{refused, "disarm ruling, respond 486, emit call.ended, close-bridge webhook_rejected, finish owner webhook_rejected"}},
		"the owner says nothing in time": {invited, gaveUp,
			{due(call.TimerRuling), "disarm ruling, respond 504, emit call.ended, close-bridge webhook_timeout, finish owner webhook_timeout"}},
		"it is asked once": {invited, gaveUp, named,
			{busy, "disarm agent, respond 480, emit call.ended, close-bridge agent_busy, finish node agent_busy"}},
		"CANCEL meanwhile, and a late ruling": {invited, gaveUp,
			{kind(call.Cancelled), "disarm ruling, respond 487, emit call.ended, close-bridge cancelled, finish carrier cancelled"}, {accepted, ""}},
		"no port is nobody's fault": {invited, {call.Event{Kind: call.AgentFailed, Status: 503, Cause: call.CauseNoPorts},
			"disarm agent, respond 503, emit call.ended, close-bridge no_ports, finish node no_ports"}},
		"the one given up comes after all": {invited, gaveUp, {call.Event{Kind: call.AgentJoined, Answer: joined.Answer, Dispatch: 1}, ""}, named,
			{call.Event{Kind: call.AgentJoined, Answer: joined.Answer, Dispatch: 1}, ""},
			{call.Event{Kind: call.AgentJoined, Answer: joined.Answer, Dispatch: 2}, answered}},
		"the carrier hears 180 once": {invited, {call.Event{Kind: call.AgentChosen, Agent: "w"}, "respond 180, emit call.ringing"}, gaveUp, named,
			{call.Event{Kind: call.AgentChosen, Agent: "w2"}, ""}, {joined, answered}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			climb(t, newBacked(), ladder)
		})
	}
}

// TestNobodyWaitsForWorkersWhereTheOwnerCanBeAsked: the last agent is worth
// waiting for where nothing comes after it.
func TestNobodyWaitsForWorkersWhereTheOwnerCanBeAsked(t *testing.T) {
	t.Parallel()
	c := newBacked()
	var patient []bool
	for _, ev := range []call.Event{{Kind: call.Invited}, busy, accepted} {
		for _, e := range c.Step(epoch, ev) {
			if e.Do == call.OpenBridge || e.Do == call.AskAgent {
				patient = append(patient, e.Dispatch.Patient)
			}
		}
	}
	if len(patient) != 2 || patient[0] || !patient[1] {
		t.Errorf("patient: %v", patient)
	}
}

// TestEveryOrderOfEventsEndsACallThatFallsBackOnce plays random histories.
func TestEveryOrderOfEventsEndsACallThatFallsBackOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newBacked()
		var seen promises
		questions := 0
		step := func(ev call.Event) {
			for _, e := range c.Step(epoch, ev) {
				if e.Do == call.AskRuling {
					questions++
				}
				seen.note(t, e)
			}
		}
		step(call.Event{Kind: call.Invited})
		history := rapid.SliceOfN(rapid.OneOf(anyEvent(), rapid.SampledFrom([]call.Event{accepted, refused, busy, {Kind: call.TimerDue, Timer: call.TimerRuling}})), 0, 40)
		for _, ev := range history.Draw(t, "events") {
			step(ev)
		}
		for _, ev := range []call.Event{{Kind: call.Hangup, Cause: call.CauseDrain}, {Kind: call.ByeDone}} {
			step(ev)
		}
		if seen.finished != 1 || seen.opened != 1 || seen.closed != 1 || seen.ended != 1 || !seen.final || questions > 1 {
			t.Fatalf("at the end: %+v, %d questions", seen, questions)
		}
	})
}
