package call_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// transferred is call 6 with an agent, which somebody has asked to transfer.
func transferred(t call.Transfer) *call.Call {
	c := newCall()
	for _, ev := range []call.Event{{Kind: call.Invited}, joined, {Kind: call.Acked}, {Kind: call.TransferAsked, Transfer: &t}} {
		c.Step(epoch, ev)
	}
	return c
}

// newTarget is call 9, which is placed for call 6.
func newTarget() *call.Call {
	c := call.New(call.Params{ID: 9, Tenant: "default", Node: "n1", Outbound: true, Trunk: "t", RingTimeout: time.Minute, MaxDuration: time.Hour, For: 6})
	c.Step(epoch, placed.ev)
	c.Step(epoch, ready.ev)
	return c
}

// outcomes counts what is told of transfers.
func outcomes(effects []call.Effect) (n int) {
	for _, e := range effects {
		if e.Do == call.Emit && (e.Name == call.EventTransferred || e.Name == call.EventTransferFailed) {
			n++
		}
	}
	return n
}

func TestATransferIsWalkedThroughWithoutTheCarrier(t *testing.T) {
	t.Parallel()
	bridge := call.Transfer{To: "+4930", Mode: call.TransferBridge, Trunk: "t", By: call.ByAgent}
	auto := bridge
	auto.Mode = ""
	told := call.Event{Kind: call.TargetTold, Other: 9}
	answers := call.Event{Kind: call.TargetReady, Other: 9, Answer: joined.Answer}
	const calls = "emit call.transferring, arm transfer, place-target"
	const done = "disarm transfer, emit call.transferred, couple 9, tell-other 9 joined"
	for name, tc := range map[string]struct {
		transfer call.Transfer
		steps    []rung
	}{
		"refused, then called": {auto, []rung{{call.Event{Kind: call.ReferDone, Status: 405, Reason: call.ReasonRefused}, calls}, {told, "emit call.transferring"},
			{call.Event{Kind: call.TargetTold, Other: 9, Status: 180}, "emit call.transferring"}, {answers, done},
			{call.Event{Kind: call.CarrierBye}, "disarm duration, emit call.ended, close-bridge transferred, finish carrier transferred"}}},
		"unanswered, then called": {auto, []rung{{call.Event{Kind: call.ReferDone, Status: 408, Reason: call.ReasonUnanswered}, calls}}},
		"the dialog is gone":      {auto, []rung{{call.Event{Kind: call.ReferDone, Status: 481, Reason: call.ReasonRefused}, "emit call.transfer_failed"}}},
		"taken, and lost":         {auto, []rung{{call.Event{Kind: call.ReferDone, Status: 408, Reason: call.ReasonNoNotify}, "emit call.transfer_failed"}}},
		"the target is busy": {bridge, []rung{{told, "emit call.transferring"}, {call.Event{Kind: call.TargetLost, Other: 9, Status: 486}, "disarm transfer, tell-other 9 not-wanted, emit call.transfer_failed"},
			{call.Event{Kind: call.CarrierBye}, "disarm duration, emit call.ended, close-bridge normal_clearing, finish carrier normal_clearing"}}},
		"the caller leaves": {bridge, []rung{{told, "emit call.transferring"}, {call.Event{Kind: call.CarrierBye},
			"disarm duration, disarm transfer, tell-other 9 not-wanted, emit call.transfer_failed, emit call.ended, close-bridge normal_clearing, finish carrier normal_clearing"}}},
		"the target leaves": {bridge, []rung{{told, "emit call.transferring"}, {answers, done}, {call.Event{Kind: call.AgentLeft, Dispatch: 1, Cause: call.CauseAgentLost}, ""},
			{call.Event{Kind: call.AgentLeft}, "send-bye transferred, disarm duration, emit call.ended, close-bridge transferred"}, {call.Event{Kind: call.ByeDone}, "finish carrier transferred"}}},
		"another codec": {bridge, []rung{{told, "emit call.transferring"}, {call.Event{Kind: call.TargetReady, Other: 9, Answer: codec("G722")},
			"disarm transfer, tell-other 9 not-wanted, emit call.transfer_failed"}}},
		"nobody comes back": {bridge, []rung{{call.Event{Kind: call.TimerDue, Timer: call.TimerTransfer}, "disarm transfer, emit call.transfer_failed"}, {answers, "tell-other 9 not-wanted"}}},
		"of another call":   {bridge, []rung{{told, "emit call.transferring"}, {call.Event{Kind: call.TargetLost, Other: 8}, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := transferred(tc.transfer)
			for _, s := range tc.steps {
				if got := words(c.Step(epoch, s.ev)); got != s.want {
					t.Errorf("%s: got  %s\nwant %s", s.ev.Kind, got, s.want)
				}
			}
		})
	}
}

func TestAnAgentMayNotHaveEverybodyCalled(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{call.TransferBridge: call.ReasonNotAllowed, call.TransferAuto: call.ReasonRefused} {
		c := transferred(call.Transfer{To: "+4930", Mode: mode, By: call.ByAgent, Barred: call.ReasonNotAllowed})
		c.Step(epoch, call.Event{Kind: call.ReferDone, Status: 603, Reason: call.ReasonRefused})
		if got := c.Record().Transfer; got.State != call.TransferFailed || got.Reason != want {
			t.Errorf("%s: %+v", mode, got)
		}
	}
}

func TestTheCallToATargetTellsTheOtherHowItGoes(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]rung{
		"answered": {{rings.ev, "emit call.ringing, tell-other 6 target-told"},
			{pickUp.ev, "disarm ring, take-answer, arm duration, emit call.answered, arm transfer, tell-other 6 target-ready"},
			{call.Event{Kind: call.Joined, Other: 6}, "disarm transfer, emit call.joined"},
			{call.Event{Kind: call.CarrierBye}, "disarm duration, emit call.ended, close-bridge normal_clearing, finish carrier normal_clearing"}},
		"busy": {{call.Event{Kind: call.CarrierFailed, Status: 486}, "disarm ring, tell-other 6 target-lost, emit call.ended, close-bridge busy, finish carrier busy"}},
		"unanswered": {{rings.ev, "emit call.ringing, tell-other 6 target-told"}, {call.Event{Kind: call.TimerDue, Timer: call.TimerRing},
			"send-bye no_answer, disarm ring, tell-other 6 target-lost, emit call.ended, close-bridge no_answer"}},
		"not wanted": {{rings.ev, "emit call.ringing, tell-other 6 target-told"}, {call.Event{Kind: call.NotWanted, Other: 7}, ""},
			{call.Event{Kind: call.NotWanted, Other: 6}, "send-bye cancelled, disarm ring, tell-other 6 target-lost, emit call.ended, close-bridge cancelled"}},
		"nobody comes for it": {{pickUp.ev, "disarm ring, take-answer, arm duration, emit call.answered, arm transfer, tell-other 6 target-ready"},
			{call.Event{Kind: call.TimerDue, Timer: call.TimerTransfer}, "send-bye normal_clearing, disarm duration, disarm transfer, tell-other 6 target-lost, emit call.ended, close-bridge normal_clearing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTarget()
			for _, s := range steps {
				if got := words(c.Step(epoch, s.ev)); got != s.want {
					t.Errorf("%s: got  %s\nwant %s", s.ev.Kind, got, s.want)
				}
			}
		})
	}
}

