package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/sip/edge"
	"patchbay/sip/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	edgeID   = "edge-1"
	boot     = 7
	patience = 30 * time.Second // for what must come
	silence  = 150 * time.Millisecond
)

// fakeRouter is the rest of the cluster.
type fakeRouter struct {
	invite   func(inv endpoint.Invite, cancel bool, p call.Packet, done func(edge.Outcome))
	inDialog func(slot call.Slot, id call.ID, p call.Packet, done func(error))
}

func (r fakeRouter) Invite(inv endpoint.Invite, cancel bool, p call.Packet, done func(edge.Outcome)) {
	r.invite(inv, cancel, p, done)
}

func (r fakeRouter) InDialog(slot call.Slot, id call.ID, p call.Packet, done func(error)) {
	r.inDialog(slot, id, p, done)
}

// rejecting answers every INVITE and CANCEL with one status, and takes all else.
func rejecting(status int) fakeRouter {
	return fakeRouter{
		invite: func(_ endpoint.Invite, _ bool, _ call.Packet, done func(edge.Outcome)) {
			done(edge.Outcome{Status: status})
		},
		inDialog: func(_ call.Slot, _ call.ID, _ call.Packet, done func(error)) { done(nil) },
	}
}

// counts is an Observer that tests can ask.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(key string, delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[key] += delta
}

func (c *counts) of(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}

// await waits until a count is at least n.
func (c *counts) await(t *testing.T, key string, n int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if c.of(key) >= n {
			return
		}
	}
	t.Fatalf("%s is %d, want %d", key, c.of(key), n)
}

// awaitAll waits until counts are n together, and no more.
func (c *counts) awaitAll(t *testing.T, n int, keys ...string) {
	t.Helper()
	sum := func() (all int) {
		for _, key := range keys {
			all += c.of(key)
		}
		return all
	}
	for end := time.Now().Add(patience); sum() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d, want %d", strings.Join(keys, " and "), sum(), n)
		}
	}
}

func (c *counts) observer() edge.Observer {
	return edge.Observer{
		Received:    func(tr call.Transport) { c.add("received "+string(tr), 1) },
		Answered:    func(method string, status int) { c.add(fmt.Sprintf("answered %s %d", method, status), 1) },
		Malformed:   func(word string) { c.add("malformed "+word, 1) },
		Dropped:     func(why edge.Drop) { c.add("dropped "+string(why), 1) },
		Panicked:    func(where string) { c.add("panic "+where, 1) },
		Connections: func(_ call.Transport, delta int) { c.add("connections", delta) },
	}
}

type rig struct {
	*edge.Edge
	keys *token.Keys
	seen *counts
	t    testing.TB
	stop func()
}

// settings of a test edge: loopback, ports of the system's choice.
func settings() config.SIP {
	return config.SIP{
		UDP: "127.0.0.1:0", TCP: "127.0.0.1:0", BaseDomain: "sip.example",
		UDPSockets: 2, UDPBuffer: 1 << 20, MaxConns: 100, MaxConnsPerIP: 100,
		FirstMessage: patience, IdleTimeout: patience, WriteTimeout: patience, MaxPending: 64,
	}
}

// start runs an edge until the test ends.
func start(t testing.TB, cfg config.SIP, r edge.Router, opts ...edge.Option) *rig {
	t.Helper()
	keys, err := token.NewKeys(token.Key{ID: 1, Secret: [32]byte{1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := &counts{n: map[string]int{}}
	opts = append([]edge.Option{edge.Patiently(patience), edge.WithObserver(seen.observer()), edge.WithRandom(func(n int) int { return n - 1 })}, opts...)
	e := edge.New(cfg, edgeID, boot, keys, r, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(2 * patience):
			t.Error("Run did not end")
		}
	})
	t.Cleanup(stop)
	select {
	case <-e.Ready():
	case err := <-done:
		t.Fatalf("Run: %v", err)
	}
	return &rig{Edge: e, keys: keys, seen: seen, t: t, stop: stop}
}

// A peer talks SIP to an edge and reads what comes back.
type peer struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader // of a stream
	ws   *socketPeer   // of a WebSocket
}

