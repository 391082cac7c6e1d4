package edge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
	"patchbay/sip/wire"
)

// A refusal is a request that is not let through, and what it is owed.
type refusal struct {
	raw    string
	status string
	header string // a header field of the answer
	closes bool   // over TCP the connection is closed after it: its framing is lost
}

// plain is an INVITE without faults, and edits of its text.
func plain(edits ...string) string {
	m := msg{method: "INVITE", headers: []string{"Contact: <sip:a@127.0.0.1>", "Content-Type: application/sdp"}, body: "v=0\r\n"}.String()
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(m, edits[i]) {
			panic("no " + edits[i])
		}
		m = strings.Replace(m, edits[i], edits[i+1], 1)
	}
	return m
}

// owedAtOnce are the clauses of admission that need nobody but the edge (RFC
// 3261 8.1.1, 8.2, RFC 4475 3).
var owedAtOnce = map[string]refusal{
	"another version":             {raw: plain("SIP/2.0\r\n", "SIP/3.0\r\n"), status: "505"},
	"an unknown scheme":           {raw: plain("INVITE sip:", "INVITE gopher:"), status: "416"},
	"a tel URI":                   {raw: plain("INVITE sip:desk-abcdef@sip.example", "INVITE tel:+15550100"), status: "416"},
	"header fields in its target": {raw: plain("sip.example SIP", "sip.example?Replaces=x SIP"), status: "400"},
	"an extension":                {raw: plain("Max-Forwards", "Require: nothing, 100rel\r\nMax-Forwards"), status: "420", header: "Unsupported: nothing"},
	"a body of another type":      {raw: plain("application/sdp", "text/plain"), status: "415", header: "Accept: application/sdp, multipart/mixed"},
	"an encoded body":             {raw: plain("Max-Forwards", "e: gzip\r\nMax-Forwards"), status: "415", header: "Accept-Encoding: identity"},
	"no wish for SDP":             {raw: plain("Max-Forwards", "Accept: text/plain\r\nMax-Forwards"), status: "406", header: "Warning: 399"},
	"another method in CSeq":      {raw: plain("CSeq: 1 INVITE", "CSeq: 1 BYE"), status: "400"},
	"an unknown method":           {raw: plain("INVITE sip", "INVENT sip"), status: "501", header: "Allow: " + wire.Allow},
	"no From":                     {raw: plain("From:", "X-From:"), status: "400"},
	"no To":                       {raw: plain("To:", "X-To:"), status: "400"},
	"no Call-ID":                  {raw: plain("Call-ID:", "X-Call-ID:"), status: "400"},
	"no CSeq":                     {raw: plain("CSeq:", "X-CSeq:"), status: "400"},
	"no hop left":                 {raw: plain("Max-Forwards: 70", "Max-Forwards: 0"), status: "483"},
	"too many hops":               {raw: plain("Max-Forwards: 70", "Max-Forwards: 256"), status: "400"},
	"two Tos":                     {raw: plain("Call-ID", "t: <sip:other@sip.example>\r\nCall-ID"), status: "400"},
	"two Tos in one":              {raw: plain("To: <sip:desk-abcdef@sip.example>", "To: <sip:desk-abcdef@sip.example>, <sip:b@sip.example>"), status: "400"},
	"two Contacts":                {raw: plain("Contact: <sip:a@127.0.0.1>", "Contact: <sip:a@127.0.0.1>\r\nm: <sip:b@127.0.0.1>"), status: "400"},
	"two CSeqs":                   {raw: plain("Call-ID", "CSEQ: 9 BYE\r\nCall-ID"), status: "400"},
	"two Call-IDs":                {raw: plain("Call-ID", "i: x\r\nCall-ID"), status: "400"},
	"two lengths":                 {raw: plain("Call-ID", "l: 9\r\nCall-ID"), status: "400", closes: true},
	"a negative length":           {raw: plain("Content-Length: 5", "Content-Length: -5"), status: "400", closes: true},
	"a length in words":           {raw: plain("Content-Length: 5", "Content-Length: five"), status: "400", closes: true},
	"a length beyond its limit":   {raw: plain("Content-Length: 5", "Content-Length: 99999"), status: "413", closes: true},
	"a shorter one in a dialog":   {raw: plain(">\r\nCall-ID", ">;tag=x\r\nCall-ID", "Max-Forwards", "Supported: timer\r\nSession-Expires: 89;refresher=uac\r\nMax-Forwards"), status: "422", header: "Min-SE: 90"},
	"a session timer too short":   {raw: plain("Max-Forwards", "k: timer\r\nx: 60\r\nMax-Forwards"), status: "422", header: "Min-SE: 90"},
}