func TestAnAgentHasItsOwnCallsJoined(t *testing.T) {
	t.Parallel()
	ask := func(c *call.Call, agent string) call.Event {
		for _, e := range c.Step(epoch, call.Event{Kind: call.JoinAsked, Other: 6, Agent: agent}) {
			if e.Do == call.TellOther && e.Other == 6 {
				return e.Event
			}
		}
		return call.Event{}
	}
	talking := transferred(call.Transfer{}) // settled at once: nothing came of it
	talking.Step(epoch, call.Event{Kind: call.ReferDone, Status: 481, Reason: call.ReasonRefused})
	for agent, want := range map[string]call.EventKind{"echo": call.TargetReady, "": call.TargetReady, "other": call.TargetLost} {
		if got := ask(talking, agent); got.Kind != want || want == call.TargetLost && got.Reason != call.ReasonNotAllowed {
			t.Errorf("for %q: %+v", agent, got)
		}
	}
	if got := ask(transferred(call.Transfer{To: "+4930", Mode: call.TransferBridge, Trunk: "t"}), "echo"); got.Reason != call.ReasonOtherCall {
		t.Errorf("while it is transferred itself: %+v", got)
	}
	if got := ask(newCall(), ""); got.Kind != "" {
		t.Errorf("before it began: %+v", got)
	}
}

// A pair are two calls of a node and what they tell each other, which comes in
// order, and late.
type pair struct {
	t     *rapid.T
	calls map[call.ID]*call.Call
	mail  []letter
	asked int // transfers
	told  int // outcomes
	ends  map[call.ID]int
}

type letter struct {
	to call.ID
	ev call.Event
}

