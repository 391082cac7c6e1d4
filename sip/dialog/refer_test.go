package dialog_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
)

// What may happen to a call that is transferred, in any order.
var (
	referrals = []string{
		"202 to REFER", "200 to REFER refer-sub=false", "100 to REFER", "405 to REFER", "603 to REFER", "401 to REFER",
		"NOTIFY event=refer state=active frag=100", "NOTIFY event=refer state=active frag=180", "NOTIFY event=refer state=active",
		"NOTIFY event=refer state=active frag=200", "NOTIFY event=refer state=terminated frag=200", "NOTIFY event=refer state=terminated frag=486",
		"NOTIFY event=refer state=terminated", "NOTIFY event=refer;id=1 state=terminated frag=603", "NOTIFY event=refer;id=9 state=active frag=200",
		"NOTIFY event=talk state=active", "NOTIFY again", "BYE", "200 to BYE", "OPTIONS", "REFER",
	}
	moves = []string{"transfer sip:sales@pbx.example", "transfer +15551234 X-Left=yes", "attended", "left agent_hangup", "hangup operator_hangup", "digit 5"}
)

// TestATransferHasOneOutcomeWhateverHappens plays random histories of calls
// that are transferred: responses, NOTIFYs, BYEs and hangups in any order, lost
// or twice. Each transfer that the carrier is asked for has exactly one
// outcome, at most one is under way, the call ends once with one record, and
// nothing is left.
func TestATransferHasOneOutcomeWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := newSim(t, sceneOf(map[string]string{"transport": rapid.SampledFrom([]string{"udp", "tcp"}).Draw(r, "transport")}))
		begun, ended, records, transferred := 0, 0, 0, false
		s.seen = func(a actors.Action) {
			e := a.Effect
			switch {
			case a.Send != nil && strings.HasPrefix(string(a.Send.Raw), "REFER ") && records > 0:
				r.Fatalf("a REFER after the end\n%s", s.String())
			case e.Do == call.Finish:
				records++
				if done := e.Record.Transfer != nil && e.Record.Transfer.State == call.TransferDone; done != (e.Record.Cause == call.CauseTransferred) || done != transferred {
					r.Fatalf("record %+v with %+v\n%s", e.Record.Cause, e.Record.Transfer, s.String())
				}
			case e.Do != call.Emit || e.Event.Moved == nil || e.Event.Moved.Reason == call.ReasonPending || e.Event.Moved.Reason == call.ReasonNotReady:
			case e.Name == call.EventTransferring && e.Event.Kind == call.TransferAsked:
				begun++
			case e.Name == call.EventTransferred:
				ended++
				transferred = true
			case e.Name == call.EventTransferFailed:
				ended++
			}
			if begun-ended > 1 || ended > begun || records > 1 || records == 1 && begun != ended {
				r.Fatalf("%d transfers begun, %d ended, %d records\n%s", begun, ended, records, s.String())
			}
		}
		for _, text := range []string{"INVITE", "ACK"} {
			if text == "ACK" {
				s.do(step{from: agent, text: "joined PCMU"})
			}
			s.do(step{from: carrier, text: text})
		}
		s.do(step{from: agent, text: "transfer sip:first@pbx.example"})
		for range rapid.IntRange(0, 20).Draw(r, "rows") {
			s.runUntil(s.now + time.Duration(rapid.SampledFrom([]int{0, 0, 10, 600, 2100, 5000, 33000, 190000}).Draw(r, "pause"))*time.Millisecond)
			if rapid.IntRange(0, 3).Draw(r, "who") == 0 {
				s.do(step{from: agent, text: rapid.SampledFrom(moves).Draw(r, "move")})
				continue
			}
			text := rapid.SampledFrom(referrals).Draw(r, "carrier")
			if strings.HasSuffix(text, " to BYE") && s.peer.ours["BYE"] == "" || text == "NOTIFY again" && s.peer.sent["NOTIFY"].Raw == nil {
				continue
			}
			s.do(step{from: carrier, text: text})
		}
		s.do(step{from: agent, text: "hangup operator_hangup"})
		s.runUntil(s.now + 300*time.Second)
		if records != 1 || begun != ended || !s.machine.Done() {
			r.Fatalf("%d records, %d of %d transfers ended, done %t\n%s", records, ended, begun, s.machine.Done(), s.String())
		}
	})
}