func TestWhatIsNotAdmittedIsAnsweredByTheEdgeAlone(t *testing.T) {
	t.Parallel()
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		t.Errorf("somebody was asked about\n%s", p.Raw)
		done(edge.Outcome{Status: 404})
	}
	rig := start(t, settings(), r)
	for what, owed := range owedAtOnce {
		for _, over := range []call.Transport{call.UDP, call.TCP} {
			p := rig.over(over)
			p.send(owed.raw)
			res := p.read(patience)
			if status(res) != owed.status || !strings.Contains(res, "\r\n"+owed.header) {
				t.Errorf("%s over %s: want %s with %q, got\n%s", what, over, owed.status, owed.header, res)
			}
			if over == call.TCP && owed.closes && !p.closed(patience) {
				t.Errorf("%s: the connection stays open", what)
			}
		}
	}
}

// A Content-Length that is too long or too short is another thing on each
// transport (RFC 3261 18.3).
func TestAWrongLengthIsJudgedByItsTransport(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 8)
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		m, _ := wire.Read(p.Raw, wire.RelayLimits())
		asked <- string(m.Body())
		done(edge.Outcome{Status: 404})
	}
	rig := start(t, settings(), r, edge.Lingering(5*time.Second)) // the first is answered before what follows ends its connection
	long, short := plain("Content-Length: 5", "Content-Length: 99"), plain("Content-Length: 5", "Content-Length: 2")
	if got := status(rig.udp().ask(long)); got != "400" {
		t.Errorf("longer than its packet: %s", got)
	}
	if got := status(rig.udp().ask(short)); got != "404" || take(t, asked) != "v=" {
		t.Errorf("shorter than its packet: %s", got)
	}
	waiting := rig.tcp()
	waiting.send(long)
	if got := waiting.read(2 * silence); got != "" {
		t.Errorf("a stream does not wait for the rest: %s", got)
	}
	waiting.send(strings.Repeat("x", 94))
	if got := status(waiting.read(patience)); got != "404" || len(take(t, asked)) != 99 {
		t.Errorf("a stream with the rest: %s", got)
	}
	next := rig.tcp()
	if got := status(next.ask(short)); got != "404" || take(t, asked) != "v=" {
		t.Errorf("shorter than what follows on a stream: %s", got)
	}
	if !next.closed(patience) {
		t.Error("what follows it is read as a message")
	}
}

