package actors_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
)

var (
	_ actors.Replacer = (*phone)(nil)
	_ actors.Peered   = (*dialog)(nil)
)

func (d *dialog) Peer() netip.Addr { return d.flow.Remote.Addr() }

// Replaces reads "INVITE c2 replaces c1", to which "early" may be added.
func (ph *phone) Replaces(p call.Packet) *call.Replacing {
	words := strings.Fields(string(p.Raw))
	if len(words) < 4 || words[0] != "INVITE" || words[2] != "replaces" {
		return nil
	}
	return &call.Replacing{CallID: words[1], FromTag: "f", CSeq: 1, Branch: "b", EarlyOnly: len(words) > 4,
		Dialog: call.DialogID{CallID: words[3], OurTag: "ours", TheirTag: "theirs"}}
}

func (ph *phone) Refuse(p call.Packet, r call.Response) (call.Transmission, bool) {
	return call.Transmission{Flow: p.Flow, Raw: fmt.Append(nil, r.Status, " to ", strings.Fields(string(p.Raw))[1])}, true
}

// invites brings an INVITE from a host.
func (ph *phone) invites(t *testing.T, id call.ID, message, from string) {
	t.Helper()
	if err := ph.InDialog(id, call.Packet{Raw: []byte(message), Flow: call.Flow{Remote: netip.MustParseAddrPort(from + ":5060")}}); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	synctest.Wait()
}

// established begins a call of an endpoint in partition 9, whose decider
// answers when the test says so.
func (ph *phone) established(t *testing.T) (call.ID, *oracles) {
	t.Helper()
	a := &oracles{}
	ph.oracles = a
	j := job("c1")
	j.Partition = ptr(uint8(9))
	taken := ph.Offer(j)
	synctest.Wait()
	ph.bridges[taken.ID].post(call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
	synctest.Wait()
	ph.invites(t, taken.ID, "ACK", "203.0.113.9")
	return taken.ID, a
}

func TestAnInviteTakesACallOverOnceItsSenderMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id, a := ph.established(t)
		before := len(ph.sent)
		ph.invites(t, id, "INVITE c2 replaces c1", "203.0.113.77")
		ph.invites(t, id, "INVITE c2 replaces c1", "203.0.113.77") // a copy
		if len(a.asked) != 1 || len(ph.sent) != before {
			t.Fatalf("%d questions, sent %q", len(a.asked), ph.sent[before:])
		}
		want := endpoint.Takeover{Source: netip.MustParseAddr("203.0.113.77")}
		if q := a.asked[0]; q.Takeover == nil || *q.Takeover != want || q.Partition != 9 || q.Endpoint != "ep" || q.Call != id ||
			q.DecisionID != endpoint.DecisionID("c2") {
			t.Errorf("asked %+v, takeover %+v", q, q.Takeover)
		}
		time.Sleep(time.Second)
		a.done[0](actors.Ruling{V: 1, Admitted: true})
		synctest.Wait()
		if got := strings.Join(ph.sent[before:], ", "); got != "200, BYE transferred" {
			t.Errorf("sent %s", got)
		}
		ph.invites(t, id, "INVITE c2 replaces c1", "203.0.113.77") // a copy gets the 200 again
		ph.invites(t, id, "INVITE c9 replaces c1", "203.0.113.77") // that dialog is over
		if got := strings.Join(ph.sent[before+2:], ", "); !strings.Contains(got, "200") || !strings.HasSuffix(got, "603 to c9") {
			t.Errorf("then sent %s", got)
		}
		status, err := ph.Get(t.Context(), id)
		if err != nil || status.Dialog == nil || status.Dialog.CallID != "c2" || status.Moved == nil || status.Moved.Times != 1 {
			t.Errorf("status %+v, %+v, %v", status.Dialog, status.Moved, err)
		}
		if kept := ph.kept[len(ph.kept)-1]; kept.Record.Moved == nil || kept.Record.Moved.SIPCallID == "" {
			t.Error("the snapshot does not know of the move")
		}
		told := ph.told[len(ph.told)-1]
		text, err := json.MarshalIndent(told, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, "testdata/events/"+told.Type+".json", append(text, '\n'))
		ph.says(t, id, "BYE")
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(ph.records) != 1 || ph.records[0].Moved == nil || ph.records[0].Moved.How != call.MovedByReplaces || ph.Holds(id) || ph.panics > 0 {
			t.Errorf("records %+v, held %v, %d panics", ph.records, ph.Holds(id), ph.panics)
		}
	})
}

