package rig

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A Phone is a carrier's side of a few calls whose script decides what is sent
// and when: one UDP socket, or one connection to each of its ways over TCP or
// TLS. Each message takes the next way, but for responses over a connection.
// Its transactions repeat and absorb what RFC 3261 17 has them repeat and
// absorb, so that a script goes on where packets are lost, doubled or late.
type Phone struct {
	conn   *net.UDPConn // nil: it has connections
	lines  *streams
	beside *streams // of a phone that is called over TCP, too; nil: of none
	ways   []netip.AddrPort
	self   string // host:port in Via and Contact
	over   string // udp, tcp, tls
	t1     time.Duration
	relay  *Relay
	quit   chan struct{}
	in     chan Response // requests, each once

	mu     sync.Mutex
	turn   int
	asked  map[string]*Exchange // by branch and method
	said   map[string]string    // last answer, by branch and method; "": none yet
	acks   map[string]string    // of each 2xx, by CSeq and To-tag
	acked  map[string]Response  // ACKs that came, by CSeq and To-tag
	resent int                  // requests that were repeated
	copies int                  // messages that had come before
}

// Patience is the longest wait of a phone for what must come: more than 64*T1 at
// the T1 of RFC 3261, whatever its own is, for machines may be slow.
const Patience = 50 * time.Second

// NewPhone opens a phone whose messages take one edge after the other. With a
// seed other than 0 there is a relay in front of the first, which they all take.
func NewPhone(edges []netip.AddrPort, t1 time.Duration, seed uint64) (*Phone, error) {
	return NewPhoneAt(loopbackLike(edges[0]), edges, t1, seed)
}

// NewPhoneAt is NewPhone at another address of this machine.
func NewPhoneAt(at netip.Addr, edges []netip.AddrPort, t1 time.Duration, seed uint64) (*Phone, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		return nil, fmt.Errorf("open a phone: %w", err)
	}
	p := newPhone("udp", t1)
	p.conn, p.ways, p.self = conn, edges, addrPort(conn).String()
	if seed != 0 {
		if p.relay, err = NewRelay(addrPort(conn), edges[0], seed, Lossy); err != nil {
			_ = conn.Close()
			return nil, err
		}
		p.ways, p.self = []netip.AddrPort{p.relay.Near()}, p.relay.Far().String()
	}
	go p.listen()
	return p, nil
}

func newPhone(over string, t1 time.Duration) *Phone {
	return &Phone{over: over, t1: t1, quit: make(chan struct{}), in: make(chan Response, 64),
		asked: map[string]*Exchange{}, said: map[string]string{}, acks: map[string]string{}, acked: map[string]Response{}}
}

// NewStreamPhone opens a phone with one connection to each way, over TLS where
// secured is not nil: it says whom to believe, and has the phone's certificate.
func NewStreamPhone(ways []netip.AddrPort, t1 time.Duration, secured *tls.Config) (*Phone, error) {
	lines, err := openStreams(ways, secured)
	if err != nil {
		return nil, err
	}
	p := newPhone("tcp", t1)
	if secured != nil {
		p.over = "tls"
	}
	p.lines, p.self = lines, lines.ln.Addr().String()
	go lines.listen(p.take)
	return p, nil
}

// ListenTCP has a phone on UDP take calls over TCP, too, at the same port.
func (p *Phone) ListenTCP() error {
	ln, err := net.Listen("tcp4", p.self)
	if err != nil {
		return fmt.Errorf("open a phone: %w", err)
	}
	p.mu.Lock()
	p.beside = &streams{ln: ln, came: map[string]net.Conn{}}
	p.mu.Unlock()
	go p.beside.listen(p.take)
	return nil
}

// loopbackLike is loopback of the family of an address.
func loopbackLike(a netip.AddrPort) netip.Addr {
	if a.Addr().Is6() {
		return netip.IPv6Loopback()
	}
	return loopback
}

// Self is where the phone is reached.
func (p *Phone) Self() string { return p.self }

// Over is the transport: udp, tcp or tls.
func (p *Phone) Over() string { return p.over }

// Close ends the phone and its relay.
func (p *Phone) Close() {
	close(p.quit)
	if p.lines != nil {
		p.lines.close()
		return
	}
	if p.beside != nil {
		p.beside.close()
	}
	_ = p.conn.Close()
	if p.relay != nil {
		p.relay.Close()
	}
}

// Network is the phone's relay; nil where there is none.
func (p *Phone) Network() *Relay { return p.relay }

