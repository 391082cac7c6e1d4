package dialog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/golden"
	"patchbay/sip/dialog"
	"patchbay/sip/wire"
)

func TestACallThatCannotBeBegunNamesItsField(t *testing.T) {
	t.Parallel()
	good := call.Outgoing{To: "sip:1@192.0.2.10", From: "sip:2@patchbay.example"}
	long := strings.Repeat("x", 2000)
	for name, tc := range map[string]struct {
		edit  func(*call.Outgoing)
		field string
	}{
		"nobody":                      {func(o *call.Outgoing) { o.To = "" }, "to"},
		"a telephone":                 {func(o *call.Outgoing) { o.To = "tel:+15551000" }, "to"},
		"two lines":                   {func(o *call.Outgoing) { o.To = "sip:1@192.0.2.10\r\nX-Evil: 1" }, "to"},
		"header fields in the URI":    {func(o *call.Outgoing) { o.To = "sip:1@192.0.2.10?Route=%3Csip:x%3E" }, "to"},
		"a browser":                   {func(o *call.Outgoing) { o.To = "sip:1@192.0.2.10;transport=ws" }, "to"},
		"a long URI":                  {func(o *call.Outgoing) { o.To = "sip:" + long + "@192.0.2.10" }, "to"},
		"a From that is none":         {func(o *call.Outgoing) { o.From = "+15551000" }, "from"},
		"a display name of two lines": {func(o *call.Outgoing) { o.Display = "a\r\nX-Evil: 1" }, "display"},
		"a hop that is none":          {func(o *call.Outgoing) { o.Hops = []string{"192.0.2.10"} }, "hops"},
		"too many hops":               {func(o *call.Outgoing) { o.Hops = make([]string, call.MaxHops+1) }, "hops"},
		"sips over UDP":               {func(o *call.Outgoing) { o.To, o.Hops = "sips:1@h.example", []string{"sip:192.0.2.10"} }, "hops"},
		"a password of two lines":     {func(o *call.Outgoing) { o.Credentials = call.Credentials{Username: "a", Password: "b\nc"} }, "credentials"},
		"too many headers":            {func(o *call.Outgoing) { o.Headers = make([]call.Header, call.MaxHeaders+1) }, "headers"},
		"a header without a name":     {func(o *call.Outgoing) { o.Headers = []call.Header{{Name: "", Value: "1"}} }, "headers"},
		"a name with a colon":         {func(o *call.Outgoing) { o.Headers = []call.Header{{Name: "X-A: b", Value: "1"}} }, "headers"},
		"a value of two lines":        {func(o *call.Outgoing) { o.Headers = []call.Header{{Name: "X-A", Value: "1\r\nVia: x"}} }, "headers"},
		"a long value":                {func(o *call.Outgoing) { o.Headers = []call.Header{{Name: "X-A", Value: long}} }, "headers"},
		"a Via":                       {func(o *call.Outgoing) { o.Headers = []call.Header{{Name: "VIA", Value: "x"}} }, "headers"},
		"a compact Via":               {func(o *call.Outgoing) { o.Headers = []call.Header{{Name: "v", Value: "x"}} }, "headers"},
		"credentials by hand":         {func(o *call.Outgoing) { o.Headers = []call.Header{{Name: "Authorization", Value: "x"}} }, "headers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := good
			tc.edit(&out)
			d, _, err := newFactory(t, "").Call(1, out)
			var wrong *call.WrongOutgoing
			if !errors.As(err, &wrong) || d != nil || wrong.Field != tc.field || wrong.Why == "" {
				t.Fatalf("got %v, want a mistake of %q", err, tc.field)
			}
		})
	}
	if _, _, err := newFactory(t, "").Call(1, good); err != nil {
		t.Error(err)
	}
}

// TestMessagesOfACallOfOurs pins every byte that a carrier gets in a plain call.
func TestMessagesOfACallOfOurs(t *testing.T) {
	t.Parallel()
	s := newCallSim(t, map[string]string{"user": "alice secret", "header": `P-Asserted-Identity: "Agent" <sip:+15550000@patchbay.example>`})
	var out strings.Builder
	s.seen = func(o call.Output) {
		if o.Send == nil {
			return
		}
		fmt.Fprintf(&out, "%s\n--\n", strings.ReplaceAll(string(o.Send.Raw), "\r\n", "\n"))
		if _, fault := wire.Read(o.Send.Raw, wire.DatagramLimits()); fault != nil {
			t.Errorf("our own guard refuses what we send: %s", fault.Word)
		}
	}
	s.do(step{from: agent, text: "invite"})
	for _, text := range []string{"401 tag=a nonce=n1", "180 tag=b", "200 tag=b sdp route=192.0.2.20"} {
		s.do(step{from: carrier, text: text})
	}
	s.do(step{from: agent, text: "bye operator_hangup"})
	given := newCallSim(t, nil)
	given.do(step{from: agent, text: "invite"})
	given.seen = s.seen
	given.do(step{from: carrier, text: "180 tag=a"})
	given.do(step{from: agent, text: "bye operator_hangup"})
	given.do(step{from: carrier, text: "487 tag=a"})
	golden.Compare(t, "testdata/call.golden", []byte(out.String()))
}

