package rig

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Transports are those that a node serves.
var Transports = []string{"udp", "tcp"}

// answerLimit is the longest wait for an answer that must come.
const answerLimit = 30 * time.Second

// A Peer is one UDP socket or TCP connection towards a node, for what SIPp
// cannot do.
type Peer struct {
	t         testing.TB
	transport string
	local     string
	conn      net.Conn
	in        chan Response
}

// Dial opens a socket or a connection to the node's SIP listener.
func (n *Node) Dial(t testing.TB, transport string) *Peer {
	t.Helper()
	return dialPeer(t, transport, n.SIP)
}

func dialPeer(t testing.TB, transport string, to netip.AddrPort) *Peer {
	t.Helper()
	conn, err := net.DialTimeout(transport, to.String(), answerLimit)
	if err != nil {
		t.Fatalf("reach %s over %s: %v", to, transport, err)
	}
	p := &Peer{t: t, transport: transport, local: conn.LocalAddr().String(), conn: conn, in: make(chan Response, 256)}
	t.Cleanup(p.Close)
	go p.read()
	return p
}

// Close closes the socket.
func (p *Peer) Close() { _ = p.conn.Close() }

func (p *Peer) read() {
	defer close(p.in)
	next := p.datagram
	if p.transport == "tcp" {
		r := bufio.NewReader(p.conn)
		next = func() (Response, error) { return framed(r) }
	}
	for {
		msg, err := next()
		if err != nil {
			return
		}
		p.in <- msg
	}
}

func (p *Peer) datagram() (Response, error) {
	buf := make([]byte, 65536)
	n, err := p.conn.Read(buf)
	return Response(buf[:n]), err
}

// framed reads one message by its Content-Length; a pong is a message.
func framed(r *bufio.Reader) (Response, error) {
	var head strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
		if line == "\r\n" {
			break
		}
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "content-length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return "", err
			}
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return Response(head.String() + string(body)), err
}

// Send sends a request.
func (p *Peer) Send(r Request) {
	p.t.Helper()
	p.Raw(r.text(p.transport, p.local))
}

// Raw sends bytes as they are.
func (p *Peer) Raw(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Errorf("send over %s: %v", p.transport, err)
	}
}

// Next is the next message within limit; ok is false where none came.
func (p *Peer) Next(limit time.Duration) (msg Response, ok bool) {
	select {
	case msg, ok = <-p.in:
		return msg, ok
	case <-time.After(limit):
		return "", false
	}
}

// Expect returns the next message that answers the description, and lets
// others pass, such as 100.
func (p *Peer) Expect(what string, fits func(Response) bool) Response {
	p.t.Helper()
	var passed []string
	for end := time.Now().Add(answerLimit); ; {
		msg, ok := p.Next(time.Until(end))
		if !ok {
			p.t.Fatalf("over %s no %s came within %v, only %q", p.transport, what, answerLimit, passed)
		}
		if fits(msg) {
			return msg
		}
		passed = append(passed, msg.Line())
	}
}

// Status returns the next response of that status to that method.
func (p *Peer) Status(status int, method string) Response {
	p.t.Helper()
	return p.Expect(fmt.Sprintf("%d to %s", status, method), func(r Response) bool {
		return r.Status() == status && strings.HasSuffix(r.Header("CSeq"), " "+method)
	})
}

// Final sends a request and returns its final response.
func (p *Peer) Final(r Request) Response {
	p.t.Helper()
	p.Send(r)
	return p.Expect("final response to "+r.Method, func(m Response) bool {
		return m.Status() >= 200 && m.Header("Call-ID") == r.CallID && strings.HasSuffix(m.Header("CSeq"), " "+r.Method)
	})
}

// Silent fails the test if a message comes within the time that fits.
func (p *Peer) Silent(quiet time.Duration, what string, fits func(Response) bool) {
	p.t.Helper()
	for end := time.Now().Add(quiet); ; {
		msg, ok := p.Next(time.Until(end))
		if !ok {
			return
		}
		if fits(msg) {
			p.t.Errorf("over %s there came %s:\n%s", p.transport, what, msg)
		}
	}
}

// Reply answers a request of the node's with 200.
func (p *Peer) Reply(request Response) {
	p.t.Helper()
	p.Raw(replyTo(request, "200 OK"))
}
