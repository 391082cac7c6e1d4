package call_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

func newConsulted() *call.Call {
	return call.New(call.Params{ID: 6, Tenant: "default", Endpoint: "k", Node: "n1", DecisionID: "d1", Consult: 8 * time.Second})
}

var (
	accepted = call.Event{Kind: call.Ruled, Ruling: &call.Ruling{Agents: []call.Candidate{{ID: "bot"}}, AgentTimeout: 20 * time.Second, MaxDuration: time.Hour}}
	refused  = call.Event{Kind: call.Ruled, Ruling: &call.Ruling{Status: 486, By: call.ByOwner, Cause: call.Cause{Q850: 21, Word: "webhook_rejected"}}}
)

func TestACallWaitsForItsOwner(t *testing.T) {
	t.Parallel()
	kind := func(k call.EventKind) call.Event { return call.Event{Kind: k} }
	begin := []call.Event{kind(call.Invited)}
	ruled := append(slices.Clone(begin), accepted)
	const gone = "disarm ruling, respond %, emit call.ended, finish "
	for name, tc := range map[string]struct {
		before []call.Event
		ev     call.Event
		want   string
	}{
		"an INVITE is ours and its owner is asked": {nil, kind(call.Invited), "respond 100, arm ruling, ask-ruling, emit call.started"},
		"an agent is named":                        {begin, accepted, "disarm ruling, arm agent, open-bridge, emit call.ruled"},
		"refused":                                  {begin, refused, strings.Replace(gone, "%", "486", 1) + "owner webhook_rejected"},
		"a ruling that says nothing":               {begin, kind(call.Ruled), ""},
		"CANCEL":                                   {begin, kind(call.Cancelled), strings.Replace(gone, "%", "487", 1) + "carrier cancelled"},
		"BYE in an early dialog":                   {begin, kind(call.CarrierBye), strings.Replace(gone, "%", "487", 1) + "carrier cancelled"},
		"an operator hangs up":                     {begin, call.Event{Kind: call.Hangup, Cause: call.CauseOperator}, strings.Replace(gone, "%", "480", 1) + "operator operator_hangup"},
		"no ruling in time":                        {begin, call.Event{Kind: call.TimerDue, Timer: call.TimerRuling}, strings.Replace(gone, "%", "504", 1) + "owner webhook_timeout"},
		"another timer":                            {begin, call.Event{Kind: call.TimerDue, Timer: call.TimerAgent}, ""},
		"news of a bridge that is not open":        {begin, joined, ""},
		"a second ruling":                          {ruled, refused, ""},
		"a ruling after CANCEL":                    {append(slices.Clone(begin), kind(call.Cancelled)), accepted, ""},
		"the ruling's timer, too late":             {ruled, call.Event{Kind: call.TimerDue, Timer: call.TimerRuling}, ""},
		"CANCEL after the ruling":                  {ruled, kind(call.Cancelled), "disarm agent, respond 487, emit call.ended, close-bridge cancelled, finish carrier cancelled"},
		"the agent joins":                          {ruled, joined, "disarm agent, respond 200, arm duration, emit call.answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConsulted()
			for _, ev := range tc.before {
				c.Step(epoch, ev)
			}
			if got := words(c.Step(epoch, tc.ev)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestARecordSaysWhenTheOwnerDecided(t *testing.T) {
	t.Parallel()
	c := newConsulted()
	c.Step(epoch, call.Event{Kind: call.Invited})
	c.Step(epoch.Add(3*time.Second), accepted)
	if rec := c.Record(); rec.Agent != "bot" || !rec.Stages.Ruled.Equal(epoch.Add(3*time.Second)) || c.State() != call.StateTrying {
		t.Errorf("state %s, record %+v", c.State(), rec)
	}
}

// TestEveryOrderOfEventsEndsAConsultedCallOnce plays random histories of calls
// that wait for their owner: at most one final response, no bridge before an
// agent is named, one end.
func TestEveryOrderOfEventsEndsAConsultedCallOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newConsulted()
		var seen promises
		named := false
		step := func(ev call.Event) {
			named = named || ev.Ruling != nil && len(ev.Ruling.Agents) > 0 && c.State() == call.StateDeciding
			for _, e := range c.Step(epoch, ev) {
				if e.Do == call.OpenBridge && !named {
					t.Fatal("a bridge before its ruling")
				}
				seen.note(t, e)
			}
		}
		history := rapid.SliceOfN(rapid.OneOf(anyEvent(), rapid.SampledFrom([]call.Event{accepted, refused, {Kind: call.TimerDue, Timer: call.TimerRuling}})), 0, 40)
		for _, ev := range history.Draw(t, "events") {
			step(ev)
		}
		for _, ev := range []call.Event{{Kind: call.Invited}, {Kind: call.Hangup, Cause: call.CauseDrain}, {Kind: call.ByeDone}} {
			step(ev)
		}
		if seen.finished != 1 || seen.opened != seen.closed || seen.ended != 1 || !seen.final {
			t.Fatalf("at the end: %+v", seen)
		}
	})
}