// Send sends a message by the next way.
func (p *Phone) Send(text string) {
	p.mu.Lock()
	turn, beside := p.turn, p.beside
	p.turn++
	p.mu.Unlock()
	if p.lines != nil {
		p.lines.send(turn, text)
		return
	}
	if beside != nil && beside.back(text) {
		return
	}
	to := p.ways[turn%len(p.ways)]
	_, _ = p.conn.WriteToUDPAddrPort([]byte(text), to) // lost, as any may be
}

func (p *Phone) listen() {
	buf := make([]byte, 65535)
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.take(Response(buf[:n]))
		}
	}
}

// methodOf is the method that a message is, or answers.
func methodOf(m Response) string {
	_, method, _ := strings.Cut(m.Header("CSeq"), " ")
	return method
}

// key names a transaction.
func key(via, method string) string {
	_, branch, _ := strings.Cut(via, "branch=")
	branch, _, _ = strings.Cut(branch, ";")
	return branch + " " + method
}

// take deals with a message that came.
func (p *Phone) take(m Response) {
	seq, method, _ := strings.Cut(m.Header("CSeq"), " ")
	if m.Status() == 0 {
		p.request(m, seq)
		return
	}
	p.mu.Lock()
	x := p.asked[key(m.Header("Via"), method)]
	ack := p.acks[seq+" "+m.ToTag()]
	p.mu.Unlock()
	if method == "INVITE" && m.Status()/100 == 2 && ack != "" { // ours was lost (RFC 3261 13.2.2.4)
		p.Send(ack)
	}
	if x != nil {
		x.take(m)
	}
}

// request deals with a request of the node's: a copy gets the answer again.
func (p *Phone) request(m Response, seq string) {
	p.mu.Lock()
	if m.Method() == "ACK" {
		p.acked[seq+" "+m.ToTag()] = m
		p.mu.Unlock()
		return
	}
	k := key(m.Header("Via"), m.Method())
	last, known := p.said[k]
	if !known {
		p.said[k] = ""
	} else {
		p.copies++
	}
	p.mu.Unlock()
	switch {
	case last != "":
		p.Send(last)
	case !known:
		select {
		case p.in <- m:
		default: // nobody listens any more
		}
	}
}

// Await returns the next request of the node's of one of those methods; others
// pass, and are not answered.
func (p *Phone) Await(method string) (Response, error) {
	var passed []string
	for end := time.After(Patience); ; {
		select {
		case m := <-p.in:
			if m.Method() == method {
				return m, nil
			}
			passed = append(passed, m.Line())
		case <-end:
			return "", fmt.Errorf("no %s came within %v, only %q", method, Patience, passed)
		}
	}
}

// Acked waits for the ACK of a response that we gave to an INVITE under a tag.
func (p *Phone) Acked(invite Response, tag string) (Response, error) {
	seq, _, _ := strings.Cut(invite.Header("CSeq"), " ")
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		p.mu.Lock()
		ack, ok := p.acked[seq+" "+tag]
		p.mu.Unlock()
		if ok {
			return ack, nil
		}
	}
	return "", fmt.Errorf("no ACK of INVITE %s came within %v", seq, Patience)
}

// Answer sends a response to a request of the node's. A final one to an INVITE is
// repeated until its ACK (13.3.1.4, 17.2.1); all others when the request is.
func (p *Phone) Answer(request Response, text string) {
	p.mu.Lock()
	p.said[key(request.Header("Via"), request.Method())] = text
	p.mu.Unlock()
	p.Send(text)
	if m := Response(text); request.Method() == "INVITE" && (m.Status()/100 == 2 || m.Status() >= 300 && p.lines == nil) {
		seq, _, _ := strings.Cut(request.Header("CSeq"), " ")
		go p.repeat(text, seq+" "+m.ToTag())
	}
}

func (p *Phone) repeat(text, which string) {
	for wait, end := p.t1, time.Now().Add(Patience); time.Now().Before(end); wait = min(2*wait, t2) {
		select {
		case <-time.After(wait):
		case <-p.quit:
			return
		}
		p.mu.Lock()
		_, done := p.acked[which]
		p.mu.Unlock()
		if done {
			return
		}
		p.Send(text)
	}
}

// Ack sends the ACK of a 2xx, and again whenever that comes.
func (p *Phone) Ack(answer Response, text string) {
	seq, _, _ := strings.Cut(answer.Header("CSeq"), " ")
	p.mu.Lock()
	p.acks[seq+" "+answer.ToTag()] = text
	p.mu.Unlock()
	p.Send(text)
}

// Next is the next request of the node's within a limit.
func (p *Phone) Next(limit time.Duration) (m Response, came bool) {
	select {
	case m = <-p.in:
		return m, true
	case <-time.After(limit):
		return "", false
	}
}

// Repeated is how many requests the phone sent again, and how many messages came
// that had come before.
func (p *Phone) Repeated() (resent, copies int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resent, p.copies
}
