package edge_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/internal/testkit/port"
	"patchbay/sip/edge"
)

// udpSink is a socket of a peer that nobody has heard of yet.
func udpSink(t *testing.T) (*peer, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{t: t, conn: c}, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// tcpSink is a peer's listener.
func tcpSink(t *testing.T) (func() *peer, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return func() *peer {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return &peer{t: t, conn: c, br: bufio.NewReader(c)}
	}, ln.Addr().(*net.TCPAddr).AddrPort()
}

func bye() []byte { return []byte(msg{method: "BYE"}.String()) }

var ok200 = []byte("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")

func TestARequestGoesToItsAddressOrName(t *testing.T) {
	t.Parallel()
	locate := func(_ context.Context, to call.Target) ([]call.Hop, error) {
		switch to.Host {
		case "pbx.example":
			return []call.Hop{{Transport: to.Transport, Addr: netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), to.Port)},
				{Transport: to.Transport, Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port)}}, nil
		case "panics.example":
			panic("a fault")
		}
		return nil, errors.New("no such host")
	}
	rig := start(t, settings(), rejecting(404), edge.WithLocate(locate))
	there, addr := udpSink(t)
	source, sourceAddr := udpSink(t)
	port := strings.TrimPrefix(addr.String(), "127.0.0.1")
	flow := call.Flow{Edge: edgeID, Boot: boot, Transport: call.UDP, Local: rig.Addrs().UDP, Remote: sourceAddr}
	for name, tc := range map[string]struct {
		tx   call.Transmission
		want *peer
	}{
		"an address":           {call.Transmission{Flow: flow, To: addr}, there},
		"a name":               {call.Transmission{Flow: flow, Host: "pbx.example" + port}, there},
		"a literal":            {call.Transmission{Flow: flow, Host: addr.String()}, there},
		"a name without hosts": {call.Transmission{Flow: flow, Host: "nowhere.example" + port}, source},
		"neither":              {call.Transmission{Flow: flow}, source},
	} {
		tc.tx.Raw = bye()
		rig.Send(tc.tx, nil)
		if got := tc.want.read(patience); !strings.HasPrefix(got, "BYE ") {
			t.Errorf("%s: got %q", name, got)
		}
	}
	rig.Send(call.Transmission{Flow: flow, Host: "panics.example", Raw: bye()}, nil)
	rig.seen.await(t, "panic lookup", 1)
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.UDP}, Host: "nowhere.example", Raw: bye()}, nil)
	rig.seen.await(t, "dropped "+string(edge.DropResolve), 1)
}

func TestAResponseNeverGoesWhereARequestMay(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	there, addr := udpSink(t)
	source, sourceAddr := udpSink(t)
	flow := call.Flow{Edge: edgeID, Boot: boot, Transport: call.UDP, Local: rig.Addrs().UDP, Remote: sourceAddr, Reply: sourceAddr}
	rig.Send(call.Transmission{Flow: flow, To: addr, Host: "pbx.example", Raw: ok200}, nil)
	if got := status(source.read(patience)); got != "200" {
		t.Errorf("the source heard %q", got)
	}
	if got := there.read(silence); got != "" {
		t.Errorf("another address heard %q", got)
	}
}

// An answer whose connection is gone goes to the host it came from, at the port
// that its Via names, and nowhere else (RFC 3261 18.2.2).
func TestAnAnswerGoesBackOnItsConnectionElseToItsVia(t *testing.T) {
	t.Parallel()
	flows := make(chan call.Flow, 2)
	r := rejecting(404)
	r.invite = noting(flows)
	rig := start(t, settings(), r)
	accept, listens := tcpSink(t)
	p := rig.tcp()
	p.send(msg{method: "INVITE", via: "10.9.8.7:" + strconv.Itoa(int(listens.Port())) + ";rport"}.String())
	flow := take(t, flows)
	if flow.Transport != call.TCP || flow.Conn == 0 || flow.Local != rig.Addrs().TCP || flow.Reply != listens {
		t.Errorf("wrong flow %+v", flow)
	}
	rig.Send(call.Transmission{Flow: flow, To: udpAddr, Host: "pbx.example", Raw: ok200}, nil)
	if got := status(p.read(patience)); got != "200" {
		t.Errorf("got %q", got)
	}
	var again *peer
	for name, change := range map[string]func(*call.Flow){
		"another edge's":  func(f *call.Flow) { f.Edge = "edge-2" },
		"an earlier boot": func(f *call.Flow) { f.Boot-- },
		"closed":          func(f *call.Flow) { f.Conn += 100 },
	} {
		gone := flow
		change(&gone)
		rig.Send(call.Transmission{Flow: gone, To: udpAddr, Host: "pbx.example", Raw: ok200}, nil)
		if again == nil {
			again = accept() // the others take the same
		}
		if got := status(again.read(patience)); got != "200" {
			t.Errorf("a flow that is %s: got %q", name, got)
		}
	}
	for name, change := range map[string]func(*call.Flow){
		"a client without a listener": func(f *call.Flow) { f.Reply = f.Remote },
		"another host":                func(f *call.Flow) { f.Reply = netip.MustParseAddrPort("127.0.0.9:9") },
		"no address":                  func(f *call.Flow) { f.Reply = netip.AddrPort{} },
		"a browser":                   func(f *call.Flow) { f.Transport = call.WS },
	} {
		gone := flow
		gone.Conn += 100
		change(&gone)
		told := make(chan bool, 1)
		rig.Send(call.Transmission{Flow: gone, Raw: ok200}, func(sent bool) { told <- sent })
		if take(t, told) {
			t.Errorf("%s was called", name)
		}
	}
}

