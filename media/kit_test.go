package media_test

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/media"
	"patchbay/media/rtp"
)

var (
	pcmu  = call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}
	pcma  = call.Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000}
	g722  = call.Codec{PayloadType: 9, Name: "G722", ClockRate: 8000}
	opus  = call.Codec{PayloadType: 111, Name: "opus", ClockRate: 48000, Channels: 2}
	g729  = call.Codec{PayloadType: 18, Name: "G729", ClockRate: 8000}
	tel8  = call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000, Fmtp: "0-16"}
	tel48 = call.Codec{PayloadType: 102, Name: "telephone-event", ClockRate: 48000}
)

func settings() config.Media {
	return config.Media{
		RTPPorts: "21000-22999", MaxCalls: 100, AgentTimeout: 10 * time.Second,
		FirstRTP: 30 * time.Second, RTPSilence: 15 * time.Second,
		LatchWindow: 5 * time.Second, LatchMode: "sdp",
	}
}

// An agent stands in for connector and leg.
type agent struct {
	codec  call.Codec
	dtmf   *call.Codec
	err    error
	before func(ctx context.Context) // in Join
	req    media.JoinRequest

	mu      sync.Mutex
	got     [][]byte
	notes   []string
	rx      func([]byte)
	left    func(call.Cause)
	command func(media.Command) error
	started chan struct{}
	closed  chan call.Cause
}

func newAgent(codec call.Codec) *agent {
	return &agent{codec: codec, started: make(chan struct{}), closed: make(chan call.Cause, 8)}
}

func (a *agent) Join(ctx context.Context, req media.JoinRequest, chosen func(string)) (media.AgentLeg, error) {
	a.req = req
	if a.before != nil {
		a.before(ctx)
	}
	if a.err != nil {
		return nil, a.err
	}
	chosen("worker-1")
	return a, nil
}

func (a *agent) Codec() call.Codec { return a.codec }

func (a *agent) DTMF() (call.Codec, bool) {
	if a.dtmf == nil {
		return call.Codec{}, false
	}
	return *a.dtmf, true
}

func (a *agent) Start(rx func([]byte), left func(call.Cause), command func(media.Command) error) {
	a.rx, a.left, a.command = rx, left, command
	close(a.started)
}

func (a *agent) WriteRTP(p []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, append([]byte(nil), p...))
	return nil
}

func (a *agent) SSRC() uint32 { return 0xa9e27 }

func (a *agent) Notify(b []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, string(b))
}

func (a *agent) Close(c call.Cause) { a.closed <- c }

func (a *agent) packets() [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([][]byte(nil), a.got...)
}

// A relay lets each call of a node have an agent of its own.
type relay struct {
	mu    sync.Mutex
	to    *agent
	fresh bool // each search finds an agent of its own
}

func (r *relay) set(a *agent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = a
}

func (r *relay) Join(ctx context.Context, req media.JoinRequest, chosen func(string)) (media.AgentLeg, error) {
	r.mu.Lock()
	a := r.to
	if r.fresh {
		a = newAgent(pcmu)
	}
	r.mu.Unlock()
	return a.Join(ctx, req, chosen)
}

// A bench is one node, one call, and the carrier's sockets.
type bench struct {
	t         *testing.T
	node      *media.Node
	relay     *relay
	agent     *agent
	rtp, rtcp *net.UDPConn
	events    chan call.Event
	req       actors.BridgeRequest
	bridge    actors.Bridge
	answer    call.Answer
}

func udp(t *testing.T, ip string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Skipf("no socket at %s: %v", ip, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadBuffer(1 << 20)
	return c
}

func addr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// newBench makes a node and a call for a carrier at ip, not yet opened.
func newBench(t *testing.T, a *agent, cfg config.Media, ip string) *bench {
	t.Helper()
	via := &relay{to: a}
	node, err := media.NewNode(cfg, map[endpoint.Connector]media.Connector{endpoint.ConnectNATS: via}, nil, media.Observer{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, node: node, relay: via, agent: a, rtp: udp(t, ip), rtcp: udp(t, ip), events: make(chan call.Event, 100)}
	b.req = actors.BridgeRequest{
		ID: 7, Tenant: "acme",
		Asked: actors.Asked{Number: 1, Agent: endpoint.Agent{ID: "a", WebRTC: endpoint.AgentTransport{Connector: endpoint.ConnectNATS, NoSilence: true}}},
		Invitation: call.Invitation{
			From: call.Party{URI: "sip:alice@example.com", User: "alice"}, Source: addr(b.rtp).String(),
			Offer: &call.Offer{
				Addr: addr(b.rtp), RTCP: addr(b.rtcp), Direction: call.SendRecv,
				Codecs: []call.Codec{pcmu, g722, pcma}, DTMF: []call.Codec{tel8},
			},
		},
	}
	t.Cleanup(func() { _ = node.Close() })
	return b
}

// open begins a call, whose news no call before can mix with.
func (b *bench) open() {
	events := make(chan call.Event, 100)
	b.events = events
	b.bridge = b.node.Open(b.req, func(ev call.Event) { events <- ev })
}

func (b *bench) event() call.Event {
	b.t.Helper()
	select {
	case ev := <-b.events:
		return ev
	case <-time.After(patience):
		b.t.Fatal("no event")
		return call.Event{}
	}
}

// join opens the call and waits for both legs.
func (b *bench) join() {
	b.t.Helper()
	b.open()
	if ev := b.event(); ev.Kind != call.AgentChosen || ev.Agent != "worker-1" {
		b.t.Fatalf("%+v, want agent-chosen", ev)
	}
	ev := b.event()
	if ev.Kind != call.AgentJoined || ev.Answer == nil {
		b.t.Fatalf("%+v, want agent-joined", ev)
	}
	b.answer = *ev.Answer
	<-b.agent.started
	b.bridge.Answered()
}

// send writes a packet from a socket to our RTP port.
func (b *bench) send(from *net.UDPConn, p []byte) {
	b.t.Helper()
	if _, err := from.WriteToUDPAddrPort(p, b.answer.Addr); err != nil {
		b.t.Fatal(err)
	}
}

func packet(pt uint8, seq uint16, payload ...byte) []byte {
	b := make([]byte, rtp.HeaderSize, 2048)
	rtp.Header{PayloadType: pt, SSRC: 99, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(b)
	return append(b, payload...)
}

// receive reads packets from a socket until count came or it was quiet for
// wait.
func receive(t *testing.T, c *net.UDPConn, count int, wait time.Duration) [][]byte {
	t.Helper()
	var got [][]byte
	for len(got) < count {
		_ = c.SetReadDeadline(time.Now().Add(wait))
		buf := make([]byte, 2048)
		n, err := c.Read(buf)
		if err != nil {
			break
		}
		got = append(got, buf[:n])
	}
	return got
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// patience is the longest wait of a test for something that should happen.
const patience = 30 * time.Second

// eventually waits until ok, at most patience.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if ok() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("not within %v: %s", patience, what)
}

func fields(t *testing.T, note string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.NewDecoder(strings.NewReader(note)).Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}
