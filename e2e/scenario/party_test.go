package scenario_test

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"patchbay/e2e/rig"
)

// A party is one call of a phone of its own. It is its own proxies, too: it may say
// Record-Route, and its requests have no Route left.
type party struct {
	phone       *rig.Phone
	callID      string
	local       string // From of our requests, with our tag
	remote      string // To of them
	target      string // Request-URI of them
	seq, invite int    // CSeq of the last request, and of the last INVITE
	branch, uri string // of the last INVITE
	sent        string // the same, whole
	version     int    // of our SDP
	tag         string // of our last answer
	asked       map[string]*rig.Exchange
	came        map[string]rig.Response // last request of a method, and last response as "200 INVITE"
	last        rig.Response            // what came last
	media       *rig.Media              // nil: nobody listens at our port
	audio       netip.AddrPort          // where the other side wants RTP
}

func newParty(phone *rig.Phone, uri string) *party {
	return &party{phone: phone, callID: rand.Text(), local: "<sip:15550001111@" + phone.Self() + ">;tag=" + rand.Text()[:10],
		remote: "<" + uri + ">", target: uri, asked: map[string]*rig.Exchange{}, came: map[string]rig.Response{}}
}

// at is the host part of a URI by which the party is reached.
func (p *party) at() string {
	if over := p.phone.Over(); over != "udp" {
		return p.phone.Self() + ";transport=" + over
	}
	return p.phone.Self()
}

// ask sends a request: INVITE, CANCEL, BYE and what else has a response; "twin"
// is the last INVITE as it comes by another way (RFC 3261 8.2.2.2).
func (p *party) ask(method string, words, headers []string) {
	if method == "twin" {
		p.asked[method] = p.phone.Ask(strings.ReplaceAll(p.sent, p.branch, "z9hG4bK"+rand.Text()))
		return
	}
	branch, seq, to, uri := "z9hG4bK"+rand.Text(), 0, p.remote, p.target
	if method == "CANCEL" { // RFC 3261 9.1
		branch, seq, uri = p.branch, p.invite, p.uri
		to, _, _ = strings.Cut(to, ";tag=")
	} else {
		p.seq++
		seq = p.seq
	}
	for _, w := range words {
		if text, ok := strings.CutPrefix(w, "cseq="); ok { // out of order: the next one goes on
			seq, _ = strconv.Atoi(text)
			p.seq--
		}
		if tag, ok := strings.CutPrefix(w, "totag="); ok { // of another dialog
			to, _, _ = strings.Cut(to, ";tag=")
			to += ";tag=" + tag
		}
	}
	text := p.request(method, uri, branch, seq, to, words, headers)
	if method == "INVITE" {
		p.branch, p.invite, p.uri, p.sent = branch, seq, uri, text
	}
	p.asked[method] = p.phone.Ask(text)
}

// ack sends the ACK of the last 2xx.
func (p *party) ack(words, headers []string) error {
	answer, ok := p.came["200 INVITE"]
	if !ok {
		return fmt.Errorf("nothing to acknowledge")
	}
	p.phone.Ack(answer, p.request("ACK", p.target, "z9hG4bK"+rand.Text(), p.invite, p.remote, words, headers))
	return nil
}

func (p *party) request(method, uri, branch string, seq int, to string, words, headers []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\n", method, uri, strings.ToUpper(p.phone.Over()), p.phone.Self(), branch)
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:15550001111@%s>\r\n",
		p.local, to, p.callID, seq, method, p.at())
	p.finish(&b, method == "INVITE", words, headers)
	return b.String()
}

