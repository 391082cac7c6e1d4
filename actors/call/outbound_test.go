package call_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// newOutbound is a call that we place; two agents may take it.
func newOutbound(early bool) *call.Call {
	return call.New(call.Params{
		ID: 6, Tenant: "default", Endpoint: "k", Agents: []call.Candidate{{ID: "a"}, {ID: "b"}}, Node: "n1",
		AgentTimeout: 20 * time.Second, MaxDuration: time.Hour, Outbound: true, Trunk: "t", RingTimeout: time.Minute, EarlyMedia: early,
	})
}

func codec(name string) *call.Answer { return &call.Answer{Codec: call.Codec{Name: name}} }

var (
	placed   = rung{call.Event{Kind: call.Placed}, "arm ring, open-carrier, emit call.started"}
	ready    = rung{call.Event{Kind: call.CarrierReady, Offer: &call.Offer{}}, "send-invite"}
	rings    = rung{call.Event{Kind: call.CarrierRings, Status: 180}, "emit call.ringing"}
	early    = rung{call.Event{Kind: call.CarrierRings, Status: 183, Answer: codec("PCMU")}, "emit call.ringing, take-answer, arm agent, ask-agent 0"}
	pickUp   = rung{call.Event{Kind: call.CarrierAnswered, Status: 200, Answer: codec("PCMU")}, "disarm ring, take-answer, arm duration, emit call.answered, arm agent, ask-agent 0"}
	comes    = rung{joined, "disarm agent, emit agent.joined"}
	carrier  = call.Event{Kind: call.CarrierFailed, Status: 486, Cause: call.CauseCalledBusy}
	ringOver = call.Event{Kind: call.TimerDue, Timer: call.TimerRing}
)

