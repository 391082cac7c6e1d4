package dialog_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
)

// A scene is what a ladder's settings say about its carrier.
//
//	transport: udp | tcp                 of the first edge's flow
//	contact: <sip:...>                   the carrier's Contact
//	record-route: <...>, <...>           of proxies on the way
//	request-uri: sip:...                 what was dialled
//	max-duration: 60s                    of the call
//	session-expires: 600s                that we ask for
//	agent-timeout: 60s                   that an agent may take
//	refers: yes                          a policy for its REFERs
//	reliable: yes                        18x, where the carrier supports it
//	early-media: ringback | agent        of the endpoint
//	early-media-end: reject              of an agent that never says what becomes of the call
type scene struct {
	transport   call.Transport
	contact     string
	recordRoute string
	requestURI  string
	maxDuration string
	session     time.Duration
	reliable    bool
	refers      bool
	patience    time.Duration
	early       call.Early
}

func sceneOf(settings map[string]string) scene {
	get := func(name, otherwise string) string {
		if v, ok := settings[name]; ok {
			return v
		}
		return otherwise
	}
	session, _ := time.ParseDuration(get("session-expires", "0s"))
	patience, _ := time.ParseDuration(get("agent-timeout", "20s"))
	return scene{
		patience:    patience,
		early:       call.Early{Mode: get("early-media", ""), Limit: 30 * time.Second, Reject: get("early-media-end", "") == "reject"},
		session:     session,
		reliable:    get("reliable", "no") == "yes",
		refers:      get("refers", "no") == "yes",
		transport:   call.Transport(get("transport", "udp")),
		contact:     get("contact", "<sip:trunk@192.0.2.10:5060>"),
		recordRoute: get("record-route", ""),
		requestURI:  get("request-uri", "sip:demo-abcdefghjkmnpqrstuvwxyz2@sip.example.com"),
		maxDuration: get("max-duration", "1h"),
	}
}

// A peer is the carrier: it writes requests as an edge would hand them on, and
// remembers what it needs of our answers.
type peer struct {
	scene
	callID   string // empty: ladder@carrier.example
	tag      string // empty: f1
	toTag    string
	target   string // our Contact
	accepted bool   // the last final response to an INVITE was a 2xx
	branch   string // of the last INVITE
	seq      uint32 // of the last request
	sent     map[string]call.Packet
	ours     map[string]string // our requests, the last of each method
	acks     int
}

func newPeer(s scene) *peer {
	return &peer{scene: s, ours: map[string]string{}, sent: map[string]call.Packet{}}
}

const sdpOffer = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n" +
	"m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"

// packet writes what one row says: "INVITE again via edge-2", "BYE cseq=1",
// "200 to BYE".
func (p *peer) packet(t testing.TB, text string) call.Packet {
	t.Helper()
	words := strings.Fields(text)
	edge, again := "edge-1", false
	options := map[string]string{}
	for i, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch {
		case w == "again":
			again = true
		case w == "via":
			edge = words[i+2]
		default:
			options[name] = value
		}
	}
	if status, err := strconv.Atoi(words[0]); err == nil {
		return call.Packet{Flow: p.flow(edge), Raw: p.response(t, status, words[2%len(words)], options)}
	}
	method := words[0]
	if again {
		pkt, ok := p.sent[method]
		if !ok {
			t.Fatalf("%q: no %s was sent yet", text, method)
		}
		pkt.Flow = p.flow(edge)
		return pkt
	}
	pkt := call.Packet{Flow: p.flow(edge), Raw: p.request(method, options)}
	p.sent[method] = pkt
	return pkt
}

func (p *peer) flow(edge string) call.Flow {
	f := call.Flow{Edge: edge, Boot: 1, Transport: p.transport,
		Local:  netip.MustParseAddrPort("198.51.100.1:5060"),
		Remote: netip.MustParseAddrPort("192.0.2.10:5060"),
		Reply:  netip.MustParseAddrPort("192.0.2.10:5060")}
	if p.transport.Reliable() {
		f.Conn = 7
	}
	return f
}

func (p *peer) request(method string, options map[string]string) []byte {
	branch := fmt.Sprintf("z9hG4bK-%s-%d", strings.ToLower(method), p.seq+1)
	switch {
	case method == "ACK":
		p.acks++
		branch = p.branch
		if p.accepted {
			branch = fmt.Sprintf("z9hG4bK-ack-%d", p.acks)
		}
	case method == "CANCEL":
		branch = p.branch
	case options["branch"] != "": // a copy that took another way, or one by hand
	default:
		p.seq++
	}
	seq := p.seq
	if v, ok := options["cseq"]; ok {
		n, _ := strconv.ParseUint(v, 10, 32)
		seq = uint32(n)
	}
	if v, ok := options["branch"]; ok {
		branch = "z9hG4bK-" + v
	} else if method == "INVITE" {
		p.branch = branch
	}
	return p.write(method, branch, seq, options)
}

