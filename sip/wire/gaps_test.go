package wire_test

import (
	"strings"
	"testing"
)

// Each test here is a message that sipgo's parser alone misreads.

func TestWhiteSpaceRoundSeparatorsIsLegal(t *testing.T) {
	t.Parallel()
	m := read(t, request(
		"Via: SIP / 2.0 / UDP  192.0.2.1 : 5060 ; branch = z9hG4bK1 ; rport",
		"From: \"A ; B\"   <sip:a@example.net> ; tag = f1",
		"To: <sip:desk@example.com> ;\ttag\t=\tt1",
		"Contact: sip:a@192.0.2.1 ; q = 0.5 ,  <sip:b@192.0.2.2>"))
	if m.Branch != "z9hG4bK1" || m.FromTag != "f1" || m.ToTag != "t1" {
		t.Errorf("branch %q, tags %q %q", m.Branch, m.FromTag, m.ToTag)
	}
	for name, want := range map[string]string{
		"Via":     "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
		"From":    `"A ; B" <sip:a@example.net>;tag=f1`,
		"Contact": "sip:a@192.0.2.1;q=0.5|<sip:b@192.0.2.2>",
	} {
		if got := strings.Join(m.Headers(name), "|"); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestParameterNamesHaveNoCase(t *testing.T) {
	t.Parallel()
	m := read(t, request("Via: SIP/2.0/UDP 192.0.2.1;BRANCH=z9hG4bKAbC", "From: <sip:a@example.net>;TAG=F1"))
	if m.Branch != "z9hG4bKAbC" || m.FromTag != "F1" {
		t.Errorf("branch %q, tag %q", m.Branch, m.FromTag)
	}
}

func TestAQuotedViaParameterHidesNothing(t *testing.T) {
	t.Parallel()
	m := read(t, request(`Via: SIP/2.0/UDP 192.0.2.1;x="a;branch=z9hG4bKfake\"";branch=z9hG4bK1`))
	if m.Branch != "z9hG4bK1" {
		t.Errorf("branch %q", m.Branch)
	}
}

func TestAFieldThatIdentifiesMayStandOnce(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"to: <sip:b@example.com>", "t : <sip:b@example.com>", "F: <sip:b@example.com>;tag=x", "i: c-2",
		"CSEQ: 9 BYE", "max-forwards: 1", "l: 0", "Content-length: 0",
		"c: text/plain\r\nContent-Type: application/sdp", "r: <sip:a@h>\r\nRefer-To: <sip:b@h>", "Replaces: a\r\nREPLACES: b", "RAck: 1 1 INVITE\r\nrack: 2 1 INVITE",
	} {
		if f := fault(t, strings.TrimSuffix(request(), "\r\n")+line+"\r\n\r\n"); f.Status != 400 || f.Word != "duplicate_header" {
			t.Errorf("%q: %v", line, f)
		}
	}
	for line, word := range map[string]string{
		"From: <sip:a@example.net>;tag=1;tag=2":         "bad_from",
		"Via: SIP/2.0/UDP 192.0.2.1;branch=1;Branch=2":  "bad_via",
		"To: <sip:a@example.net>, <sip:b@example.net>":  "bad_to",
		"From: <sip:a@example.net>;tag=":                "bad_from",
		"CSeq: 1 INVITE, 2 BYE":                         "bad_cseq",
		"Call-ID: a b":                                  "bad_call_id",
		"Call-ID:":                                      "bad_call_id",
		"Call-ID: a\u00a0b":                             "bad_call_id",
		"From: <sip:a@example.net>;tag=\xe2\x82":        "bad_from",
		"To: <sip:a@example.net>;tag=\"x":               "bad_to",
		"From: Bell, Alexander <sip:a@example.com>;t=1": "bad_from",
	} {
		if f := fault(t, request(line)); f.Status != 400 || f.Word != word {
			t.Errorf("%q: %v", line, f)
		}
	}
}

func TestCSeqIsANumberAndTheMethod(t *testing.T) {
	t.Parallel()
	m := read(t, request("CSeq:  0007 \r\n\t INVITE"))
	if m.CSeq != 7 || m.CSeqMethod != "INVITE" || m.Header("CSeq") != "7 INVITE" {
		t.Errorf("%d %q", m.CSeq, m.CSeqMethod)
	}
	for line, word := range map[string]string{
		"CSeq: 2147483648 INVITE": "bad_cseq", // RFC 3261 8.1.1.5
		"CSeq: -1 INVITE":         "bad_cseq",
		"CSeq: INVITE":            "bad_cseq",
		"CSeq: 1":                 "bad_cseq",
		"CSeq: 1 invite":          "cseq_method",
	} {
		if f := fault(t, request(line)); f.Status != 400 || f.Word != word {
			t.Errorf("%q: %v", line, f)
		}
	}
}

func TestJoinedViasAreOneLineEach(t *testing.T) {
	t.Parallel()
	m := read(t, request("Via: SIP/2.0/UDP 192.0.2.1, SIP/2.0/TCP [2001:db8::1]:5070 ,SIP/2.0/UDP c.example.com;branch=z9hG4bK3, SIP/2.0/UDP [2001:db8:::192.0.2.1]"))
	want := "SIP/2.0/UDP 192.0.2.1|SIP/2.0/TCP [2001:db8::1]:5070|SIP/2.0/UDP c.example.com;branch=z9hG4bK3|SIP/2.0/UDP [2001:db8::192.0.2.1]"
	if got := strings.Join(m.Vias(), "|"); got != want || m.Branch != "" {
		t.Errorf("got %s, branch %q", got, m.Branch)
	}
}

func TestCompactNamesAreLongOnes(t *testing.T) {
	t.Parallel()
	m := read(t, "INVITE sip:desk@example.com SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nf: <sip:a@example.net>;tag=f1\r\nt: <sip:desk@example.com>\r\ni: c-1\r\nCSeq: 1 INVITE\r\n"+
		"m: <sip:a@192.0.2.1>\r\nc: application/sdp\r\ne: identity\r\nk: timer\r\nr: <sip:x@example.com>\r\nb: <sip:y@example.com>\r\nx: 1800\r\no: talk\r\nu: dialog\r\nS: hello\r\n"+
		"a: *\r\nj: *;audio\r\nd: no-fork\r\ny: token\r\nn: <https://c.example>\r\nl: 4\r\n\r\nv=0\n")
	for name, want := range map[string]string{
		"Via": "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "From": "<sip:a@example.net>;tag=f1", "To": "<sip:desk@example.com>", "Call-ID": "c-1",
		"Contact": "<sip:a@192.0.2.1>", "Content-Type": "application/sdp", "Content-Encoding": "identity", "Content-Length": "4",
		"Supported": "timer", "Refer-To": "<sip:x@example.com>", "referred-by": "<sip:y@example.com>",
		"Session-Expires": "1800", "Event": "talk", "ALLOW-EVENTS": "dialog", "s": "hello",
		"Accept-Contact": "*", "Reject-Contact": "*;audio", "Request-Disposition": "no-fork", "Identity": "token", "Identity-Info": "<https://c.example>",
	} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for line := range strings.SplitSeq(string(m.Raw), "\r\n") {
		if name, _, ok := strings.Cut(line, ": "); ok && len(name) == 1 {
			t.Errorf("%q is still compact", line)
		}
	}
}

func TestATagMayEndInPadding(t *testing.T) {
	t.Parallel()
	if m := read(t, request("From: <sip:a@example.net>;tag=YWJj==;x=1")); m.FromTag != "YWJj==" {
		t.Errorf("tag %q", m.FromTag)
	}
}

func TestAFoldedHeaderIsOneLine(t *testing.T) {
	t.Parallel()
	m := read(t, request("Subject: one\r\n two\r\n\t three", "To:\r\n <sip:desk@example.com>\r\n ;tag=t1"))
	if m.Header("Subject") != "one two three" || m.ToTag != "t1" {
		t.Errorf("subject %q, tag %q", m.Header("Subject"), m.ToTag)
	}
}

func TestOnlyCRLFEndsALine(t *testing.T) {
	t.Parallel()
	for line, word := range map[string]string{
		"Subject: foo\nInjected: 1": "bare_lf",
		"Subject: foo\rInjected: 1": "bare_cr",
		"Subject: foo\x00bar":       "control_character",
		"Subject: foo\x07bar":       "control_character",
	} {
		f := fault(t, request(line))
		if f.Status != 400 || f.Word != word || f.Reply("t") == nil {
			t.Errorf("%q: %v", line, f)
		}
	}
	if f := fault(t, strings.ReplaceAll(request(), "\r\n", "\n")); f.Status != 400 || f.Reply("t") == nil {
		t.Errorf("LF only: %v", f)
	}
}
