package dialog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/golden"
	"patchbay/sip/dialog"
	"patchbay/sip/token"
)

// survivor is the factory of a node with another slot and the same keys.
func survivor(t testing.TB) (*dialog.Factory, *token.Keys) {
	t.Helper()
	keys, err := token.NewKeys(token.Key{ID: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := dialog.NewFactory(dialog.Options{Keys: keys, Slot: 9, Timers: timers, BaseDomain: "sip.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return f, keys
}

// begun is a carrier and the dialog of its INVITE on the node that will die.
func begun(t testing.TB, settings map[string]string) (*peer, actors.Dialog, call.Packet) {
	t.Helper()
	p := newPeer(sceneOf(settings))
	invite := p.packet(t, "INVITE")
	d, _, err := newFactory(t, "").New(epoch, 5, call.Packet{Flow: invite.Flow, Raw: bytes.Clone(invite.Raw)})
	if err != nil {
		t.Fatal(err)
	}
	hears(p, d.Respond(epoch, call.Response{Status: 100}))
	return p, d, invite
}

// answeredCall answers it and acknowledges the 200 by another edge.
func answeredCall(t testing.TB, settings map[string]string) (*peer, actors.Dialog) {
	t.Helper()
	p, d, _ := begun(t, settings)
	hears(p, d.Respond(epoch, call.Response{Status: 180}))
	hears(p, d.Respond(epoch, call.Response{Status: 200, Answer: &call.Answer{Addr: netip.MustParseAddrPort("198.51.100.1:20000"),
		Codec: call.Codec{Name: "PCMU", ClockRate: 8000}, Direction: call.SendRecv}}))
	d.Receive(epoch, p.packet(t, "ACK via edge-2"))
	return p, d
}

// hears gives the carrier what was sent and returns it.
func hears(p *peer, outputs []call.Output) (sent []call.Transmission) {
	for _, o := range outputs {
		if o.Send != nil {
			p.hear(string(o.Send.Raw))
			sent = append(sent, *o.Send)
		}
	}
	return sent
}

func TestASnapshotHoldsWhatAnotherNodeNeedsOfADialog(t *testing.T) {
	t.Parallel()
	_, early, _ := begun(t, nil)
	_, up := answeredCall(t, map[string]string{"record-route": "<sip:192.0.2.20;lr>, <sip:192.0.2.21;lr>"})
	for name, d := range map[string]actors.Dialog{"unanswered": early, "answered": up} {
		var out bytes.Buffer
		if err := json.Indent(&out, d.Snapshot(), "", "  "); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
		golden.Compare(t, "testdata/snapshot."+name+".json", out.Bytes())
	}
}

func TestASurvivorHangsUpFromTheSnapshot(t *testing.T) {
	t.Parallel()
	p, dead := answeredCall(t, map[string]string{"record-route": "<sip:192.0.2.20;lr>, <sip:192.0.2.21;lr>"})
	f, keys := survivor(t)
	d, err := f.Restore(5, dead.Snapshot(), call.Packet{})
	if err != nil {
		t.Fatal(err)
	}
	sent := hears(p, d.Bye(epoch, call.CauseNodeLost))
	if len(sent) != 1 {
		t.Fatalf("%d messages, want the BYE", len(sent))
	}
	raw := string(sent[0].Raw)
	for name, want := range map[string]string{"Route": "<sip:192.0.2.20;lr>, <sip:192.0.2.21;lr>", "CSeq": "1 BYE", "Call-ID": "ladder@carrier.example",
		"Reason": `Q.850;cause=41;text="node_lost"`, "To": `"Alice" <sip:+15551000@carrier.example>;tag=f1`} {
		if got := header(raw, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, tag, _ := strings.Cut(header(raw, "From"), ";tag="); tag != p.toTag {
		t.Errorf("From-tag %q, want the one that the carrier has, %q", tag, p.toTag)
	}
	if !strings.HasPrefix(raw, "BYE sip:trunk@192.0.2.10:5060 SIP/2.0\r\n") || sent[0].Flow.Edge != "edge-2" {
		t.Errorf("%q goes to the wrong place, by %s", strings.SplitN(raw, "\r\n", 2)[0], sent[0].Flow.Edge)
	}
	_, branch, _ := strings.Cut(header(raw, "Via"), ";branch=")
	branch, _, _ = strings.Cut(branch, ";")
	if is, _, ok := keys.OpenBranch(branch, "ladder@carrier.example"); !ok || is.Slot != 9 {
		t.Errorf("the BYE's branch leads to %+v, want slot 9, where the survivor hears", is)
	}
	again := d.Wake(epoch.Add(timers.T1))
	if len(again) != 1 || !bytes.Equal(again[0].Send.Raw, sent[0].Raw) {
		t.Error("a BYE without an answer is not repeated")
	}
	d.Receive(epoch.Add(timers.T1), p.packet(t, "200 to BYE"))
	if d.Wake(epoch.Add(time.Minute)); !d.Done() {
		t.Error("the dialog is not over after its BYE was answered")
	}
}

func TestASurvivorRefusesAnUnansweredCallUnderTheSameTag(t *testing.T) {
	t.Parallel()
	p, dead, invite := begun(t, nil)
	hears(p, dead.Respond(epoch, call.Response{Status: 180}))
	f, _ := survivor(t)
	d, err := f.Restore(5, dead.Snapshot(), call.Packet{Flow: invite.Flow, Raw: invite.Raw})
	if err != nil {
		t.Fatal(err)
	}
	sent := hears(p, d.Respond(epoch, call.Response{Status: 503, Cause: call.CauseNodeLost, RetryAfter: time.Second}))
	if len(sent) != 1 || statusOf(string(sent[0].Raw)) != 503 {
		t.Fatalf("sent %v, want 503", sent)
	}
	if _, tag, _ := strings.Cut(header(string(sent[0].Raw), "To"), ";tag="); tag != p.toTag || tag == "" {
		t.Errorf("To-tag %q, want that of the 180, %q", tag, p.toTag)
	}
	if sent[0].Flow != invite.Flow {
		t.Errorf("the 503 goes to %+v, want the INVITE's flow", sent[0].Flow)
	}
	if out := d.Receive(epoch, p.packet(t, "INVITE again via edge-3")); len(out) != 1 || out[0].Send.Flow.Edge != "edge-3" || statusOf(string(out[0].Send.Raw)) != 503 {
		t.Errorf("a copy of the INVITE got %v, want the 503 again", out)
	}
	d.Receive(epoch, p.packet(t, "ACK"))
	if d.Wake(epoch.Add(time.Minute)); !d.Done() {
		t.Error("the dialog is not over after the ACK")
	}
}

func TestWhatCannotBeRestoredIsRefused(t *testing.T) {
	t.Parallel()
	_, early, invite := begun(t, nil)
	_, up := answeredCall(t, nil)
	f, _ := survivor(t)
	edit := func(raw json.RawMessage, old, with string) json.RawMessage {
		if !bytes.Contains(raw, []byte(old)) {
			t.Fatalf("no %s in %s", old, raw)
		}
		return bytes.Replace(raw, []byte(old), []byte(with), 1)
	}
	for what, tc := range map[string]struct {
		state json.RawMessage
		raw   []byte
	}{
		"nothing":                    {nil, nil},
		"a later major version":      {edit(up.Snapshot(), `"v":1`, `"v":2`), nil},
		"no remote target":           {edit(up.Snapshot(), `"target":"sip:`, `"target":"tel:`), nil},
		"no INVITE":                  {early.Snapshot(), nil},
		"the INVITE of another call": {edit(early.Snapshot(), "ladder@carrier", "other@carrier"), invite.Raw},
	} {
		if _, err := f.Restore(5, tc.state, call.Packet{Flow: invite.Flow, Raw: tc.raw}); !errors.Is(err, dialog.ErrState) || strings.Contains(err.Error(), slug) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := f.Restore(5, edit(up.Snapshot(), `"v":1`, `"v":1,"new_in_1_1":{"a":[1]}`), call.Packet{}); err != nil {
		t.Errorf("a field of a later release: %v", err)
	}
}

// TestDialogsOfRelease1GoOn reads what the first release kept. Nothing under
// testdata/v1 is ever written again.
func TestDialogsOfRelease1GoOn(t *testing.T) {
	t.Parallel()
	f, _ := survivor(t)
	invite := newPeer(sceneOf(nil)).packet(t, "INVITE")
	for name, want := range map[string]string{"answered": "BYE sip:trunk@192.0.2.10:5060 SIP/2.0", "unanswered": "SIP/2.0 503 Service Unavailable"} {
		old, err := os.ReadFile("testdata/v1/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		later := bytes.Replace(old, []byte(`"v": 1`), []byte(`"v": 1, "of_a_later_release": [1]`), 1)
		d, err := f.Restore(5, later, call.Packet{Flow: invite.Flow, Raw: invite.Raw})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		golden.Covers(t, name, old, d.Snapshot())
		var out []call.Output
		if name == "answered" {
			out = d.Bye(epoch, call.CauseNodeLost)
		} else {
			out = d.Respond(epoch, call.Response{Status: 503})
		}
		if len(out) != 1 || !strings.HasPrefix(string(out[0].Send.Raw), want) {
			t.Errorf("%s: sends %v, want %s", name, out, want)
		}
	}
}

func TestTheSnapshotOfADialogIsNewWhenItsRevisionIs(t *testing.T) {
	t.Parallel()
	p, d := answeredCall(t, nil)
	for _, text := range []string{"OPTIONS", "OPTIONS again", "OPTIONS via edge-3", "ACK again via edge-4", "INVITE again via edge-9", "OPTIONS again via edge-9"} {
		before, was := d.Snapshot(), d.Revision()
		d.Receive(epoch, p.packet(t, text))
		if changed := !bytes.Equal(before, d.Snapshot()); changed != (d.Revision() != was) {
			t.Errorf("%s: the snapshot has changed: %v, the revision went from %d to %d", text, changed, was, d.Revision())
		}
	}
	hears(p, d.Bye(epoch, call.CauseNormal))
	if d.Snapshot() != nil {
		t.Error("a dialog that is over has a snapshot")
	}
}

// BenchmarkSnapshot is what a call pays on its loop for each snapshot.
func BenchmarkSnapshot(b *testing.B) {
	_, d := answeredCall(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		d.Snapshot()
	}
}
