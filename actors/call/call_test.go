package call_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newCall has one agent, unless some are given.
func newCall(agents ...call.Candidate) *call.Call {
	if len(agents) == 0 {
		agents = []call.Candidate{{ID: "echo"}}
	}
	return call.New(call.Params{
		ID: 6, Tenant: "default", Endpoint: "k", Agents: agents, Node: "n1", DecisionID: "d1",
		Invitation: call.Invitation{
			Key:       call.TransactionKey{CallID: "c@carrier", FromTag: "f", CSeq: 1},
			From:      call.Party{User: "alice"},
			Transport: call.UDP, Source: "192.0.2.1:5060",
		},
		AgentTimeout: 20 * time.Second, MaxDuration: time.Hour,
	})
}

var joined = call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}}

// words renders effects as a reader would say them.
func words(effects []call.Effect) string {
	var out []string
	for _, e := range effects {
		w := string(e.Do)
		switch e.Do {
		case call.Respond:
			w += " " + itoa(e.Response.Status)
		case call.AskAgent:
			w += " " + string('0'+rune(e.Dispatch.Agent))
			if e.Dispatch.Resumes() {
				w += " resumes"
			}
		case call.Arm, call.Disarm:
			w += " " + string(e.Timer)
		case call.Emit:
			w += " " + e.Name
		case call.CloseBridge, call.SendBye:
			w += " " + e.Cause.Word
		case call.TellOther:
			w += " " + itoa(int(e.Other))[2:] + " " + string(e.Event.Kind)
		case call.Couple:
			w += " " + itoa(int(e.Other))[2:]
		case call.Finish:
			w += " " + e.Record.EndedBy + " " + e.Record.Cause.Word
		}
		out = append(out, w)
	}
	return strings.Join(out, ", ")
}

func itoa(n int) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

