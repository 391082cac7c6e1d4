package dialog_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"patchbay/actors/call"
)

// A callee is the carrier that we call, or several behind a forking proxy: it
// writes responses as an edge would hand them on.
type callee struct {
	invites   []string          // ours, as they came, but for copies
	transport call.Transport    // of the last one
	requests  map[string]string // others of ours, the last by method and To-tag
	sent      map[string]call.Packet
	seq       uint32
}

func newCallee() *callee {
	return &callee{requests: map[string]string{}, sent: map[string]call.Packet{}}
}

// edgeHost is what an edge writes where it finds call.SenderHost.
const edgeHost = "198.51.100.1:5060"

// hear remembers a request of ours, as the edge has filled it in.
func (c *callee) hear(t testing.TB, tx call.Transmission) {
	raw := string(tx.Raw)
	first := strings.HasPrefix(raw, "INVITE ") && tagOf(header(raw, "To")) == ""
	if tx.Fill != first || tx.Fill != strings.Contains(raw, call.SenderHost) {
		t.Errorf("a message with Fill %t:\n%s", tx.Fill, raw)
	}
	raw = strings.ReplaceAll(raw, call.SenderHost, edgeHost)
	method, _, _ := strings.Cut(raw, " ")
	switch {
	case first:
		if len(c.invites) == 0 || c.invites[len(c.invites)-1] != raw {
			c.invites = append(c.invites, raw)
		}
		c.transport = tx.Flow.Transport
	default:
		if method == "INVITE" {
			method = "re-INVITE"
		}
		c.requests[method+" "+tagOf(header(raw, "To"))] = raw
	}
}

func tagOf(value string) string {
	_, tag, _ := strings.Cut(value, ";tag=")
	return tag
}

// packet writes what one row says: "183 tag=a sdp", "200 again", "200 to
// CANCEL", "401 nonce=n1 stale", "BYE tag=a", "180 attempt=1".
func (c *callee) packet(t testing.TB, text string) call.Packet {
	t.Helper()
	words := strings.Fields(text)
	edge, again, to := "edge-1", false, "INVITE"
	options := map[string]string{}
	for i, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		options[name] = value
		switch w {
		case "again":
			again = true
		case "via":
			edge = words[i+2]
		case "to":
			to = words[i+2]
		}
	}
	name := words[0] + " " + to + " " + options["tag"]
	if again {
		p, ok := c.sent[name]
		if !ok {
			t.Fatalf("%q: no %s was sent yet", text, name)
		}
		p.Flow = c.flow(edge)
		return p
	}
	p := call.Packet{Flow: c.flow(edge)}
	if status, err := strconv.Atoi(words[0]); err == nil {
		p.Raw = []byte(c.response(t, status, to, options))
	} else {
		p.Raw = []byte(c.request(words[0], options))
	}
	c.sent[name] = p
	return p
}

func (c *callee) flow(edge string) call.Flow {
	f := call.Flow{Edge: edge, Boot: 1, Transport: c.transport, Local: netip.MustParseAddrPort(edgeHost),
		Remote: netip.MustParseAddrPort("192.0.2.10:5060"), Reply: netip.MustParseAddrPort("192.0.2.10:5060")}
	if c.transport.Reliable() {
		f.Conn = 7
	}
	return f
}

const sdpAnswer = "v=0\r\no=- 5 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n" +
	"m=audio %s RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"

func (c *callee) response(t testing.TB, status int, to string, options map[string]string) string {
	request := ""
	if to == "INVITE" {
		n := len(c.invites)
		if v, ok := options["attempt"]; ok {
			n, _ = strconv.Atoi(v)
		}
		request = c.invites[n-1]
	} else if request = c.requests[to+" "+options["tag"]]; request == "" {
		t.Fatalf("no %s for tag %q was heard", to, options["tag"])
	}
	lines := []string{fmt.Sprintf("SIP/2.0 %d Whatever", status)}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		value := header(request, name)
		if name == "To" && tagOf(value) == "" && status != 100 {
			tag := options["tag"]
			if tag == "" {
				tag = "a"
			}
			value += ";tag=" + tag
		}
		lines = append(lines, name+": "+value)
	}
	if to == "INVITE" && status > 100 && status < 300 {
		lines = append(lines, "Contact: <sip:callee-"+options["tag"]+"@192.0.2.30:5070>")
		if route, ok := options["route"]; ok {
			lines = append(lines, "Record-Route: <sip:"+route+";lr>", "Record-Route: <sip:192.0.2.99;lr>")
			if _, ok := options["strict"]; ok {
				lines[len(lines)-1] = "Record-Route: <sip:192.0.2.99>"
			}
		}
	}
	further, _ := furtherOf(options)
	lines = append(lines, further...)
	if v, ok := options["q850"]; ok {
		lines = append(lines, "Reason: Q.850;cause="+v)
	}
	if nonce, ok := options["nonce"]; ok {
		lines = append(lines, challenge(status, nonce, options))
	}
	body := ""
	if port, ok := options["sdp"]; ok {
		if port == "" {
			port = "4000"
		}
		body = fmt.Sprintf(sdpAnswer, port)
		lines = append(lines, "Content-Type: application/sdp")
	}
	return strings.Join(append(lines, fmt.Sprintf("Content-Length: %d", len(body)), "", body), "\r\n")
}

func challenge(status int, nonce string, options map[string]string) string {
	name := "WWW-Authenticate"
	if status == 407 {
		name = "Proxy-Authenticate"
	}
	realm := options["realm"]
	if realm == "" {
		realm = "trunk"
	}
	value := fmt.Sprintf(`%s: Digest realm="%s", nonce="%s", qop="auth"`, name, realm, nonce)
	if algorithm, ok := options["algorithm"]; ok {
		value += ", algorithm=" + algorithm
	}
	if _, ok := options["stale"]; ok {
		value += ", stale=true"
	}
	return value
}

// request is one within the dialog of a tag.
func (c *callee) request(method string, options map[string]string) string {
	c.seq++
	named := strings.ToLower(method)
	switch method {
	case "ACK":
		c.seq--
	case "CANCEL":
		c.seq--
		named = "invite"
	}
	seq := strconv.Itoa(int(c.seq))
	if v, ok := options["cseq"]; ok {
		seq = v
	}
	invite := c.invites[len(c.invites)-1]
	tag := options["tag"]
	if tag == "" {
		tag = "a"
	}
	contact := strings.Trim(header(invite, "Contact"), "<>")
	further, body := furtherOf(options)
	if sdp := sdpOf(method, options); sdp != "" {
		further, body = append(further, "Content-Type: application/sdp"), sdp
	}
	return strings.Join(append(append([]string{
		method + " " + contact + " SIP/2.0",
		fmt.Sprintf("Via: SIP/2.0/UDP 192.0.2.30:5070;branch=z9hG4bK-callee-%s-%s", named, seq),
		"Max-Forwards: 70",
		"From: " + header(invite, "To") + ";tag=" + tag,
		"To: " + header(invite, "From"),
		"Call-ID: " + header(invite, "Call-ID"),
		fmt.Sprintf("CSeq: %s %s", seq, method),
		"Contact: <sip:callee@192.0.2.30:5070>",
	}, further...), fmt.Sprintf("Content-Length: %d", len(body)), "", body), "\r\n")
}
