package wire_test

import (
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/internal/golden"
	"patchbay/sip/wire"
)

// evil is what a display name or an agent's text may try to be.
const evil = "x\r\nInjected: 1\nInjected: 2\x00"

func TestAResponseCopiesWhatTheRequestHas(t *testing.T) {
	t.Parallel()
	m := read(t, strings.Replace(carrier, "X-Trunk: gold", "Timestamp: 54", 1))
	golden.Compare(t, "testdata/reply-100.txt", m.Reply(wire.Reply{Status: 100}))
	golden.Compare(t, "testdata/reply-200.txt", m.Reply(wire.Reply{
		Status: 200, Tag: "our-tag", Contact: "sip:token@192.0.2.1:5060",
		Headers: []call.Header{{Name: "Allow", Value: wire.Allow}}, ContentType: "application/sdp", Body: []byte("v=0\r\n"),
	}))
	golden.Compare(t, "testdata/reply-486.txt", m.Reply(wire.Reply{
		Status: 486, Tag: "our-tag", Headers: []call.Header{{Name: "Reason", Value: `Q.850;cause=17;text="User busy"`}},
	}))
	bye := read(t, request("BYE sip:a@h SIP/2.0", "CSeq: 2 BYE", "To: <sip:a@h>;tag=t1"))
	golden.Compare(t, "testdata/reply-bye.txt", bye.Reply(wire.Reply{Status: 200, Tag: "never-a-second-tag"}))
}

func TestARequestIsWrittenWhole(t *testing.T) {
	t.Parallel()
	raw := wire.Request{
		Method: "BYE", URI: "sip:+15551230100@203.0.113.7:5060",
		Vias: []string{wire.Hop{Transport: call.UDP, SentBy: "192.0.2.1:5060", Branch: "z9hG4bKb-1"}.String()},
		From: "<sip:desk@example.com>;tag=our-tag", To: "\"Alice\" <sip:+1555@example.net>;tag=f1", CallID: "c-1", CSeq: 1,
		Route: []string{"<sip:203.0.113.7;lr>", "<sip:10.0.0.1;lr>"}, Contact: "sip:token@192.0.2.1",
		Headers: []call.Header{{Name: "Reason", Value: "Q.850;cause=16"}},
	}.Bytes()
	golden.Compare(t, "testdata/request-bye.txt", raw)
	m := read(t, string(raw))
	if m.Method != "BYE" || m.Branch != "z9hG4bKb-1" || m.ToTag != "f1" || len(m.Route()) != 2 || string(m.Raw) != string(raw) {
		t.Errorf("read as %s %q %q", m.Method, m.Branch, m.ToTag)
	}
}

func TestNoValueBeginsAnotherHeader(t *testing.T) {
	t.Parallel()
	headers := []call.Header{{Name: "X-Name", Value: evil}, {Name: "X-" + evil, Value: "y"}, {Name: "", Value: "y"}}
	for _, raw := range [][]byte{
		read(t, request()).Reply(wire.Reply{Status: 486, Phrase: evil, Tag: evil, Contact: "sip:" + evil, Headers: headers, ContentType: evil, Body: []byte("v")}),
		wire.Request{
			Method: "BYE" + evil, URI: "sip:a@h" + evil, Vias: []string{"SIP/2.0/UDP h" + evil}, From: evil, To: evil, CallID: evil, CSeq: 1,
			Route: []string{evil}, Contact: evil, Headers: headers, ContentType: evil, Body: []byte("v"),
		}.Bytes(),
	} {
		head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
		for _, line := range strings.Split(head, "\r\n")[1:] {
			if strings.HasPrefix(line, "Injected") || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("a value got out:\n%s", raw)
			}
		}
	}
}

func TestPhrases(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{180: "Ringing", 488: "Not Acceptable Here", 499: "Bad Request", 699: "Busy Everywhere", 999: "Unknown"} {
		if got := wire.Phrase(status); got != want {
			t.Errorf("%d: %s", status, got)
		}
	}
}