// finish writes further header fields and the body: SDP where it is usual or said,
// or the text of body=, with blanks for underscores and lines for slashes.
func (p *party) finish(b *strings.Builder, usual bool, words, headers []string) {
	sdp, kind, body := usual, "application/sdp", ""
	for _, w := range words {
		switch name, value, _ := strings.Cut(w, "="); name {
		case "sdp":
			sdp = true
		case "nosdp":
			sdp = false
		case "type":
			kind = value
		case "text":
			body = strings.NewReplacer("_", " ", "|", "\r\n").Replace(value) + "\r\n"
		}
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if sdp && body == "" {
		body = p.sdp(words)
	}
	if body != "" {
		fmt.Fprintf(b, "Content-Type: %s\r\n", kind)
	}
	fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
}

// sdp describes what we would hear: codec=8, dir=sendonly, port=4002,
// c=0.0.0.0, events=101,102 or none; "same" is what was said before (RFC 3264 8).
func (p *party) sdp(words []string) string {
	if !slices.Contains(words, "same") {
		p.version++
	}
	said := map[string]string{"codec": "0", "dir": "sendrecv", "port": "40000", "c": "127.0.0.1", "events": "101"}
	for _, w := range words {
		if name, value, ok := strings.Cut(w, "="); ok {
			said[name] = value
		}
	}
	if p.media != nil && said["port"] == "40000" {
		said["port"] = strconv.Itoa(p.media.Port())
	}
	maps := map[string]string{"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "111": "opus/48000/2",
		"101": "telephone-event/8000", "102": "telephone-event/48000"}
	formats := strings.ReplaceAll(said["codec"], ",", " ")
	if said["events"] != "none" {
		formats += " " + strings.ReplaceAll(said["events"], ",", " ")
	}
	var lines []string
	for c := range strings.FieldsSeq(formats) {
		lines = append(lines, "a=rtpmap:"+c+" "+maps[c])
	}
	if said["ptime"] != "" {
		lines = append(lines, "a=ptime:"+said["ptime"])
	}
	if slices.Contains(words, "noaudio") {
		said["port"] = "0"
	}
	text := strings.ReplaceAll(fmt.Sprintf("v=0\no=- 7 %d IN IP4 127.0.0.1\ns=-\nc=IN IP4 %s\nt=0 0\nm=audio %s RTP/AVP %s\n%s\na=%s\n",
		p.version, said["c"], said["port"], formats, strings.Join(lines, "\n"), said["dir"]), "\n", "\r\n")
	return text + beside(words)
}

// beside are further m-lines, in the order in which the words name them.
func beside(words []string) (lines string) {
	for _, w := range words {
		switch w {
		case "video":
			lines += "m=video 40010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
		case "t38":
			lines += "m=image 40012 udptl t38\r\na=T38FaxVersion:0\r\n"
		}
	}
	return lines
}

// answered takes a response to a request of ours: to an INVITE it may begin the
// dialog (RFC 3261 12.1.2), and moves its target.
func (p *party) answered(method string, m rig.Response) {
	p.last, p.came[strconv.Itoa(m.Status())+" "+method] = m, m
	p.sound(m)
	if method != "INVITE" || m.Status() <= 100 || m.Status() >= 300 {
		return
	}
	p.remote = m.Header("To")
	if uri := inner(m.Header("Contact")); uri != "" {
		p.target = uri
	}
}

func inner(value string) string {
	_, rest, _ := strings.Cut(value, "<")
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}

// called takes a request of the node's. The first INVITE makes us the callee.
func (p *party) called(m rig.Response) {
	p.last, p.came[m.Method()] = m, m
	p.sound(m)
	if m.Method() == "INVITE" && !strings.Contains(m.Header("To"), ";tag=") {
		p.callID, p.remote, p.target = m.Header("Call-ID"), m.Header("From"), inner(m.Header("Contact"))
	}
}

// answer responds to the last request of a method, "200 OK" by its number; tag=a
// is whose answer it is where several phones ring.
func (p *party) answer(status, method string, words, headers []string) error {
	request, ok := p.came[method]
	if !ok {
		return fmt.Errorf("no %s to answer", method)
	}
	to, tag := request.Header("To"), "callee"
	for _, w := range words {
		if v, ok := strings.CutPrefix(w, "tag="); ok {
			tag = v
		}
	}
	if !strings.Contains(to, ";tag=") && status != "100" {
		to += ";tag=" + tag
	}
	p.local, p.tag = to, rig.Response("To: "+to).ToTag()
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s Said\r\n", status)
	for _, name := range []string{"Via", "Record-Route"} {
		for _, v := range request.All(name) {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n", request.Header("From"), to, request.Header("Call-ID"), request.Header("CSeq"))
	if method == "INVITE" || method == "UPDATE" {
		fmt.Fprintf(&b, "Contact: <sip:callee@%s>\r\n", p.at())
	}
	p.finish(&b, method == "INVITE" && status == "200", words, headers)
	p.phone.Answer(request, b.String())
	return nil
}