// spellings are legal ways to write an INVITE that sipgo's parser misreads. All
// lead to the same call.
var spellings = map[string]string{
	"white space round ';'":        plain("127.0.0.1;rport;branch=z9hG4bKb1", "127.0.0.1 ; rport ;\t branch = z9hG4bKb1", ">;tag=f1", "> ; tag = f1"),
	"white space in sent-protocol": plain("SIP/2.0/UDP 127", "SIP / 2.0 / UDP   127"),
	"parameter names in capitals":  plain("branch=", "BRANCH=", "tag=f1", "TAG=f1"),
	"a quoted Via parameter":       plain(";rport;", `;x="q;branch=z9hG4bKno\"";rport;`),
	"two spaces in CSeq":           plain("CSeq: 1 INVITE", "CSeq:  1  INVITE"),
	"joined Vias":                  plain(";branch=z9hG4bKb1", ";branch=z9hG4bKb1, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKb0"),
	"compact forms": plain("Via:", "v:", "From:", "f:", "To:", "t:", "Call-ID:", "i:", "Contact:", "m:", "Content-Type:", "c:", "Content-Length:", "l:",
		"Max-Forwards", "k: timer\r\nr: <sip:x@a>\r\nb: <sip:y@a>\r\nx: 1800\r\no: talk\r\nu: talk\r\ns: hello\r\nMax-Forwards"),
	"folded lines":             plain("To: <", "To:\r\n <", "CSeq: 1 INVITE", "CSeq: 1\r\n\tINVITE"),
	"names in capitals":        plain("Via:", "VIA :", "Call-ID:", "CALL-id:", "CSeq:", "CSEQ:"),
	"a tag that ends in '='":   plain("tag=f1", "tag=f1=="),
	"several colons in IPv6":   plain("Max-Forwards", "Via: SIP/2.0/UDP [2001:db8:::192.0.2.1]\r\nMax-Forwards"),
	"received in brackets":     plain("Max-Forwards", "Via: SIP/2.0/UDP [2001:db8::1];received=[2001:db8::2]\r\nMax-Forwards"),
	"ISUP that may be ignored": plain("application/sdp", "application/isup\r\nContent-Disposition: signal;handling=optional"),
}

func TestLegalSpellingsLeadToTheSameCall(t *testing.T) {
	t.Parallel()
	heard := make(chan []byte, 1)
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		heard <- p.Raw
		done(edge.Outcome{Status: 404})
	}
	rig := start(t, settings(), r)
	for what, raw := range spellings {
		for _, over := range []call.Transport{call.UDP, call.TCP} {
			res := rig.over(over).ask(raw)
			if status(res) != "404" {
				t.Errorf("%s over %s: %s", what, over, res)
				continue
			}
			m, fault := wire.Read(take(t, heard), wire.RelayLimits())
			if fault != nil {
				t.Fatalf("%s: %v", what, fault)
			}
			got := fmt.Sprint(m.CallID, " ", strings.TrimRight(m.FromTag, "="), " ", m.CSeq, " ", m.CSeqMethod, " ", m.Branch, " ", m.RequestURI.User, " ", string(m.Body()))
			if want := "call-1 f1 1 INVITE z9hG4bKb1 desk-abcdef v=0\r\n"; got != want {
				t.Errorf("%s over %s: %q, want %q", what, over, got, want)
			}
			answer, fault := wire.Read([]byte(res), wire.RelayLimits())
			if fault != nil || answer.Branch != m.Branch || answer.FromTag != m.FromTag || !slices.Equal(answer.Vias(), m.Vias()) {
				t.Errorf("%s over %s is answered by\n%s", what, over, res)
			}
		}
	}
}

// A merged request and a loop are told by who owns the call; the edge passes on
// what he says (RFC 3261 8.2.2.2).
func TestALoopIsAnsweredAsItsOwnerSays(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(482))
	for _, over := range []call.Transport{call.UDP, call.TCP} {
		if res := rig.over(over).ask(plain()); !strings.HasPrefix(res, "SIP/2.0 482 Loop Detected\r\n") {
			t.Errorf("over %s: %s", over, res)
		}
	}
}

// What we serve within dialogs only has no dialog here (RFC 3261 15.1.2).
func TestARequestOfNoDialogIs481(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	for _, method := range []string{"BYE", "PRACK", "UPDATE", "INFO"} {
		for _, over := range []call.Transport{call.UDP, call.TCP} {
			if res := rig.over(over).ask(msg{method: method}.String()); status(res) != "481" {
				t.Errorf("%s over %s: got %q", method, over, res)
			}
		}
	}
}