func TestAnInviteThatMayNotTakeACallOverIsTurnedAway(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		message string
		ruling  actors.Ruling
		asked   int
		want    string
	}{
		"from elsewhere":              {"INVITE c2 replaces c1", actors.Ruling{Status: 404, Reason: endpoint.ReasonSourceNotAllowed}, 1, "404 to c2"},
		"without a status":            {"INVITE c2 replaces c1", actors.Ruling{}, 1, "403 to c2"},
		"another dialog":              {"INVITE c2 replaces other", actors.Ruling{Admitted: true}, 0, "481 to c2"},
		"only if the dialog is early": {"INVITE c2 replaces c1 early", actors.Ruling{Admitted: true}, 0, "486 to c2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ph := newPhone(t, nil)
				id, a := ph.established(t)
				before := len(ph.sent)
				ph.invites(t, id, tc.message, "203.0.113.77")
				if len(a.asked) != tc.asked {
					t.Fatalf("%d questions", len(a.asked))
				}
				for _, done := range a.done {
					done(tc.ruling)
				}
				synctest.Wait()
				if got := strings.Join(ph.sent[before:], ", "); got != tc.want {
					t.Errorf("sent %s, want %s", got, tc.want)
				}
				ph.says(t, id, "BYE")
				if len(ph.records) != 1 || ph.records[0].Moved != nil {
					t.Errorf("records %+v", ph.records)
				}
				ph.invites(t, id, "INVITE c2 replaces c1", "203.0.113.9")
				if got := ph.sent[len(ph.sent)-1]; got != "603 to c2" {
					t.Errorf("after the end: %s", got)
				}
			})
		})
	}
}

// A copy that was on its way when its INVITE was turned away asks nobody again,
// and stands in nobody's way.
func TestACopyOfAnInviteThatWasTurnedAwayKeepsNoOtherFromTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id, a := ph.established(t)
		before := len(ph.sent)
		ph.invites(t, id, "INVITE c2 replaces c1", "198.51.100.7")
		a.done[0](actors.Ruling{Status: 404, Reason: endpoint.ReasonSourceNotAllowed})
		synctest.Wait()
		ph.invites(t, id, "INVITE c2 replaces c1", "198.51.100.7")
		ph.invites(t, id, "INVITE c3 replaces c1", "203.0.113.77")
		if got := strings.Join(ph.sent[before:], ", "); got != "404 to c2, 404 to c2" || len(a.asked) != 2 {
			t.Fatalf("sent %s, asked %d times", got, len(a.asked))
		}
		a.done[1](actors.Ruling{V: 1, Admitted: true})
		synctest.Wait()
		if got := strings.Join(ph.sent[before+2:], ", "); got != "200, BYE transferred" {
			t.Errorf("then sent %s", got)
		}
	})
}

func TestATakeoverIsNotTakenTwiceAndNotAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id, a := ph.established(t)
		before := len(ph.sent)
		ph.invites(t, id, "INVITE c2 replaces c1", "203.0.113.77")
		ph.invites(t, id, "INVITE c3 replaces c1", "203.0.113.77")
		ph.says(t, id, "BYE")
		if got := strings.Join(ph.sent[before:], ", "); got != "491 to c3, 200 BYE, 603 to c2" || a.stopped != 1 {
			t.Errorf("sent %s; %d questions given up", got, a.stopped)
		}
		a.done[0](actors.Ruling{Admitted: true}) // too late
		synctest.Wait()
		if got := len(ph.sent) - before; got != 3 || len(ph.records) != 1 {
			t.Errorf("%d messages, %d records", got, len(ph.records))
		}
	})
}

func TestACallWithoutAnswerIsNotTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		ph.invites(t, id, "INVITE c2 replaces c1", "203.0.113.9")
		ph.bridges[id].post(call.Event{Kind: call.AgentJoined, Answer: &call.Answer{Codec: call.Codec{Name: "PCMU"}}})
		synctest.Wait()
		ph.invites(t, id, "INVITE c2 replaces c1", "203.0.113.9")
		if want := "100, 481 to c2, 200, 403 to c2"; ph.log() != want {
			t.Errorf("sent %s, want %s", ph.log(), want)
		}
	})
}
