package call_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// newEarly is a call whose carrier hears something before the answer.
func newEarly(e call.Early, reliable bool, agents ...call.Candidate) *call.Call {
	if len(agents) == 0 {
		agents = []call.Candidate{{ID: "a"}, {ID: "b"}}
	}
	return call.New(call.Params{
		ID: 6, Tenant: "default", Endpoint: "k", Agents: agents, Node: "n1", Early: e,
		Invitation:   call.Invitation{Reliable: reliable},
		AgentTimeout: 20 * time.Second, MaxDuration: time.Hour,
	})
}

var (
	heard   = call.Early{Mode: call.EarlyAgent, Limit: 30 * time.Second}
	refuses = call.Early{Mode: call.EarlyAgent, Limit: 30 * time.Second, Reject: true}
	rung1   = call.Early{Mode: call.EarlyRingback}
)

func TestLaddersOfCallsThatAreHeardBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	kind := func(k call.EventKind) call.Event { return call.Event{Kind: k} }
	timer := call.Event{Kind: call.TimerDue, Timer: call.TimerAgent}
	ours := call.Answer{Codec: call.Codec{Name: "PCMU"}}
	offers := call.Event{Kind: call.AgentJoined, Answer: &ours, Offer: &call.Offer{}}
	rejected := call.Event{Kind: call.Hangup, Status: 486, Cause: call.CauseRejected(486)}
	onHold := call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Codec: ours.Codec, Direction: call.RecvOnly}}
	begins := rung{kind(call.Invited), "respond 100, arm agent, open-bridge, emit call.started"}
	chosen := rung{call.Event{Kind: call.AgentChosen, Agent: "w"}, "respond 180, emit call.ringing"}
	speaks := rung{joined, "respond 183, arm agent, emit call.early_media"}
	pending := rung{kind(call.Unconfirmed), ""}
	answers := "disarm agent, respond 200, arm duration, emit call.answered"
	asks := rung{kind(call.AnswerAsked), answers}
	rings := rung{call.Event{Kind: call.EarlyReady, Answer: &ours}, "respond 183, emit call.early_media"}
	for name, tc := range map[string]struct {
		early  call.Early
		ladder []rung
	}{
		"the agent answers": {heard, []rung{begins, chosen, speaks, {call.Event{Kind: call.Digit, Digit: "5"}, "emit dtmf"}, asks, {kind(call.AnswerAsked), ""}, {kind(call.Acked), ""}}},
		"the agent rejects": {heard, []rung{begins, chosen, speaks,
			{rejected, "disarm agent, respond 486, emit call.ended, close-bridge agent_rejected, finish agent agent_rejected"}}},
		"the agent hangs up": {heard, []rung{begins, speaks, {call.Event{Kind: call.Hangup, Cause: call.CauseAgentHangup},
			"disarm agent, respond 480, emit call.ended, close-bridge agent_hangup, finish agent agent_hangup"}}},
		"nobody says anything, and it is answered": {heard, []rung{begins, speaks, {timer, answers}}},
		"nobody says anything, and it is refused": {refuses, []rung{begins, speaks,
			{timer, "disarm agent, respond 480, emit call.ended, close-bridge early_media_limit, finish node early_media_limit"}}},
		"the carrier cancels": {heard, []rung{begins, speaks, {kind(call.Cancelled),
			"disarm agent, respond 487, emit call.ended, close-bridge cancelled, finish carrier cancelled"}}},
		"the agent leaves, and the next is heard without another 183": {heard, []rung{begins, speaks,
			{lost, "arm agent, emit agent.failed, ask-agent 1"}, {joined, "arm agent, emit call.early_media"}, asks}},
		"both agents leave": {heard, []rung{begins, speaks, {lost, "arm agent, emit agent.failed, ask-agent 1"}, {joined, "arm agent, emit call.early_media"},
			{lost, "arm agent, disarm agent, respond 480, emit call.ended, close-bridge agent_lost, finish agent agent_lost"}}},
		"the next agent never joins": {heard, []rung{begins, speaks, {lost, "arm agent, emit agent.failed, ask-agent 1"},
			{timer, "disarm agent, respond 480, emit call.ended, close-bridge no_agent, finish node no_agent"}}},
		"no 200 before the PRACK": {heard, []rung{begins, speaks, pending, {kind(call.AnswerAsked), "disarm agent"}, {kind(call.AnswerAsked), ""}, {timer, ""},
			{kind(call.Confirmed), answers}}},
		"a refusal need not wait for the PRACK": {heard, []rung{begins, speaks, pending,
			{rejected, "disarm agent, respond 486, emit call.ended, close-bridge agent_rejected, finish agent agent_rejected"}}},
		"the limit waits for the PRACK, too":     {heard, []rung{begins, speaks, pending, {timer, "disarm agent"}, {kind(call.Confirmed), answers}}},
		"an agent that leaves answers no more":   {heard, []rung{begins, speaks, pending, {kind(call.AnswerAsked), "disarm agent"}, {lost, "arm agent, emit agent.failed, ask-agent 1"}, {kind(call.Confirmed), ""}, {joined, "arm agent, emit call.early_media"}, asks}},
		"the PRACK never comes":                  {heard, []rung{begins, speaks, pending, {call.Event{Kind: call.Hangup, Cause: call.CauseNoPrack}, "disarm agent, respond 504, emit call.ended, close-bridge no_prack, finish node no_prack"}}},
		"ringing until the answer":               {rung1, []rung{begins, rings, {call.Event{Kind: call.AgentChosen, Agent: "w"}, "emit call.ringing"}, {rings.ev, ""}, {joined, answers}}},
		"ringing that cannot be":                 {rung1, []rung{begins, chosen, {joined, answers}}},
		"ringing that nobody asked for":          {heard, []rung{begins, {rings.ev, ""}}},
		"ringing until there is no agent":        {rung1, []rung{begins, rings, {timer, "disarm agent, respond 480, emit call.ended, close-bridge no_agent, finish node no_agent"}}},
		"ringing is confirmed before the answer": {rung1, []rung{begins, rings, pending, {joined, "disarm agent"}, {timer, ""}, {kind(call.Confirmed), answers}}},
		"ringing goes on for the next agent": {rung1, []rung{begins, rings, pending, {joined, "disarm agent"}, {lost, "arm agent, emit agent.failed, ask-agent 1"},
			{kind(call.Confirmed), ""}, {joined, answers}}},
		"an offer of ours that can only come with the 200":  {heard, []rung{begins, chosen, {offers, answers}}},
		"a carrier that takes no audio is answered at once": {heard, []rung{begins, {onHold, answers + ", emit call.held"}}},
		"a change before the answer": {heard, []rung{begins, speaks, pending,
			{call.Event{Kind: call.CarrierOffered, Offer: &call.Offer{Codecs: []call.Codec{ours.Codec}}}, "update-media, answer-offer"}, {kind(call.Confirmed), ""}, asks}},
		"a change that nobody could have asked for": {heard, []rung{begins, {call.Event{Kind: call.CarrierOffered, Offer: &call.Offer{}}, "answer-offer"}}},
		"an operator hangs up": {heard, []rung{begins, speaks, {kind(call.Hangup),
			"disarm agent, respond 480, emit call.ended, close-bridge operator_hangup, finish operator operator_hangup"}}},
		"its node dies":           {heard, []rung{begins, speaks, {kind(call.NodeLost), "disarm agent, respond 503, emit call.ended, close-bridge node_lost, finish node node_lost"}}},
		"an answer without cause": {call.Early{}, []rung{begins, {kind(call.AnswerAsked), ""}, {joined, answers}, {kind(call.AnswerAsked), ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			climb(t, newEarly(tc.early, false), tc.ladder)
		})
	}
}

