package caller

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A line carries whole SIP messages to and from one peer. In is closed when
// the connection ends.
type line struct {
	conn net.Conn
	in   chan []byte
}

// maxBody is the largest body, in bytes, this caller takes over TCP.
const maxBody = 64 << 10

func dialLine(t Target, from netip.Addr) (*line, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if from.IsValid() {
		local := netip.AddrPortFrom(from, 0)
		d.LocalAddr = net.UDPAddrFromAddrPort(local)
		if t.Transport == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(local)
		}
	}
	conn, err := d.Dial(t.Transport, t.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("reach %s over %s: %w", t.Addr, t.Transport, err)
	}
	l := &line{conn: conn, in: make(chan []byte, 64)}
	next := l.nextDatagram
	if t.Transport == "tcp" {
		r := bufio.NewReaderSize(conn, 64<<10)
		next = func() ([]byte, error) { return nextFramed(r) }
	}
	go l.read(next)
	return l, nil
}

func (l *line) read(next func() ([]byte, error)) {
	defer close(l.in)
	for {
		msg, err := next()
		if err != nil {
			return
		}
		select {
		case l.in <- msg:
		default: // nobody listens any more
		}
	}
}

func (l *line) send(msg []byte) error { _, err := l.conn.Write(msg); return err }
func (l *line) close()                { _ = l.conn.Close() }

func (l *line) local() netip.AddrPort {
	switch a := l.conn.LocalAddr().(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort())
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

func (l *line) nextDatagram() ([]byte, error) {
	buf := make([]byte, 65535)
	for {
		n, err := l.conn.Read(buf)
		if err == nil {
			return append([]byte(nil), buf[:n]...), nil
		}
		// A refused port shows on a connected socket; the request is repeated.
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			if !strings.Contains(err.Error(), "refused") {
				return nil, err
			}
		}
	}
}

func nextFramed(r *bufio.Reader) ([]byte, error) {
	var msg []byte
	length := 0
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		blank := strings.TrimSpace(text) == ""
		if blank && len(msg) == 0 {
			continue // keep-alive
		}
		msg = append(msg, text...)
		if blank {
			break
		}
		name, value, _ := strings.Cut(text, ":")
		if n := strings.TrimSpace(name); strings.EqualFold(n, "content-length") || n == "l" {
			length, err = strconv.Atoi(strings.TrimSpace(value))
			if err != nil || length < 0 || length > maxBody {
				return nil, fmt.Errorf("Content-Length %q", strings.TrimSpace(value))
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return append(msg, body...), nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
