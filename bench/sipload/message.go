package sipload

import (
	"bytes"
	"fmt"
	"strconv"
)

// offer is what a carrier offers: PCMU and PCMA with telephone-event.
const offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0 8 101\r\n" +
	"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"

// A script writes the messages of calls, by number.
type script struct {
	target, user, me string
	mark             string // of this run, in Call-IDs and branches
	sdp              string
}

func (s *script) invite(i int) []byte {
	n := strconv.Itoa(i)
	var b bytes.Buffer
	fmt.Fprintf(&b, "INVITE sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s-%s-0;rport\r\n", s.user, s.target, s.me, s.mark, n)
	fmt.Fprintf(&b, "From: \"15550001111\" <sip:15550001111@%s>;tag=%s\r\nTo: <sip:%s@%s>\r\nCall-ID: %s-%s@127.0.0.1\r\n", s.me, n, s.user, s.target, n, s.mark)
	fmt.Fprintf(&b, "CSeq: 1 INVITE\r\nContact: <sip:15550001111@%s>\r\nMax-Forwards: 70\r\nUser-Agent: carrier/1.0\r\n", s.me)
	b.WriteString("Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO, UPDATE\r\nSupported: timer, replaces, 100rel\r\n")
	b.WriteString("P-Asserted-Identity: <sip:15550001111@carrier.example.com>\r\nX-Carrier-Id: c-8f2d91\r\nContent-Type: application/sdp\r\n")
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(s.sdp), s.sdp)
	return b.Bytes()
}

// request writes an ACK or BYE of call i. answer is the response that it
// follows; within a dialog it goes to the Contact along the Record-Route
// (RFC 3261 section 12.1.2).
func (s *script) request(method string, i, cseq int, branch string, answer []byte, inDialog bool) []byte {
	uri, route := fmt.Sprintf("sip:%s@%s", s.user, s.target), ""
	if inDialog {
		if contact := between(answer, "\nContact: <", '>'); contact != "" {
			uri = contact
		}
		for rest := answer; ; {
			at := bytes.Index(rest, []byte("\nRecord-Route: "))
			if at < 0 {
				break
			}
			rest = rest[at+len("\nRecord-Route: "):]
			line, _, _ := bytes.Cut(rest, []byte("\r"))
			route = "Route: " + string(line) + "\r\n" + route
		}
	}
	n := strconv.Itoa(i)
	return fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s-%s%s;rport\r\n%sFrom: \"15550001111\" <sip:15550001111@%s>;tag=%s\r\nTo:%s\r\nCall-ID: %s-%s@127.0.0.1\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		method, uri, s.me, s.mark, n, branch, route, s.me, n, between(answer, "\nTo:", '\r'), n, s.mark, cseq, method)
}

// between returns what stands after mark, up to end.
func between(m []byte, mark string, end byte) string {
	at := bytes.Index(m, []byte(mark))
	if at < 0 {
		return ""
	}
	rest := m[at+len(mark):]
	if stop := bytes.IndexByte(rest, end); stop >= 0 {
		return string(rest[:stop])
	}
	return ""
}

// A response is what the load reads of one.
type response struct {
	call   int
	status int
	bye    bool
	port   string // of the audio line; empty: none
}

// read reads a response of this run.
func (s *script) read(m []byte) (response, bool) {
	if !bytes.HasPrefix(m, []byte("SIP/2.0 ")) || len(m) < 11 {
		return response{}, false
	}
	status, err := strconv.Atoi(string(m[8:11]))
	id, mark, _ := bytes.Cut([]byte(between(m, "\nCall-ID: ", '@')), []byte("-"))
	call, err1 := strconv.Atoi(string(id))
	if err != nil || err1 != nil || string(mark) != s.mark {
		return response{}, false
	}
	return response{call: call, status: status, bye: between(m, "\nCSeq: ", '\r') == "2 BYE", port: between(m, "m=audio ", ' ')}, true
}
