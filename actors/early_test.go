package actors_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
)

func TestACallThatIsHeardBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		j := job("c1")
		j.Early = &endpoint.EarlyPolicy{EarlyMedia: endpoint.EarlyAgent, EarlyMediaLimitMs: 5000}
		taken := ph.Offer(j)
		synctest.Wait()
		b := ph.bridges[taken.ID]
		time.Sleep(time.Second)
		b.post(call.Event{Kind: call.AgentJoined, Agent: "w1", Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		synctest.Wait()
		if got := ph.log(); !strings.HasSuffix(got, "183") {
			t.Errorf("sent %s", got)
		}
		if s, err := ph.Get(t.Context(), taken.ID); err != nil || s.State != call.StateEarly {
			t.Errorf("the call is %+v, %v", s, err)
		}
		ph.mu.Lock()
		s := ph.kept[len(ph.kept)-1]
		ph.mu.Unlock()
		if s.Answered || s.Record.Stages.EarlyMedia.IsZero() || s.Job.Early == nil {
			t.Errorf("the snapshot says %+v", s.Record)
		}
		time.Sleep(6 * time.Second) // the agent says nothing: the limit does
		synctest.Wait()
		if got := ph.log(); !b.early || !b.answered || !strings.HasSuffix(got, "200") {
			t.Errorf("early %v, answered %v, sent %s", b.early, b.answered, got)
		}
		ph.says(t, taken.ID, "BYE")
		if s := ph.records[0].Stages; s.Answered.Sub(s.EarlyMedia) != 5*time.Second {
			t.Errorf("the record says %+v", s)
		}
		for _, ev := range ph.told {
			if ev.Type == call.EventEarly {
				shows(t, ev)
			}
		}
	})
}

func shows(t *testing.T, ev actors.CallEvent) {
	t.Helper()
	text, err := json.MarshalIndent(ev, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, "testdata/events/"+ev.Type+".json", append(text, '\n'))
}

func TestACallThatRingsTellsItsBridgeWhichTone(t *testing.T) {
	for name, tc := range map[string]struct {
		policy *endpoint.EarlyPolicy
		want   string
	}{
		"none":                 {nil, ""},
		"the agent":            {&endpoint.EarlyPolicy{EarlyMedia: endpoint.EarlyAgent, RingbackTone: endpoint.TonesEU}, ""},
		"ringing":              {&endpoint.EarlyPolicy{EarlyMedia: endpoint.EarlyRingback}, "us"},
		"ringing of a country": {&endpoint.EarlyPolicy{EarlyMedia: endpoint.EarlyRingback, RingbackTone: endpoint.TonesUK}, "uk"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ph := newPhone(t, nil)
				var got string
				ph.open = func(req actors.BridgeRequest) { got = req.Ringback }
				j := job("c1")
				j.Early = tc.policy
				ph.Offer(j)
				synctest.Wait()
				if got != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			})
		})
	}
}
