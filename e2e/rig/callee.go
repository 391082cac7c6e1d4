package rig

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Callee is a carrier that nodes call: one UDP socket whose tests say what it
// answers. A request that comes again gets its last answer again.
type Callee struct {
	t    testing.TB
	conn *net.UDPConn
	in   chan Rung

	mu   sync.Mutex
	said map[string]string // last answer, by branch and method
}

// A Rung is a request of a node's, as it came to a Callee.
type Rung struct {
	Response
	From netip.AddrPort // where it came from
	c    *Callee
	to   netip.AddrPort // where its answers go
}

// By is the same request, with its answers sent to another edge.
func (r Rung) By(edge netip.AddrPort) Rung {
	r.to = edge
	return r
}

// NewCallee opens a callee at an address. It ends with the test.
func NewCallee(t testing.TB, at netip.Addr) *Callee {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	c := &Callee{t: t, conn: conn, in: make(chan Rung, 256), said: map[string]string{}}
	t.Cleanup(func() { _ = conn.Close() })
	go c.listen()
	return c
}

// Loopback is where callees of nodes without a network of their own are.
func Loopback() netip.Addr { return loopback }

// Port is where the callee listens.
func (c *Callee) Port() int { return c.conn.LocalAddr().(*net.UDPAddr).Port }

// Host is the callee's address.
func (c *Callee) Host() string {
	return c.conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().String()
}

// URI is that of a user at the callee.
func (c *Callee) URI(user string) string { return "sip:" + user + "@" + c.conn.LocalAddr().String() }

func (c *Callee) listen() {
	defer close(c.in)
	buf := make([]byte, 65536)
	for {
		n, from, err := c.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a port that refuses shows here
		}
		r := Rung{Response(buf[:n]), from, c, from}
		if c.again(r) {
			continue
		}
		c.in <- r
	}
}

// key names a transaction of a request.
func (r Rung) key() string { return r.Header("Via") + " " + r.Method() }

// again answers a request that has come before.
func (c *Callee) again(r Rung) bool {
	if r.Status() != 0 {
		return false
	}
	c.mu.Lock()
	last, known := c.said[r.key()]
	if !known {
		c.said[r.key()] = ""
	}
	c.mu.Unlock()
	if last != "" {
		_, _ = c.conn.WriteToUDPAddrPort([]byte(last), r.to)
	}
	return known
}

// Next is the next request of that method within a limit; others pass. An OPTIONS
// or a method that nobody waits for is not answered.
func (c *Callee) Next(method string) Rung {
	c.t.Helper()
	var passed []string
	for end := time.Now().Add(calleeLimit); ; {
		select {
		case r, ok := <-c.in:
			switch {
			case !ok:
				c.t.Fatalf("the callee is closed: no %s came", method)
			case r.Method() == method:
				return r
			}
			passed = append(passed, r.Line())
		case <-time.After(time.Until(end)):
			c.t.Fatalf("no %s came within %v, only %q", method, calleeLimit, passed)
		}
	}
}

// calleeLimit only bounds a hang.
const calleeLimit = 30 * time.Second

// Quiet fails the test if a request of that method comes within the time.
func (c *Callee) Quiet(wait time.Duration, method string) {
	c.t.Helper()
	for end := time.After(wait); ; {
		select {
		case r, ok := <-c.in:
			if ok && r.Method() == method {
				c.t.Errorf("there came a %s:\n%s", method, r.Response)
			}
			if !ok {
				return
			}
		case <-end:
			return
		}
	}
}