func TestACallIsWalkedThroughItsLife(t *testing.T) {
	t.Parallel()
	kind := func(k call.EventKind) call.Event { return call.Event{Kind: k} }
	begin := []call.Event{kind(call.Invited)}
	ringing := append(slices.Clone(begin), call.Event{Kind: call.AgentChosen, Agent: "w1"})
	answered := append(slices.Clone(ringing), joined)
	established := append(slices.Clone(answered), kind(call.Acked))
	byOurs := append(slices.Clone(established), call.Event{Kind: call.AgentLeft, Cause: call.CauseAgentHangup})
	const rejected = "disarm agent, respond %, emit call.ended, close-bridge "
	const bye, done = "send-bye ", ", disarm duration, emit call.ended, close-bridge "
	for name, tc := range map[string]struct {
		before []call.Event
		ev     call.Event
		want   string
	}{
		"an INVITE is ours and looks for an agent":  {nil, kind(call.Invited), "respond 100, arm agent, open-bridge, emit call.started"},
		"a chosen agent rings":                      {begin, kind(call.AgentChosen), "respond 180, emit call.ringing"},
		"a second chosen agent is silent":           {ringing, kind(call.AgentChosen), ""},
		"a joined agent answers":                    {ringing, joined, "disarm agent, respond 200, arm duration, emit call.answered"},
		"an agent without an answer has not joined": {ringing, kind(call.AgentJoined), ""},
		"an ACK is quiet":                           {answered, kind(call.Acked), ""},
		"CANCEL while ringing":                      {ringing, kind(call.Cancelled), strings.Replace(rejected, "%", "487", 1) + "cancelled, finish carrier cancelled"},
		"CANCEL after the answer changes nothing":   {answered, kind(call.Cancelled), ""},
		"BYE in an early dialog":                    {ringing, kind(call.CarrierBye), strings.Replace(rejected, "%", "487", 1) + "cancelled, finish carrier cancelled"},
		"no agent took the call":                    {begin, call.Event{Kind: call.AgentFailed, Status: 480, Cause: call.CauseNoAgent}, strings.Replace(rejected, "%", "480", 1) + "no_agent, finish node no_agent"},
		"no common codec":                           {ringing, call.Event{Kind: call.AgentFailed, Cause: call.CauseNoCodec}, strings.Replace(rejected, "%", "488", 1) + "no_common_codec, finish agent no_common_codec"},
		"no ports":                                  {begin, call.Event{Kind: call.AgentFailed, Cause: call.CauseNoPorts}, strings.Replace(rejected, "%", "503", 1) + "no_ports, finish node no_ports"},
		"a status that is no failure is not sent":   {begin, call.Event{Kind: call.AgentFailed, Status: 200, Cause: call.CauseAgentFailed}, strings.Replace(rejected, "%", "480", 1) + "agent_failed, finish agent agent_failed"},
		"the agent timer":                           {ringing, call.Event{Kind: call.TimerDue, Timer: call.TimerAgent}, strings.Replace(rejected, "%", "480", 1) + "no_agent, finish node no_agent"},
		"the agent timer, too late":                 {answered, call.Event{Kind: call.TimerDue, Timer: call.TimerAgent}, ""},
		"an operator hangs up before the answer":    {ringing, call.Event{Kind: call.Hangup, Cause: call.CauseOperator}, strings.Replace(rejected, "%", "480", 1) + "operator_hangup, finish operator operator_hangup"},
		"a drain before the answer":                 {ringing, call.Event{Kind: call.Hangup, Cause: call.CauseDrain}, strings.Replace(rejected, "%", "503", 1) + "node_drained, finish node node_drained"},
		"the carrier hangs up":                      {established, kind(call.CarrierBye), "disarm duration, emit call.ended, close-bridge normal_clearing, finish carrier normal_clearing"},
		"the carrier hangs up before its ACK":       {answered, kind(call.CarrierBye), "disarm duration, emit call.ended, close-bridge normal_clearing, finish carrier normal_clearing"},
		"the agent hangs up":                        {established, call.Event{Kind: call.AgentLeft}, bye + "agent_hangup" + done + "agent_hangup"},
		"silence":                                   {established, call.Event{Kind: call.MediaTimeout, Cause: call.CauseNoFirstRTP}, bye + "no_first_rtp" + done + "no_first_rtp"},
		"the longest call":                          {established, call.Event{Kind: call.TimerDue, Timer: call.TimerDuration}, bye + "max_duration" + done + "max_duration"},
		"no ACK":                                    {answered, kind(call.AckMissing), bye + "no_ack" + done + "no_ack"},
		"no ACK, said too late":                     {established, kind(call.AckMissing), ""},
		"a key is pressed":                          {established, call.Event{Kind: call.Digit, Digit: "5"}, "emit dtmf"},
		"our BYE is answered":                       {byOurs, kind(call.ByeDone), "finish agent agent_hangup"},
		"their BYE crosses ours":                    {byOurs, kind(call.CarrierBye), "finish agent agent_hangup"},
		"nothing follows the end":                   {append(slices.Clone(byOurs), kind(call.ByeDone)), kind(call.ByeDone), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCall()
			for _, ev := range tc.before {
				c.Step(epoch, ev)
			}
			if got := words(c.Step(epoch, tc.ev)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestARecordHoldsTheMomentsOfTheCall(t *testing.T) {
	t.Parallel()
	c := newCall()
	var rec *call.Record
	for i, ev := range []call.Event{
		{Kind: call.Invited}, {Kind: call.AgentChosen, Agent: "w1"}, joined, {Kind: call.Acked},
		{Kind: call.FirstRTP}, {Kind: call.FirstAgentRTP}, {Kind: call.FirstRTP},
		{Kind: call.Hangup, Cause: call.CauseOperator}, {Kind: call.ByeDone, Status: 200},
	} {
		for _, e := range c.Step(epoch.Add(time.Duration(i)*time.Second), ev) {
			if e.Do == call.Finish {
				rec = e.Record
			}
		}
	}
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	want := call.Record{
		ID: 6, Tenant: "default", Endpoint: "k", Agent: "echo", Worker: "w1", Node: "n1", DecisionID: "d1",
		SIPCallID: "c@carrier", From: call.Party{User: "alice"}, Transport: call.UDP, Source: "192.0.2.1:5060",
		Codec: "PCMU", Status: 200, Cause: call.CauseOperator, EndedBy: call.ByOperator,
		Stages: call.Stages{Invited: at(0), AgentChosen: at(1), Answered: at(2), Acked: at(3),
			FirstRTP: at(4), FirstAgentRTP: at(5), Ended: at(7)},
	}
	if rec == nil || !reflect.DeepEqual(*rec, want) {
		t.Errorf("got  %+v\nwant %+v", rec, want)
	}
}

func TestTheCarriersReasonReplacesOurs(t *testing.T) {
	t.Parallel()
	c := newCall()
	for _, ev := range []call.Event{{Kind: call.Invited}, joined, {Kind: call.Acked}} {
		c.Step(epoch, ev)
	}
	c.Step(epoch, call.Event{Kind: call.CarrierBye, Cause: call.Cause{Q850: 38}})
	if got, want := c.Record().Cause, (call.Cause{Q850: 38, Word: "carrier_cleared"}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestA503SaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	c := newCall()
	c.Step(epoch, call.Event{Kind: call.Invited})
	for _, e := range c.Step(epoch, call.Event{Kind: call.AgentFailed, Cause: call.CauseNoPorts}) {
		if e.Do == call.Respond && (e.Response.RetryAfter < time.Second || e.Response.RetryAfter > 4*time.Second) {
			t.Errorf("Retry-After %v, want 1 to 4 s", e.Response.RetryAfter)
		}
	}
}

// TestEveryOrderOfEventsEndsOnce plays random histories: whatever happens in
// whatever order, the promises of Step hold.
func TestEveryOrderOfEventsEndsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newCall()
		if rapid.Bool().Draw(t, "many agents") {
			c = newCall(holder(), holder(), holder())
		}
		var seen promises
		for _, ev := range rapid.SliceOfN(anyEvent(), 0, 40).Draw(t, "events") {
			over := c.Over()
			effects := c.Step(epoch, ev)
			if over && len(effects) > 0 {
				t.Fatalf("%s after the end: %s", ev.Kind, words(effects))
			}
			seen.cancelled = seen.cancelled || ev.Kind == call.Cancelled && !seen.final && c.State() != call.StateNew
			for _, e := range effects {
				seen.note(t, e)
			}
		}
		// Whatever is left ends within one hangup and its BYE.
		for _, ev := range []call.Event{{Kind: call.Invited}, {Kind: call.Hangup, Cause: call.CauseDrain}, {Kind: call.ByeDone}} {
			for _, e := range c.Step(epoch, ev) {
				seen.note(t, e)
			}
		}
		if seen.finished != 1 || seen.opened != 1 || seen.closed != 1 || seen.ended != 1 || !seen.final {
			t.Fatalf("at the end: %+v", seen)
		}
	})
}

type promises struct {
	final, cancelled                bool
	opened, closed, ended, finished int
	asked                           int // beside the first
}

func (p *promises) note(t *rapid.T, e call.Effect) {
	switch e.Do {
	case call.Respond:
		if p.final {
			t.Fatalf("%d after a final response", e.Response.Status)
		}
		if p.cancelled && e.Response.Status/100 == 2 {
			t.Fatalf("2xx after CANCEL")
		}
		p.final = e.Response.Status >= 200
	case call.OpenBridge:
		p.opened++
	case call.AskAgent:
		if p.opened != 1 || p.closed != 0 {
			t.Fatalf("an agent is asked: %+v", *p)
		}
		p.asked++
	case call.CloseBridge:
		p.closed++
	case call.Finish:
		p.finished++
	case call.Emit:
		if e.Name == call.EventEnded {
			p.ended++
		}
	}
	if p.finished > 1 || p.closed > p.opened || p.opened > 1 {
		t.Fatalf("%s: %+v", e.Do, *p)
	}
}

func anyEvent() *rapid.Generator[call.Event] {
	kinds := []call.EventKind{
		call.Invited, call.Cancelled, call.Acked, call.AckMissing, call.CarrierBye, call.ByeDone,
		call.AgentChosen, call.AgentJoined, call.AgentFailed, call.AgentLeft, call.MediaTimeout,
		call.FirstRTP, call.FirstAgentRTP, call.Digit, call.Hangup, call.TimerDue, "unheard-of",
	}
	causes := []call.Cause{{}, call.CauseNoAgent, call.CauseNoPorts, call.CauseOperator, call.CauseDrain, call.CauseNoCodec, call.CauseAgentLost}
	return rapid.Custom(func(t *rapid.T) call.Event {
		ev := call.Event{
			Kind:   rapid.SampledFrom(kinds).Draw(t, "kind"),
			Cause:  rapid.SampledFrom(causes).Draw(t, "cause"),
			Status: rapid.SampledFrom([]int{0, 100, 200, 302, 480, 503, 999}).Draw(t, "status"),
			Timer:  rapid.SampledFrom([]call.Timer{call.TimerAgent, call.TimerDuration}).Draw(t, "timer"),
		}
		ev.Dispatch = rapid.IntRange(0, 4).Draw(t, "dispatch")
		if rapid.Bool().Draw(t, "answer") {
			ev.Answer = joined.Answer
		}
		return ev
	})
}

func BenchmarkACallFromInviteToBye(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		c := newCall()
		for _, ev := range []call.Event{{Kind: call.Invited}, {Kind: call.AgentChosen}, joined, {Kind: call.Acked}, {Kind: call.CarrierBye}} {
			c.Step(epoch, ev)
		}
	}
}