func (p *peer) write(method, branch string, seq uint32, options map[string]string) []byte {
	uri := p.requestURI
	if p.target != "" && method != "CANCEL" && branch != "z9hG4bK-invite-1" {
		uri = p.target
	}
	to := "<" + p.requestURI + ">"
	tag, told := options["to-tag"]
	if !told && method != "CANCEL" {
		tag = p.toTag
	}
	if tag != "" {
		to += ";tag=" + tag
	}
	head := []string{
		method + " " + uri + " SIP/2.0",
		"Via: SIP/2.0/" + strings.ToUpper(string(p.transport)) + " 192.0.2.10:5060;branch=" + branch,
		"Max-Forwards: 70",
		"From: \"Alice\" <sip:+15551000@carrier.example>;tag=" + p.fromTag(),
		"To: " + to,
		"Call-ID: " + p.id(),
		fmt.Sprintf("CSeq: %d %s", seq, method),
	}
	if contact, ok := options["contact"]; ok {
		head = append(head, "Contact: <"+contact+">")
	} else if method == "INVITE" {
		head = append(head, "Contact: "+p.contact)
	}
	if method == "INVITE" {
		if p.recordRoute != "" {
			head = append(head, "Record-Route: "+p.recordRoute)
		}
	}
	if v, ok := options["reason"]; ok {
		head = append(head, "Reason: SIP;cause=200, Q.850;cause="+v+";text=\"told, so\"")
	}
	body := sdpOf(method, options)
	head = append(head, referralOf(options)...)
	if v, ok := options["event"]; ok {
		head = append(head, "Event: "+v)
	}
	if v, ok := options["state"]; ok {
		head = append(head, "Subscription-State: "+v)
	}
	if v, ok := options["frag"]; ok {
		body = "SIP/2.0 " + v + " Whatever\r\n"
		head = append(head, "Content-Type: message/sipfrag;version=2.0")
	} else if body != "" {
		head = append(head, "Content-Type: application/sdp")
	}
	further, infoBody := furtherOf(options)
	head, body = append(head, further...), body+infoBody
	head = append(head, fmt.Sprintf("Content-Length: %d", len(body)), "", body)
	return []byte(strings.Join(head, "\r\n"))
}

// response answers a request of ours, the last of its method.
func (p *peer) response(t testing.TB, status int, method string, options map[string]string) []byte {
	request := p.ours[method]
	if request == "" {
		t.Fatalf("%d to %s: none was heard", status, method)
	}
	lines := []string{fmt.Sprintf("SIP/2.0 %d Whatever", status)}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		value := header(request, name)
		if name == "To" && p.tag == targetTag && status > 100 && !strings.Contains(value, "tag=") {
			value += ";tag=" + targetTag
		}
		lines = append(lines, name+": "+value)
	}
	if v, ok := options["refer-sub"]; ok {
		lines = append(lines, "Refer-Sub: "+v)
	}
	if method != "BYE" && status < 300 {
		lines = append(lines, "Contact: "+p.contact)
	}
	further, _ := furtherOf(options)
	lines = append(lines, further...)
	body := ""
	if _, ok := options["sdp"]; ok {
		body = sdpOf(method, options)
		lines = append(lines, "Content-Type: application/sdp")
	}
	return []byte(strings.Join(append(lines, fmt.Sprintf("Content-Length: %d", len(body)), "", body), "\r\n"))
}

// hear remembers what the carrier needs of our message.
func (p *peer) hear(raw string) {
	if statusOf(raw) == 0 {
		method, _, _ := strings.Cut(raw, " ")
		p.ours[method] = raw
		return
	}
	if _, tag, ok := strings.Cut(header(raw, "To"), ";tag="); ok && p.toTag == "" && statusOf(raw) != 482 {
		p.toTag = tag
	}
	if contact := strings.Trim(header(raw, "Contact"), "<>"); contact != "" {
		p.target, _, _ = strings.Cut(contact, ">")
	}
	if status := statusOf(raw); status >= 200 && strings.HasSuffix(header(raw, "CSeq"), "INVITE") {
		p.accepted = status < 300
	}
}

// describe says what one of our messages is, in a few words, and what in it an
// engineer would look at.
func describe(raw string) (text string, details []string) {
	first, _, _ := strings.Cut(raw, "\r\n")
	words := strings.Fields(first)
	if words[0] == "SIP/2.0" {
		text = strings.Join(words[1:], " ")
		if _, method, _ := strings.Cut(header(raw, "CSeq"), " "); method != "INVITE" {
			text += " to " + method
		}
	} else {
		text = words[0] + " cseq=" + strings.Fields(header(raw, "CSeq"))[0]
		details = append(details, words[1])
	}
	if _, line, ok := strings.Cut(raw, "\r\n\r\nSIP/2.0 "); ok {
		details = append(details, "says "+strings.TrimSpace(line))
	}
	if _, key, ok := strings.Cut(raw, "Signal="); ok {
		text += " " + strings.TrimSpace(key[:1])
	}
	if strings.Contains(raw, "m=audio") {
		text += " (SDP)"
		details = append(details, sdpDetails(raw)...)
	}
	for _, name := range []string{"Event", "Subscription-State", "Refer-Sub", "Replaces", "Route", "Reason", "Warning", "Retry-After", "Refer-To", "Referred-By", "X-Left", "Allow-Events", "Allow", "Accept", "Recv-Info",
		"Require", "Session-Expires", "Min-SE", "RSeq", "RAck", "P-Early-Media"} {
		if v := header(raw, name); v != "" && (name != "Allow" || words[1] == "405") && (name != "Accept" || words[1] == "415") {
			details = append(details, name+": "+v)
		}
	}
	return text, details
}

// header returns the values of a message's header fields of that name, joined,
// and "" if there is none.
func header(raw, name string) string {
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	var values []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			values = append(values, value)
		}
	}
	return strings.Join(values, ", ")
}

func statusOf(raw string) int {
	if !strings.HasPrefix(raw, "SIP/2.0 ") {
		return 0
	}
	n, _ := strconv.Atoi(raw[8:11])
	return n
}