var udpAddr = netip.MustParseAddrPort("127.0.0.1:9")

func TestARequestReusesALiveConnectionElseOpensOne(t *testing.T) {
	t.Parallel()
	answered := make(chan call.Packet, 1)
	r := rejecting(404)
	r.inDialog = func(_ call.Slot, _ call.ID, p call.Packet, done func(error)) { answered <- p; done(nil) }
	rig := start(t, settings(), r)
	accept, addr := tcpSink(t)
	gone := call.Flow{Edge: edgeID, Boot: boot, Transport: call.TCP, Remote: netip.MustParseAddrPort("127.0.0.1:9"), Conn: 999}
	for range 3 { // the later ones wait for the same connection
		rig.Send(call.Transmission{Flow: gone, To: addr, Raw: bye()}, nil)
	}
	p := accept()
	for range 3 {
		if got := p.read(patience); !strings.HasPrefix(got, "BYE ") {
			t.Fatalf("got %q", got)
		}
	}
	rig.Send(call.Transmission{Flow: gone, To: addr, Raw: bye()}, nil)
	if got := p.read(patience); !strings.HasPrefix(got, "BYE ") {
		t.Fatalf("got %q", got)
	}
	p.send(msg{method: "SIP/2.0 200 OK", branch: rig.keys.Branch(5, 55, "call-1", 2)}.String())
	select {
	case pkt := <-answered:
		if pkt.Flow.Remote != addr {
			t.Errorf("the answer's flow is %+v", pkt.Flow)
		}
	case <-time.After(patience):
		t.Error("the answer on our own connection was not read")
	}
}

func TestAConnectionThatCannotBeOpenedIsCounted(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	addr := port.Closed(t)
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.TCP}, To: addr, Raw: bye()}, nil)
	rig.seen.await(t, "dropped "+string(edge.DropDial), 1)
	told := make(chan bool, 1)
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.TCP}, To: addr, Raw: bye()}, func(sent bool) { told <- sent })
	if take(t, told) {
		t.Error("a request that could not be sent was called sent")
	}
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.WS}, To: addr, Raw: bye()}, nil)
	rig.seen.await(t, "dropped "+string(edge.DropNoRoute), 1)
}

// faulty is a log handler that panics at one message.
type faulty struct {
	slog.Handler
	at string
}

func (faulty) Enabled(context.Context, slog.Level) bool { return true }

func (f faulty) Handle(_ context.Context, r slog.Record) error {
	if r.Message == f.at {
		panic("a fault")
	}
	return nil
}

// TestAPanicWhileAConnectionIsOpenedKeepsNothingWaiting has a log with a fault
// hear that nobody listens: each message is told of, and the next one is tried.
func TestAPanicWhileAConnectionIsOpenedKeepsNothingWaiting(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404), edge.WithLogger(slog.New(faulty{slog.DiscardHandler, "dial"})))
	addr := port.Closed(t)
	for i := range 2 {
		told := make(chan bool, 1)
		rig.Send(call.Transmission{Flow: call.Flow{Transport: call.TCP}, To: addr, Raw: bye()}, func(sent bool) { told <- sent })
		if take(t, told) {
			t.Error("a request that could not be sent was called sent")
		}
		rig.seen.await(t, "panic dial", i+1)
	}
}

// Over a stream nothing overtakes: neither while its connection is opened nor as
// soon as it is.
func TestMessagesToOnePeerLeaveInTheirOrder(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	for range 30 {
		accept, addr := tcpSink(t)
		const all = 100
		for i := range all {
			rig.Send(call.Transmission{Flow: call.Flow{Transport: call.TCP}, To: addr, Raw: []byte(msg{method: "BYE", callID: strconv.Itoa(i)}.String())}, nil)
		}
		p := accept()
		for i := range all {
			if got := header(p.read(patience), "Call-ID"); got != strconv.Itoa(i) {
				t.Fatalf("message %d is %q", i, got)
			}
		}
	}
}
