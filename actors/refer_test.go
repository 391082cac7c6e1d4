package actors_test

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/golden"
)

var _ actors.Referrer = (*dialog)(nil)

func (d *dialog) Refer(_ time.Time, t call.Transfer) []call.Output { return d.send("REFER " + t.To) }
func (d *dialog) ByeWith(now time.Time, cause call.Cause, _ []call.Header) []call.Output {
	return d.Bye(now, cause)
}
func (d *dialog) ID() call.DialogID {
	if d.sipID != "" {
		return call.DialogID{CallID: d.sipID, OurTag: "ours", TheirTag: "theirs"}
	}
	return call.DialogID{CallID: "c1", OurTag: "ours", TheirTag: "theirs"}
}

func (d *dialog) referred(kind call.EventKind, status int) []call.Output {
	return append(d.send("200 NOTIFY"), call.Output{Event: &call.Event{Kind: kind, Status: status}})
}

// TestTransfersAreToldAsTheyGo transfers a call to one who is busy, then to one
// who answers. The events are the documents' examples.
func TestTransfersAreToldAsTheyGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		taken := ph.Offer(job("c1"))
		synctest.Wait()
		ph.bridges[taken.ID].post(call.Event{Kind: call.AgentJoined, Agent: "w1", Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		synctest.Wait()
		transfer := func(to string) {
			t.Helper()
			time.Sleep(time.Second)
			if err := ph.Transfer(taken.ID, call.Transfer{To: to, By: call.ByOperator}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		transfer("sip:early@pbx.example.com") // before the ACK
		ph.says(t, taken.ID, "ACK")
		transfer("sip:sales@pbx.example.com")
		ph.says(t, taken.ID, "NOTIFY 486")
		status, err := ph.Get(t.Context(), taken.ID)
		if err != nil || status.Transfer == nil || status.Transfer.State != call.TransferFailed || status.Dialog == nil || status.Dialog.TheirTag != "theirs" {
			t.Errorf("after the first: %+v, %v", status.Transfer, err)
		}
		transfer("sip:support@pbx.example.com")
		ph.says(t, taken.ID, "NOTIFY 180")
		time.Sleep(time.Second)
		ph.says(t, taken.ID, "NOTIFY 200")
		time.Sleep(call.LeaveWait)
		synctest.Wait()
		ph.says(t, taken.ID, "200")
		var got []string
		for _, ev := range ph.told {
			switch ev.Type {
			case call.EventTransferring, call.EventTransferred, call.EventTransferFailed:
				got = append(got, ev.Type)
				text, err := json.MarshalIndent(ev, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				if ev.Data["to"] != "sip:early@pbx.example.com" && !(ev.Type == call.EventTransferring && ev.Data["status"] == nil) {
					golden.Compare(t, "testdata/events/"+ev.Type+".json", append(text, '\n'))
				}
			}
		}
		want := []string{call.EventTransferFailed, call.EventTransferring, call.EventTransferFailed, call.EventTransferring, call.EventTransferring, call.EventTransferred}
		if !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if len(ph.records) != 1 {
			t.Fatalf("%d records", len(ph.records))
		}
		rec := ph.records[0]
		if rec.Cause != call.CauseTransferred || rec.EndedBy != call.ByOperator || rec.Transfer == nil || rec.Transfer.State != call.TransferDone ||
			rec.Transfer.To != "sip:support@pbx.example.com" || rec.Transfer.Status != 200 || rec.Transfer.Ended.IsZero() {
			t.Errorf("record %+v, transfer %+v", rec, rec.Transfer)
		}
	})
}