func TestAnOfferOfOursInA183IsAnsweredByThePrack(t *testing.T) {
	t.Parallel()
	ours := call.Answer{Codec: call.Codec{Name: "PCMU"}, Direction: call.SendRecv}
	c := newEarly(heard, true)
	c.Step(epoch, call.Event{Kind: call.Invited})
	said := c.Step(epoch, call.Event{Kind: call.AgentJoined, Answer: &ours, Offer: ours.Describe()})
	if r := said[0].Response; r.Status != 183 || r.Offer == nil || r.Answer != nil {
		t.Fatalf("the 183: %+v", r)
	}
	c.Step(epoch, call.Event{Kind: call.Unconfirmed})
	climb(t, c, []rung{
		{call.Event{Kind: call.AnswerAsked}, "disarm agent"},
		{call.Event{Kind: call.Confirmed, Answer: &ours}, "update-media, disarm agent, respond 200, arm duration, emit call.answered"},
		{call.Event{Kind: call.Acked}, ""},
	})

	c = newEarly(heard, true)
	c.Step(epoch, call.Event{Kind: call.Invited})
	c.Step(epoch, call.Event{Kind: call.AgentJoined, Answer: &ours, Offer: ours.Describe()})
	c.Step(epoch, call.Event{Kind: call.Unconfirmed})
	climb(t, c, []rung{{call.Event{Kind: call.Confirmed}, "disarm agent, respond 488, emit call.ended, close-bridge bad_answer, finish carrier bad_answer"}})
}

func TestACallThatWasHeardEarlyIsRefusedWhenItsNodeDies(t *testing.T) {
	t.Parallel()
	c := newEarly(heard, false)
	c.Step(epoch, call.Event{Kind: call.Invited})
	c.Step(epoch, joined)
	climb(t, call.Resume(call.Params{ID: 6, Agents: []call.Candidate{{ID: "a"}}}, c.Record()), []rung{{call.Event{Kind: call.NodeLost},
		"disarm agent, respond 503, emit call.ended, close-bridge node_lost, finish node node_lost"}})
}

