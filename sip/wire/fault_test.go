package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"patchbay/sip/wire"
)

func TestEachRefusalHasItsStatus(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"INVITE sip:desk@example.com SIP/3.0":                  "505 bad_version",
		"INVITE tel:+15550100 SIP/2.0":                         "416 unknown_scheme",
		"INVITE sip:desk@example.com?Subject=x SIP/2.0":        "400 bad_request_uri",
		"INVITE sip:desk@@example.com SIP/2.0":                 "400 bad_request_uri",
		"IN/VITE sip:desk@example.com SIP/2.0":                 "400 bad_start_line",
		"INVITE  sip:desk@example.com SIP/2.0":                 "400 bad_start_line",
		"INVITE sip:desk@example.com SIP/2.0 ":                 "400 bad_start_line",
		"Max-Forwards: 0":                                      "483 too_many_hops",
		"Max-Forwards: 256":                                    "400 bad_max_forwards",
		"Max-Forwards: x":                                      "400 bad_max_forwards",
		"Require: 100rel, precondition":                        "420 extension_required",
		"Content-Length: 1":                                    "400 short_body",
		"Content-Length: -1":                                   "400 bad_content_length",
		"Content-Length: 99999999999999999999":                 "400 bad_content_length",
		"Content-Length: 40000":                                "413 large_body",
		"Accept: text/plain":                                   "406 accepts_no_sdp",
		"Bad Name: x":                                          "400 bad_header",
		"no colon":                                             "400 bad_header",
		"Contact: sip:a@h?Route=x":                             "400 bad_contact",
		"Route: <sip:a@h":                                      "400 bad_route",
		"Record-Route: ,":                                      "400 bad_record_route",
		"Via: SIP/2.0/UDP host:0;branch=1":                     "400 bad_via",
		"Via: SIP/2.0/UDP [::1;branch=1":                       "400 bad_via",
		"Via: SIP/2.0 host":                                    "400 bad_via",
		"Subject: " + strings.Repeat("x", wire.DefaultMaxLine): "400 long_line",
	} {
		f := fault(t, request(line))
		if got := strings.TrimPrefix(f.Error(), "wire: "); got != want {
			t.Errorf("%.40q: got %s, want %s", line, got, want)
		}
		reply := string(f.Reply("our-tag"))
		if strings.HasPrefix(line, "Via:") { // echoed as it came: who wrote it may know it again
			reply = strings.Replace(reply, line, "Via: SIP/2.0/UDP h", 1)
		}
		if m := read(t, reply); m.Status != f.Status || m.ToTag != "our-tag" || m.CallID != "c-1" || f.CallID() != "c-1" || len(m.Vias()) != 1 {
			t.Errorf("%.40q: answered with %s", line, reply)
		}
	}
}

func TestAFaultSaysWhatWouldDo(t *testing.T) {
	t.Parallel()
	f := fault(t, request("Require: nothing", "require : Timer , x"))
	if got := string(f.Reply("t")); !strings.Contains(got, "\r\nUnsupported: nothing, x\r\n") {
		t.Errorf("got %s", got)
	}
	f = fault(t, strings.Replace(carrier, "application/sdp", "text/plain", 1))
	if got := string(f.Reply("t")); f.Status != 415 || !strings.Contains(got, "\r\nAccept: application/sdp, multipart/mixed\r\n") {
		t.Errorf("got %s", got)
	}
	f = fault(t, request("NEWMETHOD sip:h SIP/2.0"))
	if got := string(f.Reply("t")); f.Status != 501 || !strings.Contains(got, "\r\nAllow: "+wire.Allow+"\r\n") { // RFC 4475 3.1.2.18
		t.Errorf("got %s", got)
	}
	f = fault(t, request("Accept: text/plain, application/pidf+xml"))
	if got := string(f.Reply("t")); f.Status != 406 || !strings.Contains(got, "\r\nWarning: 399 ") { // RFC 4475 3.3.15
		t.Errorf("got %s", got)
	}
	f = fault(t, strings.Replace(carrier, "X-Trunk: gold", "e: gzip", 1))
	if got := string(f.Reply("t")); f.Status != 415 || !strings.Contains(got, "\r\nAccept-Encoding: identity\r\n") {
		t.Errorf("got %s", got)
	}
}

