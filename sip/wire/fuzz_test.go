package wire_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

func FuzzRead(f *testing.F) {
	for _, seed := range tortureSeeds(f) {
		f.Add(seed, "t", false)
	}
	f.Add([]byte(carrier), "a\r\nInjected: 1", true)
	f.Add([]byte(request("Subject: a\r\n b", "From: <sip:a@example.net> ; tag=\"q\"")), "x", false)
	f.Fuzz(func(t *testing.T, raw []byte, text string, stream bool) {
		limits := wire.DatagramLimits()
		if stream {
			limits = wire.StreamLimits()
		}
		m, fault := wire.Read(raw, limits)
		if (m == nil) == (fault == nil) {
			t.Fatal("neither a message nor a fault, or both")
		}
		if fault != nil {
			checkFault(t, fault, text)
			return
		}
		checkMessage(t, m, text)
	})
}

// checkFault: the words are ours, and an answer can be read.
func checkFault(t *testing.T, f *wire.Fault, text string) {
	if strings.Trim(f.Word, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || f.Drop != (f.Status == 0) {
		t.Errorf("fault %q %d", f.Word, f.Status)
	}
	f.Stamp(netip.MustParseAddrPort("198.51.100.9:40000"))
	if reply := f.Reply(text); reply != nil {
		checkLines(t, reply)
	}
}

func checkMessage(t *testing.T, m *wire.Message, text string) {
	again, fault := wire.Read(m.Raw, wire.RelayLimits())
	if fault != nil {
		t.Fatalf("the normal form is refused: %v\n%q", fault, m.Raw)
	}
	if !bytes.Equal(again.Raw, m.Raw) || again.TransactionKey() != m.TransactionKey() || again.Branch != m.Branch || again.ToTag != m.ToTag {
		t.Errorf("the normal form has another:\n%q\n%q", m.Raw, again.Raw)
	}
	_, _, _, _ = m.From(), m.To(), m.SDP(), m.String()
	_, _ = m.Contact()
	_, _ = m.Replaces()
	if !m.IsRequest() {
		return
	}
	m.Stamp(netip.MustParseAddrPort("198.51.100.9:40000"))
	if stamped, fault := wire.Read(m.Raw, wire.RelayLimits()); fault != nil || stamped.TransactionKey() != m.TransactionKey() || !bytes.Equal(stamped.Body(), m.Body()) {
		t.Errorf("the stamp broke the message: %v\n%q", fault, m.Raw)
	}
	reply := m.Reply(wire.Reply{
		Status: 486, Phrase: text, Tag: "our-tag", Contact: text, Headers: []call.Header{{Name: "X-Text", Value: text}}, Body: []byte(text),
	})
	checkLines(t, reply)
	answer, fault := wire.Read(reply, wire.RelayLimits())
	if fault != nil && fault.Word == "bad_contact" { // the text is no URI
		return
	}
	if fault != nil {
		if strings.ContainsAny(text, "<>\"\x01\x02") || len(text) > 1024 || fault.Word == "control_character" {
			return
		}
		t.Fatalf("the response is refused: %v\n%q", fault, reply)
	}
	want := m.ToTag
	if want == "" {
		want = "our-tag"
	}
	if answer.Status != 486 || answer.ToTag != want || answer.CallID != m.CallID || answer.CSeq != m.CSeq || len(answer.Vias()) != len(m.Vias()) {
		t.Errorf("the response is not the request's:\n%q\n%q", m.Raw, reply)
	}
}

// checkLines: each line of a header section is whole, and none was planted.
func checkLines(t *testing.T, raw []byte) {
	head, _, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok {
		t.Fatalf("no end of headers: %q", raw)
	}
	for i, line := range bytes.Split(head, []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n") || len(line) == 0 {
			t.Errorf("line %d of %q", i, raw)
		}
		if bytes.HasPrefix(line, []byte("Injected")) {
			t.Errorf("a planted line in %q", raw)
		}
	}
}

// FuzzURI reads URIs that come from anywhere: in messages, configuration,
// commands. What is taken has one meaning, for us and for sipgo's reader.
func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:a@h", "sips:+1555@[2001:db8:::192.0.2.1]:5061;transport=tcp?x=y", "sip:user;par=u%40example.net@example.com", "sip:%00@h", "tel:+1", "sip:a:b@h:5060"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := wire.ParseURI(s)
		if err != nil {
			return
		}
		if u.Host == "" || strings.ContainsAny(u.Host, "[]@;?<> \r\n") || u.Scheme == "" || u.Reveal() != s {
			t.Errorf("%q: %q %q", s, u.Scheme, u.Host)
		}
		if u.User != "" && strings.Contains(u.String(), "@") && !strings.Contains(u.String(), "***@") {
			t.Errorf("%q prints %s", s, u)
		}
		again, err := wire.ParseURI(strings.ToLower(u.Scheme) + ":" + u.HostPort())
		if err != nil || again.Host != u.Host || again.Port != u.Port {
			t.Errorf("%q leads to %q, which is %q %d: %v", s, u.HostPort(), again.Host, again.Port, err)
		}
	})
}
