package call_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

func holder() call.Candidate {
	return call.Candidate{ID: "a", OnClose: call.OnCloseHold}
}

var (
	busy  = call.Event{Kind: call.AgentFailed, Status: 480, Cause: call.CauseAgentBusy}
	lost  = call.Event{Kind: call.AgentLeft, Cause: call.CauseAgentLost}
	acked = call.Event{Kind: call.Acked}
)

// A rung is an event and what the call does about it.
type rung struct {
	ev   call.Event
	want string
}

const (
	start    = "respond 100, arm agent, open-bridge, emit call.started"
	answered = "disarm agent, respond 200, arm duration, emit call.answered"
	ended    = "disarm duration, emit call.ended, close-bridge "
	gaveUp   = "disarm duration, disarm agent, emit call.ended, close-bridge "
	resumed  = "disarm agent, emit agent.joined"
)

func climb(t *testing.T, c *call.Call, ladder []rung) {
	t.Helper()
	for i, r := range ladder {
		if got := words(c.Step(epoch, r.ev)); got != r.want {
			t.Errorf("rung %d, %s\ngot  %s\nwant %s", i, r.ev.Kind, got, r.want)
		}
	}
}

func TestLaddersOfSeveralAgents(t *testing.T) {
	t.Parallel()
	kind := func(k call.EventKind) call.Event { return call.Event{Kind: k} }
	due := func(timer call.Timer) call.Event { return call.Event{Kind: call.TimerDue, Timer: timer} }
	one := func(policy string) []call.Candidate { return []call.Candidate{{ID: "a", OnClose: policy}} }
	two := func(policy string) []call.Candidate { return []call.Candidate{{ID: "a", OnClose: policy}, {ID: "b"}} }
	up := func(more ...rung) []rung {
		return append([]rung{{kind(call.Invited), start}, {joined, answered}, {acked, ""}}, more...)
	}
	const leave = "arm agent, emit agent.left, ask-agent "
	for name, tc := range map[string]struct {
		agents []call.Candidate
		ladder []rung
	}{
		"busy, and the next answers": {two(""), []rung{{kind(call.Invited), start}, {busy, "emit agent.failed, ask-agent 1"}, {joined, answered}}},
		"all are busy": {two(""), []rung{{kind(call.Invited), start}, {busy, "emit agent.failed, ask-agent 1"},
			{busy, "disarm agent, respond 480, emit call.ended, close-bridge agent_busy, finish node agent_busy"}}},
		"the first rang: the carrier hears 180 once": {two(""), []rung{{kind(call.Invited), start},
			{call.Event{Kind: call.AgentChosen, Agent: "w"}, "respond 180, emit call.ringing"},
			{call.Event{Kind: call.AgentFailed, Cause: call.CauseAgentFailed}, "emit agent.failed, ask-agent 1"},
			{call.Event{Kind: call.AgentChosen, Agent: "w2"}, ""}, {joined, answered}}},
		"no common codec with one": {two(""), []rung{{kind(call.Invited), start},
			{call.Event{Kind: call.AgentFailed, Status: 488, Cause: call.CauseNoCodec}, "emit agent.failed, ask-agent 1"}}},
		"no port is nobody's fault": {two(""), []rung{{kind(call.Invited), start}, {call.Event{Kind: call.AgentFailed, Status: 503, Cause: call.CauseNoPorts},
			"disarm agent, respond 503, emit call.ended, close-bridge no_ports, finish node no_ports"}}},
		"CANCEL between two agents": {two(""), []rung{{kind(call.Invited), start}, {busy, "emit agent.failed, ask-agent 1"},
			{kind(call.Cancelled), "disarm agent, respond 487, emit call.ended, close-bridge cancelled, finish carrier cancelled"}}},
		"news of one that was given up": {two(""), []rung{{kind(call.Invited), start}, {busy, "emit agent.failed, ask-agent 1"},
			{call.Event{Kind: call.AgentJoined, Answer: joined.Answer, Dispatch: 1}, ""}, {call.Event{Kind: call.Hangup, Cause: call.CauseAgentHangup, Dispatch: 1}, ""},
			{call.Event{Kind: call.AgentJoined, Answer: joined.Answer, Dispatch: 2}, answered}}},

		"hang up":                         {one(call.OnCloseHangup), up(rung{lost, "send-bye agent_lost, " + ended + "agent_lost"})},
		"fallback with nobody to fall to": {one(call.OnCloseFallback), up(rung{lost, "send-bye agent_lost, " + ended + "agent_lost"})},
		"fallback": {two(call.OnCloseFallback), up(rung{lost, leave + "1 resumes"}, rung{joined, resumed},
			rung{lost, "send-bye agent_lost, " + ended + "agent_lost"})},
		"hold, and the agent is back": {one(call.OnCloseHold), up(rung{lost, leave + "0 resumes"},
			rung{call.Event{Kind: call.AgentChosen, Agent: "w2"}, ""}, rung{joined, resumed}, rung{kind(call.CarrierBye), ended + "normal_clearing, finish carrier normal_clearing"})},
		"hold, and another helps": {two(call.OnCloseHold), up(rung{lost, leave + "0 resumes"}, rung{busy, "emit agent.failed, ask-agent 1 resumes"},
			rung{joined, resumed}, rung{lost, "send-bye agent_lost, " + ended + "agent_lost"})},
		"hold, and nobody comes": {one(call.OnCloseHold), up(rung{lost, leave + "0 resumes"},
			rung{due(call.TimerAgent), "send-bye agent_lost, " + gaveUp + "agent_lost"})},
		"hold, and nobody can": {one(call.OnCloseHold), up(rung{lost, leave + "0 resumes"},
			rung{busy, "send-bye agent_lost, " + gaveUp + "agent_lost"})},
		"hold, and the carrier has had enough": {one(call.OnCloseHold), up(rung{lost, leave + "0 resumes"},
			rung{kind(call.CarrierBye), gaveUp + "normal_clearing, finish carrier normal_clearing"})},
		"hold, and the longest call": {one(call.OnCloseHold), up(rung{lost, leave + "0 resumes"},
			rung{due(call.TimerDuration), "send-bye max_duration, " + gaveUp + "max_duration"})},
		"hold, and a key is pressed": {one(call.OnCloseHold), up(rung{lost, leave + "0 resumes"}, rung{call.Event{Kind: call.Digit, Digit: "1"}, "emit dtmf"})},
		"hold before the ACK": {one(call.OnCloseHold), []rung{{kind(call.Invited), start}, {joined, answered}, {lost, leave + "0 resumes"},
			{kind(call.AckMissing), "send-bye no_ack, " + gaveUp + "no_ack"}}},
		"hold, and the ACK comes meanwhile": {one(call.OnCloseHold), []rung{{kind(call.Invited), start}, {joined, answered}, {lost, leave + "0 resumes"},
			{acked, ""}, {joined, resumed}, {kind(call.AckMissing), ""}}},
		"an agent that asks to hang up is not replaced": {one(call.OnCloseHold), up(
			rung{call.Event{Kind: call.Hangup, Cause: call.CauseAgentHangup}, "send-bye agent_hangup, " + ended + "agent_hangup"})},
		"hold, too often": {one(call.OnCloseHold), up(rung{lost, leave + "0 resumes"}, rung{joined, resumed}, rung{lost, leave + "0 resumes"},
			rung{joined, resumed}, rung{lost, leave + "0 resumes"}, rung{joined, resumed}, rung{lost, "send-bye agent_lost, " + ended + "agent_lost"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			climb(t, newCall(tc.agents...), tc.ladder)
		})
	}
}

// TestAgentsShareTheTime: with 20 s for all, one that never answers leaves time
// for those after it, and the last may use what is left.
func TestAgentsShareTheTime(t *testing.T) {
	t.Parallel()
	c := newCall(call.Candidate{ID: "a"}, call.Candidate{ID: "b"}, call.Candidate{ID: "c"}, call.Candidate{ID: "d"})
	var got []call.Dispatch
	step := func(at time.Duration, ev call.Event) {
		for _, e := range c.Step(epoch.Add(at), ev) {
			if e.Do == call.OpenBridge || e.Do == call.AskAgent {
				got = append(got, e.Dispatch)
			}
		}
	}
	step(0, call.Event{Kind: call.Invited})
	step(5*time.Second, busy)
	step(5*time.Second, busy)
	step(6*time.Second, busy)
	cause := call.CauseAgentBusy
	want := []call.Dispatch{
		{Number: 1, Agent: 0, Within: 5 * time.Second, Epoch: 1},
		{Number: 2, Agent: 1, Within: 5 * time.Second, Epoch: 1, Cause: cause},
		{Number: 3, Agent: 2, Within: 7500 * time.Millisecond, Epoch: 1, Cause: cause},
		{Number: 4, Agent: 3, Within: 14 * time.Second, Epoch: 1, Cause: cause, Patient: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if rec := c.Record(); rec.Agent != "d" {
		t.Errorf("the record names %q, want the agent that is asked", rec.Agent)
	}
}

func TestTheRecordCountsAgentsThatTookOver(t *testing.T) {
	t.Parallel()
	c := newCall(call.Candidate{ID: "a", OnClose: call.OnCloseFallback}, call.Candidate{ID: "b", OnClose: call.OnCloseHold})
	var rec *call.Record
	for _, ev := range []call.Event{
		{Kind: call.Invited}, {Kind: call.AgentChosen, Agent: "w1"}, joined, acked, lost, {Kind: call.AgentChosen, Agent: "w2"}, joined,
		lost, {Kind: call.AgentChosen, Agent: "w3"}, joined, {Kind: call.CarrierBye},
	} {
		for _, e := range c.Step(epoch, ev) {
			if e.Do == call.Finish {
				rec = e.Record
			}
		}
	}
	if rec == nil || rec.Resumed != 2 || rec.Agent != "b" || rec.Worker != "w3" || rec.Status != 200 || rec.EndedBy != call.ByCarrier {
		t.Errorf("got %+v", rec)
	}
}

// Whatever happens, the number of agents asked is bounded: each may fail once
// in each of the few searches.
func TestAgentsAreNotAskedForEver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const agents = 3
		c := newCall(holder(), holder(), holder())
		asked := 0
		for _, ev := range append([]call.Event{{Kind: call.Invited}}, rapid.SliceOfN(anyEvent(), 0, 200).Draw(t, "events")...) {
			for _, w := range strings.Split(words(c.Step(epoch, ev)), ", ") {
				if strings.HasPrefix(w, "ask-agent") || w == "open-bridge" {
					asked++
				}
			}
		}
		if asked > agents*(1+call.MaxResumes) {
			t.Fatalf("%d agents were asked", asked)
		}
	})
}
