package dialog_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// TestEveryKeyIsAnsweredOnceInItsOrderOrToldBack presses random keys for a
// carrier that answers, refuses, loses and repeats what it likes: one INFO is
// under way at a time, CSeqs rise, and each key was either taken, in its order,
// or came back to the agent.
func TestEveryKeyIsAnsweredOnceInItsOrderOrToldBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := newSim(t, sceneOf(map[string]string{"transport": rapid.SampledFrom([]string{"udp", "tcp"}).Draw(r, "transport")}))
		s.do(step{from: carrier, text: "INVITE allow=INVITE,INFO"})
		s.do(step{from: agent, text: "joined PCMU"})
		s.do(step{from: carrier, text: "ACK"})
		pressed, settled, open, last := "", "", "", ""
		asked := "" // of the last press
		s.sent = func(tx call.Transmission) {
			raw := string(tx.Raw)
			if !strings.HasPrefix(raw, "INFO ") {
				return
			}
			seq := strings.Fields(header(raw, "CSeq"))[0]
			if seq == last {
				return // a copy
			}
			if open != "" || len(seq) < len(last) || len(seq) == len(last) && seq < last {
				r.Fatalf("INFO %s while %q is under way after %s\n%s", seq, open, last, s.String())
			}
			_, key, _ := strings.Cut(raw, "Signal=")
			open, last = key[:1], seq
		}
		s.heardEvents = func(name string, ev call.Event) {
			back := strings.ReplaceAll(ev.Keys, "w", "")
			switch {
			case name != call.EventDigitsFailed:
			case ev.Reason == call.ReasonTooMany: // none of that press has waited: they overtake those that do
				if back != asked {
					r.Fatalf("of %s too many were %s\n%s", asked, back, s.String())
				}
				pressed = strings.TrimSuffix(pressed, back)
			default:
				settled += back
				open = ""
			}
		}
		for range rapid.IntRange(1, 20).Draw(r, "rows") {
			s.runUntil(s.now + time.Duration(rapid.SampledFrom([]int{0, 10, 200, 700, 5000}).Draw(r, "pause"))*time.Millisecond)
			switch what := rapid.SampledFrom([]string{"press", "press", "200", "200", "200", "488", "again"}).Draw(r, "what"); {
			case what == "press":
				keys := rapid.StringMatching("[0-9#*w]{1,9}").Draw(r, "keys")
				asked = strings.ReplaceAll(keys, "w", "")
				pressed += asked
				s.do(step{from: agent, text: "press " + keys})
			case s.peer.ours["INFO"] == "": // nothing to answer
			case what == "200":
				settled += open
				open = ""
				s.do(step{from: carrier, text: "200 to INFO"})
			case what == "488" && open != "":
				s.do(step{from: carrier, text: "488 to INFO"})
			}
		}
		for range 200 { // all that wait are taken
			s.runUntil(s.now + 700*time.Millisecond)
			if open != "" {
				settled += open
				open = ""
				s.do(step{from: carrier, text: "200 to INFO"})
			}
		}
		if settled != pressed {
			r.Fatalf("pressed %s, and %s was taken or came back\n%s", pressed, settled, s.String())
		}
	})
}

func TestMoreKeysThanMayWaitComeBack(t *testing.T) {
	t.Parallel()
	s := newSim(t, sceneOf(nil))
	s.do(step{from: carrier, text: "INVITE allow=INFO"})
	s.do(step{from: agent, text: "joined PCMU"})
	s.do(step{from: carrier, text: "ACK"})
	var back []call.Event
	s.heardEvents = func(name string, ev call.Event) {
		if name == call.EventDigitsFailed {
			back = append(back, ev)
		}
	}
	s.do(step{from: agent, text: "press " + strings.Repeat("1", call.MaxKeysWaiting)})
	s.do(step{from: agent, text: "press 2"}) // the first has left the queue
	s.do(step{from: agent, text: "press 34"})
	if len(back) != 1 || back[0].Keys != "34" || back[0].Reason != call.ReasonTooMany {
		t.Errorf("came back: %+v", back)
	}
}