func (r *rig) udp() *peer { return r.udpTo(r.Addrs().UDP) }

func (r *rig) udpTo(to netip.AddrPort) *peer {
	r.t.Helper()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return &peer{t: r.t, conn: c}
}

func (r *rig) tcp() *peer {
	r.t.Helper()
	c, err := net.Dial("tcp4", r.Addrs().TCP.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return &peer{t: r.t, conn: c, br: bufio.NewReader(c)}
}

func (p *peer) send(msg string) {
	p.t.Helper()
	if p.ws != nil {
		p.ws.send(msg)
		return
	}
	if _, err := p.conn.Write([]byte(msg)); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next message, or "" when none comes in time.
func (p *peer) read(wait time.Duration) string {
	if p.ws != nil {
		return p.ws.read(wait)
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
	if p.br == nil {
		buf := make([]byte, 1<<16)
		n, err := p.conn.Read(buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
	var head strings.Builder
	length := 0
	for {
		line, err := p.br.ReadString('\n')
		if err != nil {
			return ""
		}
		head.WriteString(line)
		_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, _ = io.ReadFull(p.br, body)
	return head.String() + string(body)
}

// ask sends a message and returns the answer, which must come.
func (p *peer) ask(msg string) string {
	p.t.Helper()
	p.send(msg)
	got := p.read(patience)
	if got == "" {
		p.t.Fatalf("no answer to %.60q", msg)
	}
	return got
}

// closed reports that the edge closed the connection in time.
func (p *peer) closed(wait time.Duration) bool {
	if p.ws != nil {
		return p.ws.closed(wait)
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
	_, err := io.Copy(io.Discard, p.br)
	ne, ok := err.(net.Error)
	return !ok || !ne.Timeout()
}

// A msg is a request or a response in the making.
type msg struct {
	method, uri, callID, toTag, branch, via string
	headers                                 []string
	body                                    string
}

func (m msg) String() string {
	if m.uri == "" {
		m.uri = "sip:desk-abcdef@sip.example"
	}
	if m.callID == "" {
		m.callID = "call-1"
	}
	if m.branch == "" {
		m.branch = "z9hG4bKb1"
	}
	if m.via == "" {
		m.via = "127.0.0.1;rport"
	}
	to := "<" + m.uri + ">"
	if m.toTag != "" {
		to += ";tag=" + m.toTag
	}
	start := m.method + " " + m.uri + " SIP/2.0"
	if strings.HasPrefix(m.method, "SIP/") {
		start, m.method = m.method, "BYE"
	}
	lines := append([]string{
		start, "Via: SIP/2.0/UDP " + m.via + ";branch=" + m.branch, "Max-Forwards: 70",
		"From: <sip:+15550100@carrier.example>;tag=f1", "To: " + to, "Call-ID: " + m.callID, "CSeq: 1 " + m.method,
	}, m.headers...)
	lines = append(lines, fmt.Sprintf("Content-Length: %d", len(m.body)))
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + m.body
}

// status returns the number in a response's first line.
func status(res string) string {
	if len(res) < 11 || !strings.HasPrefix(res, "SIP/2.0 ") {
		return ""
	}
	return res[8:11]
}

// header returns the value of a header field of a response.
func header(res, name string) string {
	for line := range strings.SplitSeq(res, "\r\n") {
		if n, v, ok := strings.Cut(line, ": "); ok && n == name {
			return v
		}
	}
	return ""
}

func toTag(res string) string {
	_, tag, _ := strings.Cut(header(res, "To"), ";tag=")
	return tag
}

// recorder is an option that logs everything, and what was logged.
func recorder() (edge.Option, func() string) {
	w := &logText{}
	return edge.WithLogger(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))), w.String
}

type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// panicking is a router with a fault that has a secret in its hands.
func panicking(secret string) fakeRouter {
	return fakeRouter{
		invite:   func(endpoint.Invite, bool, call.Packet, func(edge.Outcome)) { panic("fault about " + secret) },
		inDialog: func(call.Slot, call.ID, call.Packet, func(error)) { panic(fmt.Errorf("fault about %s", secret)) },
	}
}

// take receives what must come.
func take[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
