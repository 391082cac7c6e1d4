package rig

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Request is a SIP request in the making. The zero value of each field but
// Method and URI is usable.
type Request struct {
	Method  string
	URI     string
	Branch  string // "": a new one
	CallID  string // "": a new one
	FromTag string // "": a new one
	To      string // whole value; "": the URI
	CSeq    int    // 0: 1
	Headers []string
	Body    string // SDP
}

// Fresh fills in what identifies the request, so that it can be repeated.
func (r Request) Fresh() Request {
	if r.Branch == "" {
		r.Branch = "z9hG4bK" + rand.Text()
	}
	if r.CallID == "" {
		r.CallID = rand.Text()
	}
	if r.FromTag == "" {
		r.FromTag = rand.Text()[:10]
	}
	if r.To == "" {
		r.To = "<" + r.URI + ">"
	}
	r.CSeq = max(r.CSeq, 1)
	return r
}

// text is the request as a client at local sends it.
func (r Request) text(transport, local string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\n", r.Method, r.URI)
	fmt.Fprintf(&b, "Via: SIP/2.0/%s %s;branch=%s;rport\r\n", strings.ToUpper(transport), local, r.Branch)
	fmt.Fprintf(&b, "Max-Forwards: 70\r\nFrom: <sip:15550001111@%s>;tag=%s\r\nTo: %s\r\n", local, r.FromTag, r.To)
	fmt.Fprintf(&b, "Call-ID: %s\r\nCSeq: %d %s\r\n", r.CallID, r.CSeq, r.Method)
	fmt.Fprintf(&b, "Contact: <sip:15550001111@%s;transport=%s>\r\n", local, transport)
	for _, line := range r.Headers {
		b.WriteString(line + "\r\n")
	}
	if r.Body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.Body), r.Body)
	return b.String()
}

// Cancel is the CANCEL of an INVITE (RFC 3261 9.1).
func (r Request) Cancel() Request {
	r.Method, r.Body, r.Headers = "CANCEL", "", nil
	return r
}

// as is the request as it was sent when that response came to it: with the branch
// and the number that it had then.
func (r Request) as(m Response) Request {
	_, branch, _ := strings.Cut(m.Header("Via"), "branch=")
	r.Branch, _, _ = strings.Cut(branch, ";")
	_, _ = fmt.Sscan(m.Header("CSeq"), &r.CSeq)
	return r
}

// AckOf is the ACK of a refused INVITE (17.1.1.3).
func (r Request) AckOf(final Response) Request {
	r.Method, r.Body, r.Headers, r.To = "ACK", "", nil, final.Header("To")
	return r
}

// Within is a request of the dialog that a 2xx to r began, with its route set
// (RFC 3261 12.1.2).
func (r Request) Within(answer Response, method string, cseq int) Request {
	uri := answer.Header("Contact")
	if _, rest, ok := strings.Cut(uri, "<"); ok {
		uri, _, _ = strings.Cut(rest, ">")
	}
	routes := answer.All("Record-Route")
	slices.Reverse(routes)
	return Request{Method: method, URI: uri, CallID: r.CallID, FromTag: r.FromTag, To: answer.Header("To"), CSeq: cseq,
		Headers: lines("Route", routes)}.Fresh()
}

// inNet is an address as SDP names it.
func inNet(a netip.Addr) string {
	if a.Is4() {
		return "IP4 " + a.String()
	}
	return "IP6 " + a.String()
}

// Offer is a carrier's SDP. Nothing listens at its port.
func Offer(port int) string {
	return strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio %d RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
`, port), "\n", "\r\n")
}

// A Response is the text of a SIP message that came back: a response, or a
// request of the other side.
type Response string

// Status is the status of a response; 0 where it is a request or none.
func (r Response) Status() int {
	rest, ok := strings.CutPrefix(string(r), "SIP/2.0 ")
	if !ok || len(rest) < 3 {
		return 0
	}
	n, _ := strconv.Atoi(rest[:3])
	return n
}

// Method is the method of a request; "" of a response.
func (r Response) Method() string {
	word, _, ok := strings.Cut(string(r), " ")
	if !ok || strings.HasPrefix(word, "SIP/") {
		return ""
	}
	return word
}

// Header is the first value of a header field, by its long name; "" where
// there is none.
func (r Response) Header(name string) string {
	head, _, _ := strings.Cut(string(r), "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		field, value, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(field), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// All are the values of every header field of that name, in their order.
func (r Response) All(name string) (all []string) {
	head, _, _ := strings.Cut(string(r), "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		field, value, ok := strings.Cut(line, ":")
		if !ok || !strings.EqualFold(strings.TrimSpace(field), name) {
			continue
		}
		for one := range strings.SplitSeq(value, ",") {
			all = append(all, strings.TrimSpace(one))
		}
	}
	return all
}

// lines are header fields of one name.
func lines(name string, values []string) (all []string) {
	for _, v := range values {
		all = append(all, name+": "+v)
	}
	return all
}

var tag = regexp.MustCompile(`;\s*tag=([^;\s]+)`)

// ToTag is the tag of To.
func (r Response) ToTag() string {
	if m := tag.FindStringSubmatch(r.Header("To")); m != nil {
		return m[1]
	}
	return ""
}

// Line is the start line.
func (r Response) Line() string {
	line, _, _ := strings.Cut(string(r), "\r\n")
	return line
}