func TestLaddersOfCallsThatWePlace(t *testing.T) {
	t.Parallel()
	kind := func(k call.EventKind) call.Event { return call.Event{Kind: k} }
	for name, tc := range map[string]struct {
		early  bool
		ladder []rung
	}{
		"answered, and the carrier hangs up": {false, []rung{placed, ready, rings, {rings.ev, ""}, pickUp, {call.Event{Kind: call.AgentChosen, Agent: "w"}, ""}, comes,
			{kind(call.CarrierBye), "disarm duration, emit call.ended, close-bridge normal_clearing, finish carrier normal_clearing"}, {kind(call.ByeDone), ""}}},
		"answered, and the agent hangs up": {false, []rung{placed, ready, pickUp, comes,
			{call.Event{Kind: call.AgentLeft}, "send-bye agent_hangup, disarm duration, emit call.ended, close-bridge agent_hangup"}, {kind(call.ByeDone), "finish agent agent_hangup"}}},
		"busy":          {false, []rung{placed, ready, {carrier, "disarm ring, emit call.ended, close-bridge busy, finish carrier busy"}}},
		"busy too late": {false, []rung{placed, ready, pickUp, {carrier, ""}}},
		"nobody answers": {false, []rung{placed, ready, rings, {ringOver, "send-bye no_answer, disarm ring, emit call.ended, close-bridge no_answer"},
			{call.Event{Kind: call.CarrierFailed, Status: 487}, "finish node no_answer"}, {ringOver, ""}}},
		"an operator gives up": {false, []rung{placed, ready, rings, {kind(call.Hangup), "send-bye operator_hangup, disarm ring, emit call.ended, close-bridge operator_hangup"},
			{call.Event{Kind: call.CarrierAnswered, Answer: codec("PCMU")}, ""}, {call.Event{Kind: call.CarrierFailed, Status: 487}, "finish operator operator_hangup"}}},
		"no port": {false, []rung{placed, {call.Event{Kind: call.AgentFailed, Status: 503, Cause: call.CauseNoPorts},
			"disarm ring, emit call.ended, close-bridge no_ports, finish node no_ports"}, {ready.ev, ""}}},
		"given up before there is a port": {false, []rung{placed, {kind(call.Hangup), "disarm ring, emit call.ended, close-bridge operator_hangup, finish operator operator_hangup"}}},
		"no agent for an answered call": {false, []rung{placed, ready, pickUp, {busy, "emit agent.failed, ask-agent 1"},
			{busy, "send-bye agent_busy, disarm duration, disarm agent, emit call.ended, close-bridge agent_busy"}, {kind(call.ByeDone), "finish node agent_busy"}}},
		"agents take too long": {false, []rung{placed, ready, pickUp, {call.Event{Kind: call.TimerDue, Timer: call.TimerAgent},
			"send-bye no_agent, disarm duration, disarm agent, emit call.ended, close-bridge no_agent"}}},
		"the carrier hangs up before an agent is there": {false, []rung{placed, ready, pickUp,
			{kind(call.CarrierBye), "disarm duration, disarm agent, emit call.ended, close-bridge normal_clearing, finish carrier normal_clearing"}}},
		"early media, not asked for": {false, []rung{placed, ready, {early.ev, "emit call.ringing"}, pickUp}},
		"early media": {true, []rung{placed, ready, early, comes, {early.ev, ""},
			{pickUp.ev, "disarm ring, take-answer, arm duration, emit call.answered"}, {call.Event{Kind: call.Digit, Digit: "5"}, "emit dtmf"}}},
		"early media, answered before the agent is there": {true, []rung{placed, ready, early,
			{pickUp.ev, "disarm ring, take-answer, arm duration, emit call.answered"}, comes}},
		"early media of another branch of the call": {true, []rung{placed, ready, early, comes,
			{call.Event{Kind: call.CarrierAnswered, Answer: codec("PCMA")}, "disarm ring, take-answer, arm duration, emit call.answered, arm agent, ask-agent 0"}, comes}},
		"early media, and the agent leaves": {true, []rung{placed, ready, early, comes,
			{lost, "arm agent, emit agent.failed, ask-agent 1"},
			{lost, "send-bye agent_lost, disarm ring, disarm agent, emit call.ended, close-bridge agent_lost"}}},
		"early media, and nobody answers": {true, []rung{placed, ready, early, comes,
			{ringOver, "send-bye no_answer, disarm ring, emit call.ended, close-bridge no_answer"}}},
		"an answer without SDP is none":          {false, []rung{placed, ready, {kind(call.CarrierAnswered), "send-bye bad_answer, disarm ring, emit call.ended, close-bridge bad_answer"}}},
		"an INVITE of a carrier is none of ours": {false, []rung{{kind(call.Invited), ""}, placed, {kind(call.Invited), ""}, {kind(call.Cancelled), ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			climb(t, newOutbound(tc.early), tc.ladder)
		})
	}
}

func TestTheRecordOfACallThatWePlacedSaysHowItWent(t *testing.T) {
	t.Parallel()
	c := newOutbound(false)
	var rec *call.Record
	for i, ev := range []call.Event{placed.ev, ready.ev, rings.ev, pickUp.ev, {Kind: call.AgentChosen, Agent: "w1"}, joined, {Kind: call.FirstRTP},
		{Kind: call.Hangup, Cause: call.CauseOperator}, {Kind: call.ByeDone, Status: 200}} {
		for _, e := range c.Step(epoch.Add(time.Duration(i)*time.Second), ev) {
			if e.Do == call.Finish {
				rec = e.Record
			}
		}
	}
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	want := call.Record{ID: 6, Tenant: "default", Endpoint: "k", Agent: "a", Worker: "w1", Node: "n1", Direction: "outbound", Trunk: "t",
		Codec: "PCMU", Status: 200, Cause: call.CauseOperator, EndedBy: call.ByOperator,
		Stages: call.Stages{Invited: at(0), Ringing: at(2), Answered: at(3), Acked: at(3), AgentChosen: at(4), AgentJoined: at(5), FirstRTP: at(6), Ended: at(7)}}
	if rec == nil || !reflect.DeepEqual(*rec, want) {
		t.Errorf("record %+v\nwant   %+v", rec, want)
	}
}

func TestARecordHasTheCarriersLastWordOnACallThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{487: 487, 486: 486, 408: 408} {
		c := newOutbound(false)
		for _, ev := range []call.Event{placed.ev, ready.ev, ringOver, {Kind: call.CarrierFailed, Status: status}} {
			c.Step(epoch, ev)
		}
		if rec := c.Record(); !c.Over() || rec.Status != want || rec.Cause != call.CauseCalledNoAnswer {
			t.Errorf("%d: over %v, record %+v", status, c.Over(), rec)
		}
	}
}

