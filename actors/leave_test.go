package actors_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
)

func TestTheLedgerHearsOfACallAtItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		if len(ph.begun) != 1 {
			t.Fatalf("%d beginnings", len(ph.begun))
		}
		rec := ph.begun[0]
		if rec.ID != id || rec.Tenant == "" || rec.Endpoint == "" || rec.Agent == "" || rec.Node != "m1" || rec.SIPCallID == "" ||
			rec.Stages.Invited.IsZero() || rec.Status != 0 || !rec.Stages.Ended.IsZero() {
			t.Errorf("got %+v", rec)
		}
		if ph.sent[0] != "100" {
			t.Errorf("sent %v: the 100 comes first", ph.sent)
		}
	})
}

func TestACallWhoseByeHasNoAnswerHasItsRecordWhenTheNodeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.answered(t, "c1")
		live := ph.answered(t, "c2")
		ph.HangupAll(call.CauseDrain)
		synctest.Wait()
		if len(ph.records) != 0 {
			t.Fatalf("%d records before the BYE was answered", len(ph.records))
		}
		ph.says(t, live, "200 BYE")
		ph.Stop()
		if len(ph.records) != 2 {
			t.Fatalf("%d records", len(ph.records))
		}
		for _, rec := range ph.records {
			if rec.Cause != call.CauseDrain || rec.EndedBy != call.ByNode || rec.Stages.Ended.IsZero() {
				t.Errorf("got %+v", rec)
			}
		}
	})
}

// TestTheEventsOfACall pins what docs/records.md shows: a call whose owner's
// webhook names two agents, of which the first is busy, and the second leaves
// and comes back.
func TestTheEventsOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		spare := endpoint.Agent{ID: "spare", IsActive: true}
		spare.WebRTC.OnClose = string(call.OnCloseHold)
		ph.rule = &actors.Ruling{V: 1, Agent: &endpoint.Agent{ID: "bot", IsActive: true}, Failover: []endpoint.Agent{spare}}
		j := job("c1")
		j.Agent, j.Consult = nil, &actors.Consult{WithinMs: 5000}
		taken := ph.Offer(j)
		synctest.Wait()
		happens := func(after time.Duration, ev call.Event) {
			t.Helper()
			time.Sleep(after)
			ph.bridges[taken.ID].post(ev)
			synctest.Wait()
		}
		joined := call.Event{Kind: call.AgentJoined, Agent: "w1", Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}}
		happens(time.Second, call.Event{Kind: call.AgentFailed, Status: 480, Cause: call.CauseAgentBusy})
		happens(time.Second, call.Event{Kind: call.AgentChosen, Agent: "w1"})
		happens(time.Second, joined)
		ph.says(t, taken.ID, "ACK")
		happens(3*time.Second, call.Event{Kind: call.Digit, Digit: "5", Held: 120 * time.Millisecond})
		happens(time.Second, call.Event{Kind: call.AgentLeft, Cause: call.CauseAgentLost})
		joined.Agent = "w2"
		happens(time.Second, joined)
		time.Sleep(time.Second)
		ph.says(t, taken.ID, "re-INVITE sendonly")
		if s, err := ph.Get(t.Context(), taken.ID); err != nil || !s.OnHold || s.State != call.StateEstablished {
			t.Errorf("on hold: %+v, %v", s, err)
		}
		time.Sleep(4 * time.Second)
		ph.says(t, taken.ID, "re-INVITE sendrecv")
		if s, err := ph.Get(t.Context(), taken.ID); err != nil || s.OnHold {
			t.Errorf("resumed: %+v, %v", s, err)
		}
		if b := ph.bridges[taken.ID]; len(b.agreed) != 2 || b.agreed[0].Ours.Direction != call.RecvOnly || b.agreed[1].Ours.Direction != call.SendRecv {
			t.Errorf("media was told %+v", b.agreed)
		}
		time.Sleep(2 * time.Second)
		ph.says(t, taken.ID, "BYE")
		if rec := ph.records[0]; rec.Holds != 1 || rec.HeldMs != 4000 {
			t.Errorf("the record has %d holds of %d ms", rec.Holds, rec.HeldMs)
		}
		shown := map[string]bool{}
		for _, ev := range ph.told {
			shown[ev.Type] = true
			text, err := json.MarshalIndent(ev, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "testdata/events/"+ev.Type+".json", append(text, '\n'))
		}
		for _, name := range []string{call.EventStarted, call.EventRuled, call.EventRinging, call.EventAnswered, call.EventDigit,
			call.EventAgentFailed, call.EventAgentLeft, call.EventAgentJoined, call.EventHeld, call.EventResumed, call.EventEnded} {
			if !shown[name] {
				t.Errorf("no %s among %v", name, ph.events)
			}
		}
	})
}
