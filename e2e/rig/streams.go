package rig

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// streams are the connections of a phone that speaks SIP over TCP or TLS: one
// that it has opened to each of its ways, and those that edges open to it.
type streams struct {
	ln  net.Listener
	out []net.Conn

	mu     sync.Mutex
	closed bool
	in     []net.Conn
	came   map[string]net.Conn // by the transaction of a request: its responses go back on it (RFC 3261 18.2.2)
}

// openStreams connects to every way, and listens where the phone is called.
// secured is whom to believe, and the phone's own certificate; nil: over TCP.
func openStreams(ways []netip.AddrPort, secured *tls.Config) (*streams, error) {
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(loopback, 0).String())
	if err != nil {
		return nil, fmt.Errorf("open a phone: %w", err)
	}
	if secured != nil {
		ln = tls.NewListener(ln, secured)
	}
	s := &streams{ln: ln, came: map[string]net.Conn{}}
	for _, to := range ways {
		conn, err := connect(to, secured)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("open a phone: %w", err)
		}
		s.out = append(s.out, conn)
	}
	return s, nil
}

func connect(to netip.AddrPort, secured *tls.Config) (net.Conn, error) {
	d := &net.Dialer{Timeout: Patience}
	if secured == nil {
		return d.Dial("tcp", to.String())
	}
	return tls.DialWithDialer(d, "tcp", to.String(), secured)
}

// listen hands on what comes on any connection until the phone is closed.
func (s *streams) listen(take func(Response)) {
	for _, conn := range s.out {
		go s.read(conn, take)
	}
	for {
		conn, err := s.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.mu.Lock()
		s.in = append(s.in, conn)
		closed := s.closed
		s.mu.Unlock()
		if closed {
			_ = conn.Close()
			return
		}
		go s.read(conn, take)
	}
}

func (s *streams) read(conn net.Conn, take func(Response)) {
	for r := bufio.NewReader(conn); ; {
		m, err := framed(r)
		if err != nil {
			return
		}
		if len(m) <= len("\r\n\r\n") { // a ping, or its pong (RFC 5626 4.4.1)
			continue
		}
		if m.Status() == 0 {
			s.mu.Lock()
			s.came[key(m.Header("Via"), m.Method())] = conn
			s.mu.Unlock()
		}
		take(m)
	}
}

// send writes a message: a response on the connection of its request, all else
// on that of a turn.
func (s *streams) send(turn int, text string) {
	if !s.back(text) {
		_, _ = s.out[turn%len(s.out)].Write([]byte(text)) // the connection has ended: its reader has seen it
	}
}

// back writes a response on the connection of its request, and reports whether
// there was one.
func (s *streams) back(text string) bool {
	m := Response(text)
	if m.Status() == 0 {
		return false
	}
	s.mu.Lock()
	conn := s.came[key(m.Header("Via"), methodOf(m))]
	s.mu.Unlock()
	if conn != nil {
		_, _ = conn.Write([]byte(text)) // likewise
	}
	return conn != nil
}

func (s *streams) close() {
	_ = s.ln.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, conn := range append(s.out, s.in...) {
		_ = conn.Close()
	}
}