func (p *pair) step(id call.ID, ev call.Event) {
	c := p.calls[id]
	if c == nil {
		return
	}
	effects := slices.Clone(c.Step(epoch, ev))
	p.told += outcomes(effects)
	for _, e := range effects {
		switch e.Do {
		case call.TellOther:
			p.mail = append(p.mail, letter{e.Other, e.Event})
		case call.PlaceTarget:
			p.place()
		case call.Couple:
			if b := p.calls[9]; b == nil || b.Over() {
				p.mail = append(p.mail, letter{id, call.Event{Kind: call.AgentLeft}})
			}
		case call.CloseBridge: // the other end of the cord hears it
			if c.Record().Joined != 0 {
				p.mail = append(p.mail, letter{c.Record().Joined, call.Event{Kind: call.AgentLeft, Cause: e.Cause}})
			}
		case call.Finish:
			p.ends[id]++
		}
	}
}

// place has the target called, as often as it is asked for: under one id.
func (p *pair) place() {
	if p.calls[9] == nil {
		p.calls[9] = call.New(call.Params{ID: 9, Outbound: true, RingTimeout: time.Minute, For: 6})
		p.mail = append(p.mail, letter{9, placed.ev}, letter{9, ready.ev})
	}
	p.mail = append(p.mail, letter{6, call.Event{Kind: call.TargetTold, Other: 9}})
}

// deliver hands over one letter.
func (p *pair) deliver() {
	if len(p.mail) > 0 {
		l := p.mail[0]
		p.mail = p.mail[1:]
		p.step(l.to, l.ev)
	}
}

// TestEachTransferHasOneOutcome plays random histories of two calls: each
// transfer that is asked for is told one end, both calls have one record, and
// when one of a joined pair is over the other is, too.
func TestEachTransferHasOneOutcome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := &pair{t: t, calls: map[call.ID]*call.Call{6: newCall(holder(), holder())}, ends: map[call.ID]int{}}
		for _, ev := range []call.Event{{Kind: call.Invited}, joined, {Kind: call.Acked}} {
			p.step(6, ev)
		}
		first := rapid.SampledFrom([]call.Event{{Kind: call.ReferTold, Status: 202}, {Kind: call.ReferDone, Status: 405, Reason: call.ReasonRefused},
			{Kind: call.ReferDone, Status: 486}, {Kind: call.ReferDone, Status: 200}, {Kind: call.ReferDone, Status: 408, Reason: call.ReasonUnanswered}, {Kind: call.CarrierBye},
			{Kind: call.Hangup}, {Kind: call.AgentLeft}, {Kind: call.TimerDue, Timer: call.TimerTransfer}, {Kind: call.ByeDone}, {Kind: call.NodeLost}, joined})
		second := rapid.SampledFrom([]call.Event{rings.ev, pickUp.ev, {Kind: call.CarrierFailed, Status: 486}, {Kind: call.CarrierBye}, {Kind: call.Hangup},
			{Kind: call.TimerDue, Timer: call.TimerRing}, {Kind: call.TimerDue, Timer: call.TimerTransfer}, {Kind: call.ByeDone}})
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				asks := p.calls[6].State()
				p.step(6, call.Event{Kind: call.TransferAsked, Transfer: &call.Transfer{To: "+4930", Trunk: "t",
					Mode: rapid.SampledFrom([]string{"", call.TransferRefer, call.TransferBridge}).Draw(t, "mode")}})
				if asks != call.StateEnding && asks != call.StateEnded {
					p.asked++
				}
			case 1:
				p.step(6, first.Draw(t, "first"))
			case 2:
				p.step(9, second.Draw(t, "second"))
			default:
				p.deliver()
			}
		}
		p.wind()
	})
}

// wind ends both calls and counts.
func (p *pair) wind() {
	for len(p.mail) > 0 {
		p.deliver()
	}
	a, b := p.calls[6], p.calls[9]
	if b != nil && a.Record().Joined != 0 && b.Record().Joined != 0 && a.Over() != b.Over() && a.State() != call.StateEnding && b.State() != call.StateEnding {
		p.t.Fatalf("joined, and one is over: %s, %s", a.State(), b.State())
	}
	for id := range p.calls {
		for _, ev := range []call.Event{{Kind: call.Hangup, Cause: call.CauseDrain}, {Kind: call.CarrierFailed, Status: 487}, {Kind: call.ByeDone}} {
			p.step(id, ev)
		}
	}
	for len(p.mail) > 0 {
		p.deliver()
	}
	if p.told != p.asked {
		p.t.Fatalf("%d transfers, %d outcomes", p.asked, p.told)
	}
	for id, c := range p.calls {
		if !c.Over() || p.ends[id] != 1 {
			p.t.Fatalf("call %s: %s, %d records", id, c.State(), p.ends[id])
		}
	}
}