func TestAMandatoryFieldThatIsMissingIs400(t *testing.T) {
	t.Parallel()
	for name, word := range map[string]string{"Via": "no_via", "From": "no_from", "To": "no_to", "Call-ID": "no_call_id", "CSeq": "no_cseq"} {
		var left []string
		for line := range strings.SplitSeq(request(), "\r\n") {
			if !strings.HasPrefix(line, name+":") {
				left = append(left, line)
			}
		}
		f := fault(t, strings.Join(left, "\r\n"))
		if f.Status != 400 || f.Word != word {
			t.Errorf("without %s: %v", name, f)
		}
		if answered := f.Reply("t") != nil; answered != (name != "Via") {
			t.Errorf("without %s: answered is %t", name, answered)
		}
	}
	read(t, strings.Replace(request(), "Max-Forwards: 70\r\n", "", 1)) // RFC 2543 knew none
}

func TestANewDialogHasOneContact(t *testing.T) {
	t.Parallel()
	for _, contacts := range []string{"Contact: <sip:a@h>, <sip:b@h>", "Contact: <sip:a@h>\r\nm: <sip:b@h>"} {
		if f := fault(t, request(contacts)); f.Status != 400 || f.Word != "several_contacts" || f.Reply("t") == nil { // RFC 3261 8.1.1.8
			t.Errorf("%q: %v", contacts, f)
		}
		read(t, request(contacts, "To: <sip:desk@example.com>;tag=1")) // a call that goes on is not lost for it
		read(t, request("REGISTER sip:h SIP/2.0", "CSeq: 1 REGISTER", contacts))
	}
}

func TestABodyThatMayBeLeftUnreadIsNoReasonToRefuse(t *testing.T) {
	t.Parallel()
	isup := func(disposition string) string {
		return request("Content-Type: application/isup", "Content-Length: 3", disposition) + "\x01\x02\x03"
	}
	for _, how := range []string{"Content-Disposition: signal;handling=optional", "Content-Disposition: signal ; Handling = Optional"} {
		if m := read(t, isup(how)); m.Described() || len(m.Body()) != 3 {
			t.Errorf("%q: it has to be read: %t", how, m.Described())
		}
	}
	for _, how := range []string{"X: y", "Content-Disposition: signal;handling=required", "Content-Disposition: signal"} { // required is what is meant: RFC 3261 20.11
		if f := fault(t, isup(how)); f.Status != 415 {
			t.Errorf("%q: %v", how, f)
		}
	}
	if m := read(t, carrier); !m.Described() {
		t.Error("SDP need not be read")
	}
}

func TestPartsThatMayBeLeftUnreadAreNoReasonToRefuse(t *testing.T) {
	t.Parallel()
	const end, may = "--x--\r\n", "\r\nContent-Disposition: signal; handling=optional\r\n\r\n\x01\r\n"
	part := func(kind, rest string) string { return "--x\r\nContent-Type: " + kind + rest }
	for why, c := range map[string]struct {
		body string
		read bool
	}{
		"ISUP alone":                    {part("application/isup; version=itu-t92+", may) + end, false},
		"two parts":                     {part("application/isup", may) + part("application/qsig", may) + end, false},
		"ISUP that has to be read":      {part("application/isup", "\r\n\r\n\x01\r\n") + end, true},
		"one of two has to be read":     {part("application/isup", may) + part("text/plain", "\r\n\r\nx\r\n") + end, true},
		"SDP that may be left":          {part("application/sdp", may) + end, true},
		"SDP behind ISUP":               {part("application/isup", may) + part("application/sdp", "\r\n\r\nv=0\r\n") + end, true},
		"a multipart body that may be":  {part("multipart/alternative; boundary=y", may) + end, true},
		"a part without a type":         {"--x\r\nContent-Disposition: signal;handling=optional\r\n\r\nx\r\n" + end, true},
		"more parts than are looked at": {strings.Repeat(part("application/isup", may), 9) + end, true},
		"no parts":                      {end, true},
		"a part that breaks off":        {part("application/isup", may), true},
	} {
		raw := request("Content-Type: multipart/mixed; boundary=x", fmt.Sprint("Content-Length: ", len(c.body))) + c.body
		if m := read(t, raw); m.Described() != c.read {
			t.Errorf("%s: it has to be read: %t", why, m.Described())
		}
	}
}