func TestACallOfOursWhoseNodeDiedIsEndedWhateverItsState(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before []call.Event
		want   string
	}{
		"unanswered": {[]call.Event{placed.ev, ready.ev, rings.ev}, "send-bye node_lost, disarm ring, emit call.ended, close-bridge node_lost, finish node node_lost"},
		"answered":   {[]call.Event{placed.ev, ready.ev, pickUp.ev, joined}, "send-bye node_lost, emit call.ended, close-bridge node_lost, finish node node_lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newOutbound(false)
			for _, ev := range tc.before {
				c.Step(epoch, ev)
			}
			again := call.Resume(call.Params{ID: 6, Outbound: true, Trunk: "t"}, c.Record())
			if got := words(again.Step(epoch, call.Event{Kind: call.NodeLost})); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// outboundPromises are what no order of events may break.
type outboundPromises struct {
	promises
	invited, byes, answered int
}

func (p *outboundPromises) note(t *rapid.T, e call.Effect) {
	if p.finished > 0 {
		t.Fatalf("%s after the end", e.Do)
	}
	switch e.Do {
	case call.OpenCarrier:
		p.opened++
	case call.SendInvite:
		p.invited++
	case call.SendBye:
		p.byes++
	case call.TakeAnswer:
		if p.opened != 1 || p.closed != 0 {
			t.Fatalf("an answer for no bridge: %+v", *p)
		}
		p.answered++
	case call.Respond, call.OpenBridge, call.AskRuling:
		t.Fatalf("%s in a call of ours", e.Do)
	}
	p.promises.note(t, e)
	if p.invited > 1 || p.byes > 1 || p.answered > 2 || p.asked > 0 && p.answered == 0 || p.byes > 0 && p.invited == 0 {
		t.Fatalf("%s: %+v", e.Do, *p)
	}
}

// TestEveryOrderOfEventsEndsACallThatWePlaceOnce plays random histories.
func TestEveryOrderOfEventsEndsACallThatWePlaceOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newOutbound(rapid.Bool().Draw(t, "early"))
		var seen outboundPromises
		step := func(ev call.Event) {
			for _, e := range c.Step(epoch, ev) {
				seen.note(t, e)
			}
		}
		step(placed.ev)
		ours := rapid.SampledFrom([]call.Event{ready.ev, rings.ev, early.ev, pickUp.ev, carrier, ringOver, {Kind: call.CarrierAnswered, Answer: codec("PCMA")},
			{Kind: call.CarrierAnswered}, {Kind: call.NodeLost}, placed.ev})
		for _, ev := range rapid.SliceOfN(rapid.OneOf(anyEvent(), ours), 0, 40).Draw(t, "events") {
			step(ev)
		}
		for _, ev := range []call.Event{{Kind: call.Hangup, Cause: call.CauseDrain}, {Kind: call.CarrierFailed, Status: 487}, {Kind: call.ByeDone}} {
			step(ev)
		}
		if seen.finished != 1 || seen.opened != 1 || seen.closed != 1 || seen.ended != 1 {
			t.Fatalf("at the end: %+v", seen)
		}
	})
}