func TestThe200SaysWhatThe183SaidAndWhatTheAgentAdds(t *testing.T) {
	t.Parallel()
	answer := call.Answer{Codec: call.Codec{Name: "PCMA", PayloadType: 8}, Direction: call.SendRecv, Ptime: 20}
	c := newEarly(heard, false)
	c.Step(epoch, call.Event{Kind: call.Invited})
	early := c.Step(epoch.Add(time.Second), call.Event{Kind: call.AgentJoined, Answer: &answer, Headers: []call.Header{{Name: "X-A", Value: "1"}}})[0].Response
	final := c.Step(epoch.Add(3*time.Second), call.Event{Kind: call.AnswerAsked, Headers: []call.Header{{Name: "X-B", Value: "2"}}})[1].Response
	if early.Headers != nil || len(final.Headers) != 2 {
		t.Errorf("header fields %v, then %v", early.Headers, final.Headers)
	}
	if early.Answer == nil || final.Answer == nil || *early.Answer != *final.Answer {
		t.Errorf("183 says %+v, 200 %+v", early.Answer, final.Answer)
	}
	rec := c.Record()
	if s := rec.Stages; !s.EarlyMedia.Equal(epoch.Add(time.Second)) || !s.Answered.Equal(epoch.Add(3*time.Second)) || rec.Codec != "PCMA" {
		t.Errorf("the record says %+v", rec)
	}
}

// TestEveryOrderOfEventsOfEarlyMediaEndsOnce plays random histories of calls
// with early media: beside the promises of every call, one 183 has SDP, no 200
// comes before its PRACK, and both say the same.
func TestEveryOrderOfEventsOfEarlyMediaEndsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]call.Early{heard, refuses, rung1}).Draw(t, "mode")
		c := newEarly(mode, rapid.Bool().Draw(t, "reliable"), holder(), holder(), holder())
		var seen earlyPromises
		step := func(ev call.Event) {
			over := c.Over()
			effects := c.Step(epoch, ev)
			if over && len(effects) > 0 {
				t.Fatalf("%s after the end: %s", ev.Kind, words(effects))
			}
			for _, e := range effects {
				seen.note(t, e)
			}
			if ev.Kind == call.Confirmed {
				seen.pending = false
			}
		}
		for _, ev := range rapid.SliceOfN(rapid.OneOf(anyEvent(), earlyEvent()), 0, 40).Draw(t, "events") {
			if ev.Kind == call.Confirmed && !seen.pending { // a dialog says so once
				continue
			}
			if ev.Kind == call.Confirmed {
				seen.confirming = true
			}
			before := seen.described
			step(ev)
			seen.confirming = false
			if seen.described > before && !seen.final && rapid.Bool().Draw(t, "reliably") {
				seen.pending = true
				step(call.Event{Kind: call.Unconfirmed})
			}
		}
		for _, ev := range []call.Event{{Kind: call.Invited}, {Kind: call.Hangup, Cause: call.CauseDrain}, {Kind: call.ByeDone}} {
			step(ev)
		}
		if seen.finished != 1 || seen.opened != 1 || seen.closed != 1 || seen.ended != 1 || !seen.final {
			t.Fatalf("at the end: %+v", seen)
		}
	})
}

type earlyPromises struct {
	promises
	described           int // 183s with SDP
	pending, confirming bool
	said                *call.Answer
	changed             bool
}

func (p *earlyPromises) note(t *rapid.T, e call.Effect) {
	p.promises.note(t, e)
	switch r := e.Response; {
	case e.Do == call.UpdateMedia:
		p.changed = true
	case e.Do != call.Respond:
	case r.Status == 183:
		if p.described++; p.described > 1 || r.Answer == nil && r.Offer == nil || len(r.Headers) > 0 {
			t.Fatalf("183 number %d: %+v", p.described, r)
		}
		if r.Offer == nil {
			p.said = r.Answer
		}
	case r.Status == 180 && p.described > 0:
		t.Fatal("180 after a 183 with SDP")
	case r.Status/100 == 2:
		switch {
		case p.pending && !p.confirming:
			t.Fatal("200 before the PRACK")
		case p.described > 0 && r.Offer != nil:
			t.Fatal("a 200 offers after a 183 with SDP")
		case p.said != nil && !p.changed && (r.Answer == nil || *r.Answer != *p.said):
			t.Fatalf("200 says %+v, 183 %+v", r.Answer, p.said)
		}
	}
}

func earlyEvent() *rapid.Generator[call.Event] {
	answer := call.Answer{Codec: call.Codec{Name: "PCMU"}}
	return rapid.SampledFrom([]call.Event{
		{Kind: call.Invited}, joined, joined,
		{Kind: call.AgentJoined, Answer: &answer, Offer: &call.Offer{}},
		{Kind: call.EarlyReady, Answer: &answer}, {Kind: call.EarlyReady, Answer: &answer, Offer: &call.Offer{}},
		{Kind: call.Confirmed}, {Kind: call.Confirmed, Answer: &answer},
		{Kind: call.AnswerAsked}, {Kind: call.AnswerAsked, Dispatch: 1},
		{Kind: call.CarrierOffered, Offer: &call.Offer{Codecs: []call.Codec{answer.Codec}}},
		{Kind: call.SignalledDigit, Digit: "5"},
		{Kind: call.TimerDue, Timer: call.TimerAgent}, {Kind: call.AgentLeft, Cause: call.CauseAgentLost},
		{Kind: call.Hangup, Status: 486, Cause: call.CauseRejected(486)},
	})
}