func TestSomeThingsAreNotAnswered(t *testing.T) {
	t.Parallel()
	ack := "ACK sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nCSeq: 1 ACK\r\n\r\n"
	for raw, word := range map[string]string{
		"":                 "keep_alive",
		"\r\n\r\n":         "keep_alive",
		"\x00\x00\x00\x00": "keep_alive",
		"\x00\x01\x00\x00\x21\x12\xa4\x42\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": "not_sip", // STUN
		"GET / HTTP/1.1\r\n\r\n":                  "not_sip",
		"INVITE sip:alan@jasomi.com\r\nTO: x\r\n": "not_sip",
		ack: "no_from",
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n\r\n": "no_from",
		"SIP/2.0 700 OK\r\n\r\n":                       "bad_status_line",
		"SIP/1.0 200 OK\r\n\r\n":                       "bad_status_line",
		"sip/2.0 20 OK\r\n\r\n":                        "bad_status_line",
	} {
		f := fault(t, raw)
		if !f.Drop || f.Word != word || f.Status != 0 || f.Reply("t") != nil {
			t.Errorf("%q: %v", raw, f)
		}
	}
	// Without a Via nobody can match a response to the request.
	f := fault(t, "OPTIONS sip:h SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n")
	if f.Status != 400 || f.Reply("t") != nil {
		t.Errorf("%v answered with %s", f, f.Reply("t"))
	}
}

func TestWhatAnAckOrCancelRequiresIsIgnored(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"ACK", "CANCEL"} {
		read(t, request(method+" sip:a@h SIP/2.0", "CSeq: 1 "+method, "Require: 100rel", "Max-Forwards: 0"))
	}
	read(t, request("BYE sip:a@h SIP/2.0", "CSeq: 2 BYE", "To: <sip:a@h>;tag=1", "Max-Forwards: 0"))
}

func TestAnRFC2543CallerIsServed(t *testing.T) {
	t.Parallel()
	m := read(t, "INVITE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h.example.com\r\nFrom: <sip:a@example.net>\r\nTo: sip:b@example.com\r\nCall-ID: 1@h\r\nCSeq: 56 INVITE\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n")
	if m.FromTag != "" || m.Branch != "" || string(m.Body()) != "v=0\r\n" {
		t.Errorf("tag %q, branch %q, body %q", m.FromTag, m.Branch, m.Body())
	}
}

func TestLimitsHoldAtTheLastOctet(t *testing.T) {
	t.Parallel()
	l := wire.DatagramLimits()
	lines := func(n int, line string) string {
		return strings.TrimSuffix(request(), "\r\n") + strings.Repeat(line+"\r\n", n) + "\r\n"
	}
	joined := func(n int) string { // of a dialog: a new one has one Contact
		return strings.Replace(lines(1, "Contact: "+strings.Repeat("sip:a@h,", n-1)+"sip:a@h"), "To: <sip:desk@example.com>", "To: <sip:desk@example.com>;tag=1", 1)
	}
	body := func(n int) string {
		return request(fmt.Sprintf("Content-Length: %d", n), "Content-Type: application/sdp") + strings.Repeat("x", n)
	}
	const few = 7 // header fields of request()
	for _, tc := range []struct {
		name         string
		at, beyond   string
		status, word any
	}{
		{"headers", lines(l.MaxHeaders-few, "X: y"), lines(l.MaxHeaders-few+1, "X: y"), 400, "too_many_headers"},
		{"joined headers", joined(l.MaxHeaders - few), joined(l.MaxHeaders - few + 1), 400, "too_many_headers"},
		{"vias", lines(l.MaxVias-1, "v: SIP/2.0/UDP h"), lines(l.MaxVias, "v: SIP/2.0/UDP h"), 400, "too_many_vias"},
		{"joined vias", lines(1, "v: SIP/2.0/UDP h"+strings.Repeat(",SIP/2.0/UDP h", l.MaxVias-2)), lines(1, "v: SIP/2.0/UDP h"+strings.Repeat(",SIP/2.0/UDP h", l.MaxVias-1)), 400, "too_many_vias"},
		{"routes", lines(l.MaxRoutes, "Route: <sip:h;lr>"), lines(l.MaxRoutes+1, "Route: <sip:h;lr>"), 400, "too_many_routes"},
		{"recorded routes", lines(l.MaxRoutes, "Record-Route: <sip:h;lr>"), lines(l.MaxRoutes+1, "Record-Route: <sip:h;lr>"), 400, "too_many_routes"},
		{"line", lines(1, "X: "+strings.Repeat("y", l.MaxLine-3)), lines(1, "X: "+strings.Repeat("y", l.MaxLine-2)), 400, "long_line"},
		{"body", body(l.MaxBody), body(l.MaxBody + 1), 413, "large_body"},
	} {
		read(t, tc.at)
		if f := fault(t, tc.beyond); f.Status != tc.status || f.Word != tc.word || f.Reply("t") == nil {
			t.Errorf("%s: %v", tc.name, f)
		}
	}
	l.MaxBytes = len(request())
	if _, f := wire.Read([]byte(request()), l); f != nil {
		t.Error(f)
	}
	if _, f := wire.Read([]byte(request()+"x"), l); f == nil || f.Status != 513 || f.Reply("t") == nil {
		t.Errorf("one octet too long: %v", f)
	}
}
