package actors_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors/call"
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

// TestTheEventsOfACall pins what docs/records.md shows.
func TestTheEventsOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.answered(t, "c1")
		time.Sleep(3 * time.Second)
		ph.bridges[id].post(call.Event{Kind: call.Digit, Digit: "5", Held: 120 * time.Millisecond})
		synctest.Wait()
		time.Sleep(2 * time.Second)
		ph.says(t, id, "BYE")
		for _, ev := range ph.told {
			text, err := json.MarshalIndent(ev, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, "testdata/events/"+ev.Type+".json", append(text, '\n'))
		}
		if len(ph.told) != 5 {
			t.Errorf("%d events: %v", len(ph.told), ph.events)
		}
	})
}