// Reply answers a request: "486 Busy Here", with a To-tag unless that is "", with
// further header fields, and SDP where body is not empty.
func (r Rung) Reply(status, tag, body string, headers ...string) {
	r.c.t.Helper()
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\r\n")
	for _, line := range append(lines("Via", r.All("Via")), lines("Record-Route", r.All("Record-Route"))...) {
		b.WriteString(line + "\r\n")
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq"} {
		value := r.Header(name)
		if name == "To" && tag != "" && !strings.Contains(value, ";tag=") {
			value += ";tag=" + tag
		}
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	if r.Method() == "INVITE" && tag != "" {
		fmt.Fprintf(&b, "Contact: <sip:%s-%s@%s>\r\n", "callee", tag, r.c.conn.LocalAddr())
	}
	for _, line := range headers {
		b.WriteString(line + "\r\n")
	}
	if body != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	r.c.mu.Lock()
	r.c.said[r.key()] = b.String()
	r.c.mu.Unlock()
	if _, err := r.c.conn.WriteToUDPAddrPort([]byte(b.String()), r.to); err != nil {
		r.c.t.Errorf("answer %s: %v", status, err)
	}
}

// A Talk is a callee's side of a call that it has answered.
type Talk struct {
	c      *Callee
	invite Rung
	tag    string
	ear    *ear
	sdp    string
	seq    int // CSeq of its requests
}

// Media opens the audio side of the callee, which talks to where the INVITE
// says, and returns its SDP.
func (r Rung) Media(tag string) (*Talk, string) {
	r.c.t.Helper()
	talk := &Talk{c: r.c, invite: r, tag: tag, ear: newEar(r.c.t, r.c.conn.LocalAddr().String())}
	r.c.t.Cleanup(func() { talk.ear.close() })
	talk.ear.talkTo(r.Response)
	sdp := strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 1 1 IN %[1]s
s=-
c=IN %[1]s
t=0 0
m=audio %[2]d RTP/AVP 0 101
a=rtpmap:101 telephone-event/8000
a=sendrecv
`, inNet(r.c.conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()), talk.ear.port()), "\n", "\r\n")
	talk.sdp = sdp
	return talk, sdp
}

// Answer answers an INVITE with 200 and audio, and waits for the ACK.
func (r Rung) Answer(tag string) *Talk {
	r.c.t.Helper()
	talk, sdp := r.Media(tag)
	r.Reply("200 OK", tag, sdp)
	talk.c.Next("ACK")
	return talk
}

// Heard waits until the callee has heard so much of what it said.
func (t *Talk) Heard(packets int) {
	t.c.t.Helper()
	WaitFor(t.c.t, calleeLimit, "audio comes back", func() bool { return t.ear.now().Heard >= packets })
}

// Bye hangs up from the callee's side, through an edge, or the proxy that was
// first on the way, and waits for the answer.
func (t *Talk) Bye(to netip.AddrPort) {
	t.c.t.Helper()
	t.ear.hush()
	t.ask(to, "BYE", "")
}

// Notify tells whoever sent a REFER in the call what came of it, such as "SIP/2.0
// 200 OK" (RFC 3515 2.4.4).
func (t *Talk) Notify(to netip.AddrPort, outcome string) {
	t.c.t.Helper()
	t.ask(to, "NOTIFY", outcome+"\r\n")
}

// Change offers the callee's audio again, with a direction, by re-INVITE or
// UPDATE, and returns what the node says; its 200 to an INVITE is acknowledged.
func (t *Talk) Change(to netip.AddrPort, method, direction string) Response {
	t.c.t.Helper()
	body := strings.Replace(t.sdp, "a=sendrecv", "a="+direction, 1)
	got := t.ask(to, method, strings.Replace(body, "o=- 1 1 ", fmt.Sprintf("o=- 1 %d ", t.seq+2), 1))
	if method == "INVITE" {
		t.write(to, "ACK", "")
	}
	return got
}

// Count is how many packets of audio have come.
func (t *Talk) Count() int { return t.ear.now().Heard }

// ask sends a request until it has a final response.
func (t *Talk) ask(to netip.AddrPort, method, body string) Response {
	t.c.t.Helper()
	t.seq++
	for end := time.Now().Add(calleeLimit); time.Now().Before(end); {
		t.write(to, method, body)
		select {
		case r, ok := <-t.c.in:
			if ok && r.Status() >= 200 && r.Header("CSeq") == fmt.Sprint(t.seq, " ", method) {
				return r.Response
			}
		case <-time.After(500 * time.Millisecond): // RFC 3261 17.1.2.2
		}
	}
	t.c.t.Fatalf("the %s was not answered", method)
	return ""
}

// write sends a request of the dialog with the present CSeq.
func (t *Talk) write(to netip.AddrPort, method, body string) {
	t.c.t.Helper()
	uri := t.invite.Header("Contact")
	if _, rest, ok := strings.Cut(uri, "<"); ok {
		uri, _, _ = strings.Cut(rest, ">")
	}
	more := lines("Route", t.invite.All("Record-Route")) // RFC 3261 12.1.1
	switch {
	case method == "NOTIFY":
		more = append(more, "Event: refer", "Subscription-State: terminated;reason=noresource", "Content-Type: message/sipfrag")
	case body != "":
		more = append(more, "Content-Type: application/sdp")
	}
	text := fmt.Sprintf("%[1]s %[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK-%[1]s-%[4]s-%[5]d;rport\r\nMax-Forwards: 70\r\n"+
		"From: %[6]s;tag=%[4]s\r\nTo: %[7]s\r\nCall-ID: %[8]s\r\nCSeq: %[5]d %[1]s\r\nContact: <sip:callee-%[4]s@%[3]s>\r\n%[9]sContent-Length: %[10]d\r\n\r\n%[11]s",
		method, uri, t.c.conn.LocalAddr(), t.tag, t.seq, t.invite.Header("To"), t.invite.Header("From"), t.invite.Header("Call-ID"),
		strings.Join(append(more, ""), "\r\n"), len(body), body)
	if _, err := t.c.conn.WriteToUDPAddrPort([]byte(text), to); err != nil {
		t.c.t.Fatal(err)
	}
}
