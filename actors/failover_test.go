package actors_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// TestAJobNamesTheAgentsThatAreAskedNext: those that are gone or asleep are
// passed over, what does not fit in a message is left out, and the endpoint's
// word on trust holds for all.
func TestAJobNamesTheAgentsThatAreAskedNext(t *testing.T) {
	large := json.RawMessage(`"` + strings.Repeat("x", 40<<10) + `"`)
	for name, c := range map[string]struct {
		failover []string
		want     []string
	}{
		"none":       {nil, nil},
		"in order":   {[]string{"b", "a"}, []string{"b", "a"}},
		"gone":       {[]string{"nobody", "a"}, []string{"a"}},
		"asleep":     {[]string{"asleep", "a"}, []string{"a"}},
		"too large":  {[]string{"large1", "a", "large2", "large3"}, []string{"large1", "a", "large2"}},
		"not theirs": {[]string{"a"}, []string{"a"}}, // a's own list does not count
	} {
		synctest.Test(t, func(t *testing.T) {
			store, desk := newShelf(), newDesk()
			store.agents = map[string]endpoint.Agent{
				"bot": {ID: "bot", IsActive: true, Failover: c.failover}, "a": {ID: "a", IsActive: true, Failover: []string{"b"}}, "b": {ID: "b", IsActive: true},
				"asleep": {ID: "asleep"},
			}
			for _, id := range []string{"large1", "large2", "large3"} {
				store.agents[id] = endpoint.Agent{ID: id, IsActive: true, WebRTC: endpoint.AgentTransport{Session: large}}
			}
			to := store.put("desk", func(e *endpoint.Endpoint) { e.CallerIDTrusted = ptr(true) })
			d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
			if got := d.dial(to, "c1"); !got.Taken {
				t.Fatalf("%s: %+v", name, got)
			}
			var got []string
			for _, a := range desk.jobs[0].Failover {
				got = append(got, a.ID)
				if !a.TrustCallerID {
					t.Errorf("%s: %s does not trust the caller", name, a.ID)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
		})
	}
}

// TestACallAsksItsAgentsInTurnAndHasOneRecord follows what the bridge is told.
func TestACallAsksItsAgentsInTurnAndHasOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		j := job("c1")
		j.Failover = []endpoint.Agent{{ID: "spare", IsActive: true, WebRTC: endpoint.AgentTransport{OnClose: call.OnCloseHold}}}
		id := ph.Offer(j).ID
		synctest.Wait()
		b := ph.bridges[id]
		post := func(ev call.Event) {
			b.post(ev)
			synctest.Wait()
		}
		if first := ph.request[id].Asked; first.Agent.ID != "bot" || first.Number != 1 || first.Patient || time.Until(first.Deadline) != 10*time.Second {
			t.Errorf("first asked %+v", first)
		}
		post(call.Event{Kind: call.AgentFailed, Cause: call.CauseAgentBusy, Dispatch: 1})
		post(call.Event{Kind: call.AgentJoined, Dispatch: 1, Answer: &call.Answer{}}) // of one that was given up
		if s, err := ph.Get(t.Context(), id); err != nil || s.State != call.StateTrying || s.Agent != "spare" {
			t.Fatalf("%+v, %v", s, err)
		}
		post(call.Event{Kind: call.AgentJoined, Dispatch: 2, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		ph.says(t, id, "ACK")
		post(call.Event{Kind: call.AgentLeft, Cause: call.CauseAgentLost, Dispatch: 2})
		if s, err := ph.Get(t.Context(), id); err != nil || s.State != call.StateHeld {
			t.Fatalf("%+v, %v", s, err)
		}
		post(call.Event{Kind: call.AgentJoined, Dispatch: 3, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		ph.says(t, id, "BYE")
		if len(b.asked) != 2 || b.asked[0].Agent.ID != "spare" || b.asked[0].Epoch != 1 || !b.asked[0].Patient ||
			b.asked[1].Agent.ID != "spare" || b.asked[1].Epoch != 2 || b.asked[1].Cause != call.CauseAgentLost || b.closed != 1 {
			t.Errorf("asked %+v, closed %d times", b.asked, b.closed)
		}
		if len(ph.records) != 1 || ph.records[0].Resumed != 1 || ph.records[0].Agent != "spare" || ph.records[0].Cause != call.CauseNormal {
			t.Errorf("records %+v", ph.records)
		}
	})
}