func TestAnInvitationOfOursSaysWhomItIsFor(t *testing.T) {
	t.Parallel()
	d, inv, err := newFactory(t, "").Call(5, call.Outgoing{To: "sip:bob@pbx.example;transport=tcp", Headers: []call.Header{{Name: "X-A", Value: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if inv.To.User != "bob" || inv.To.Host != "pbx.example" || inv.From.User != "anonymous" || inv.Transport != call.TCP || inv.Source != "pbx.example" ||
		inv.Key.CallID != call.ID(5).String() || inv.Key.FromTag == "" || len(inv.Headers) != 1 || d.Heard() {
		t.Errorf("got %+v", inv)
	}
}

func TestCredentialsShowNothing(t *testing.T) {
	t.Parallel()
	c := call.Outgoing{Credentials: call.Credentials{Username: "alice", Password: "hunter2"}}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), string(raw)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "alice") {
			t.Errorf("%s shows credentials", text)
		}
	}
}

// answeredOutgoing is a call of ours that was answered by way of two proxies.
func answeredOutgoing(t testing.TB, settings map[string]string) *callSim {
	t.Helper()
	s := newCallSim(t, settings)
	s.do(step{from: agent, text: "invite"})
	s.do(step{from: carrier, text: "180 tag=a"})
	s.do(step{from: carrier, text: "200 tag=a sdp route=192.0.2.20"})
	return s
}

// A survivor can end an answered call of ours, and give up one that rings.
func TestASurvivorEndsACallOfOurs(t *testing.T) {
	t.Parallel()
	ringing := newCallSim(t, nil)
	ringing.do(step{from: agent, text: "invite"})
	ringing.do(step{from: carrier, text: "180 tag=a"})
	for name, s := range map[string]*callSim{"answered": answeredOutgoing(t, map[string]string{"user": "alice secret"}), "ringing": ringing} {
		state := s.dialog.Snapshot()
		if strings.Contains(string(state), "secret") {
			t.Errorf("%s: the snapshot holds credentials", name)
		}
		golden.Compare(t, "testdata/call."+name+".json", append(state, '\n'))
		f, keys := survivor(t)
		d, err := f.Restore(0x1122334455667788, state, call.Packet{})
		if err != nil {
			t.Fatal(err)
		}
		sent := hears(newPeer(sceneOf(nil)), d.Bye(epoch, call.CauseNodeLost))
		if len(sent) != 1 {
			t.Fatalf("%s: %d messages", name, len(sent))
		}
		raw := string(sent[0].Raw)
		branch := strings.Split(header(raw, "Via"), "branch=")[1]
		token, _, ok := keys.OpenBranch(branch, call.ID(0x1122334455667788).String())
		switch name {
		case "answered":
			if !strings.HasPrefix(raw, "BYE sip:callee-a@192.0.2.30:5070 ") || header(raw, "CSeq") != "2 BYE" || !ok || token.Slot != 9 ||
				header(raw, "Route") != "<sip:192.0.2.99;lr>, <sip:192.0.2.20;lr>" || tagOf(header(raw, "To")) != "a" {
				t.Errorf("not the BYE of the call, to the survivor:\n%s", raw)
			}
		case "ringing":
			if !strings.HasPrefix(raw, "CANCEL sip:+15551000@192.0.2.10 ") || header(raw, "CSeq") != "1 CANCEL" || header(raw, "Via") != header(s.callee.invites[0], "Via") {
				t.Errorf("not the CANCEL of the INVITE:\n%s", raw)
			}
			s.dialog = d.(actors.Caller)
			s.do(step{from: carrier, text: "487 tag=a"})
			if got := s.String(); !strings.Contains(got, "carrier-failed 487 node_lost") {
				t.Error(got)
			}
		}
	}
}

func TestASnapshotOfACallOfOursIsOfTheLiving(t *testing.T) {
	t.Parallel()
	s := newCallSim(t, nil)
	if s.dialog.Snapshot() != nil {
		t.Error("one before the INVITE")
	}
	s.do(step{from: agent, text: "invite"})
	s.do(step{from: carrier, text: "486 tag=a"})
	if s.dialog.Snapshot() != nil {
		t.Error("one of a call that has failed")
	}
	f, _ := survivor(t)
	for _, state := range []string{`{"v":1,"caller":true,"target":"nonsense"}`, `{"v":2,"caller":true}`} {
		if d, err := f.Restore(1, json.RawMessage(state), call.Packet{}); !errors.Is(err, dialog.ErrState) || d != nil {
			t.Errorf("%s became %v, %v", state, d, err)
		}
	}
}
