package caller

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// A line carries whole SIP messages to and from one peer, which may have
// several edges. In is closed when the last connection ends.
type line struct {
	ways []way
	next int // the way of the next message
	in   chan []byte
}

// A way leads to one edge.
type way struct {
	local netip.AddrPort
	send  func([]byte) error
	read  func() ([]byte, error)
	close func()
}

// Limits of a line.
const (
	maxBody  = 64 << 10 // bytes of the largest body taken on a stream
	dialTime = 5 * time.Second
)

// dialLine opens a way to the target, or one to each of the edges.
func dialLine(ctx context.Context, t Target, o Options) (*line, error) {
	edges := o.Edges
	if len(edges) == 0 {
		edges = []netip.AddrPort{t.Addr}
	}
	l := &line{in: make(chan []byte, 64)}
	if t.Transport == "udp" && len(edges) > 1 {
		w, err := openSpray(edges, o.Local)
		if err != nil {
			return nil, fmt.Errorf("reach %s over udp: %w", edges[0], err)
		}
		l.ways = append(l.ways, w)
		edges = nil
	}
	for _, at := range edges {
		w, err := open(ctx, t, at, o)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("reach %s over %s: %w", at, t.Transport, err)
		}
		l.ways = append(l.ways, w)
	}
	var all sync.WaitGroup
	for _, w := range l.ways {
		all.Go(func() { l.read(w.read) })
	}
	go func() { all.Wait(); close(l.in) }()
	return l, nil
}

// open opens a way to one edge.
func open(ctx context.Context, t Target, at netip.AddrPort, o Options) (way, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	d := &net.Dialer{}
	if o.Local.IsValid() {
		local := netip.AddrPortFrom(o.Local, 0)
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
		if t.Transport == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(local)
		}
	}
	network := "tcp"
	if t.Transport == "udp" {
		network = "udp"
	}
	conn, err := d.DialContext(ctx, network, at.String())
	if err != nil {
		return way{}, err
	}
	w := way{local: addrOf(conn.LocalAddr()), close: func() { _ = conn.Close() }}
	if t.Transport == "tls" || t.Transport == "wss" {
		secure := tls.Client(conn, secured(o.TLS, t.Host))
		if err := secure.HandshakeContext(ctx); err != nil {
			w.close()
			return way{}, err
		}
		conn = secure
	}
	w.send = func(msg []byte) error { _, err := conn.Write(msg); return err }
	switch t.Transport {
	case "udp":
		w.read = func() ([]byte, error) { return nextDatagram(conn.Read) }
	case "ws", "wss":
		if err := w.speakWebSocket(ctx, t, conn); err != nil {
			w.close()
			return way{}, err
		}
	default:
		r := bufio.NewReaderSize(conn, 64<<10)
		w.read = func() ([]byte, error) { return nextFramed(r) }
	}
	return w, nil
}

func secured(cfg *tls.Config, host string) *tls.Config {
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg = cfg.Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	return cfg
}

// speakWebSocket opens a WebSocket on conn, as a program that is no browser
// does: without an Origin (RFC 7118 4.1).
func (w *way) speakWebSocket(ctx context.Context, t Target, conn net.Conn) error {
	once := &http.Transport{DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	socket, res, err := websocket.Dial(ctx, "ws://"+net.JoinHostPort(t.Host, strconv.Itoa(int(t.Addr.Port()))), // TLS is below already
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: once}, Subprotocols: []string{"sip"}})
	if err != nil {
		if res != nil {
			return errors.New("the WebSocket was refused: " + res.Status)
		}
		return err
	}
	socket.SetReadLimit(2 * maxBody)
	w.send = func(msg []byte) error { return socket.Write(context.Background(), websocket.MessageText, msg) }
	w.read = func() ([]byte, error) {
		_, msg, err := socket.Read(context.Background())
		return msg, err
	}
	w.close = func() { _ = socket.CloseNow() }
	return nil
}

// openSpray opens one socket whose messages go to one edge after the other: a
// peer behind a balancer that knows nothing of calls.
func openSpray(edges []netip.AddrPort, from netip.Addr) (way, error) {
	if !from.IsValid() {
		probe, err := net.Dial("udp", edges[0].String())
		if err != nil {
			return way{}, err
		}
		from = addrOf(probe.LocalAddr()).Addr()
		_ = probe.Close()
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)))
	if err != nil {
		return way{}, err
	}
	turn := 0
	return way{
		local: addrOf(conn.LocalAddr()),
		send: func(msg []byte) error {
			to := edges[turn%len(edges)]
			turn++
			_, err := conn.WriteToUDPAddrPort(msg, to)
			return err
		},
		read: func() ([]byte, error) {
			return nextDatagram(func(b []byte) (int, error) { n, _, err := conn.ReadFromUDPAddrPort(b); return n, err })
		},
		close: func() { _ = conn.Close() },
	}, nil
}

func (l *line) read(next func() ([]byte, error)) {
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

// send sends a message by the next way. Where that has ended, by another.
func (l *line) send(msg []byte) (err error) {
	for range l.ways {
		w := l.ways[l.next%len(l.ways)]
		l.next++
		if err = w.send(msg); err == nil {
			return nil
		}
	}
	return err
}

func (l *line) close() {
	for _, w := range l.ways {
		w.close()
	}
}

func (l *line) local() netip.AddrPort { return l.ways[0].local }

func addrOf(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmap(a.AddrPort())
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

func nextDatagram(read func([]byte) (int, error)) ([]byte, error) {
	buf := make([]byte, 65535)
	for {
		n, err := read(buf)
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
