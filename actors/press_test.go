package actors_test

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"

	"patchbay/actors/call"
	"patchbay/internal/golden"
)

// spoken offers a call and has it answered.
func (p *phone) spoken(t *testing.T) call.ID {
	t.Helper()
	taken := p.Offer(job("c1"))
	synctest.Wait()
	p.bridges[taken.ID].post(call.Event{Kind: call.AgentJoined, Agent: "w1", Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
	synctest.Wait()
	p.says(t, taken.ID, "ACK")
	return taken.ID
}

// TestKeysThatDoNotReachTheCarrierAreTold has an agent press keys for a dialog
// that takes no INFO, whose media is asked for tones, and which cannot make any.
func TestKeysThatDoNotReachTheCarrierAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.spoken(t)
		b := ph.bridges[id]
		b.post(call.Event{Kind: call.DigitsAsked, Keys: "12", Dispatch: 1})
		synctest.Wait()
		if !slices.Equal(b.pressed, []string{"12"}) {
			t.Fatalf("media was asked for %v", b.pressed)
		}
		b.post(call.Event{Kind: call.DigitsUnsent, Keys: "2", Status: 405, Reason: call.ReasonInfoRefused})
		synctest.Wait()
		last := ph.told[len(ph.told)-1]
		text, err := json.MarshalIndent(last, "", "  ")
		if err != nil || !slices.Contains(b.heard, call.EventDigitsFailed) {
			t.Fatalf("the agent heard %v; %v", b.heard, err)
		}
		golden.Compare(t, "testdata/events/"+last.Type+".json", append(text, '\n'))
		ph.says(t, id, "BYE")
	})
}

// TestHeadersOfTheInviteAreOfTheFirstEventAndTheRecord has them there, and
// nowhere else.
func TestHeadersOfTheInviteAreOfTheFirstEventAndTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		ph.headers = []call.Header{{Name: "Diversion", Value: "<sip:+4930@carrier.example>"}, {Name: "X-Campaign", Value: "spring"}}
		ph.says(t, ph.spoken(t), "BYE")
		for _, ev := range ph.told {
			got, ok := ev.Data["headers"].([]call.Header)
			if ok != (ev.Type == call.EventStarted) || ok && !slices.Equal(got, ph.headers) {
				t.Errorf("%s: %v", ev.Type, ev.Data["headers"])
			}
			if ev.Type == call.EventStarted {
				text, err := json.MarshalIndent(ev, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				golden.Compare(t, "testdata/events/headers/"+ev.Type+".json", append(text, '\n'))
			}
		}
		if !slices.Equal(ph.records[0].Headers, ph.headers) {
			t.Errorf("the record has %v", ph.records[0].Headers)
		}
	})
}
