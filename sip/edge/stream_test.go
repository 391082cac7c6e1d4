package edge_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
)

func TestAStreamCarriesManyMessagesHoweverTheyAreSplit(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	p := rig.tcp()
	all := msg{method: "INVITE", callID: "a", body: "v=0\r\n", headers: []string{"Content-Type: application/sdp"}}.String() +
		"\r\n" + msg{method: "OPTIONS", callID: "a"}.String() + "\r\n\r\n" + msg{method: "REGISTER", callID: "a"}.String()
	for len(all) > 0 {
		n := min(len(all), 97)
		p.send(all[:n])
		all = all[n:]
	}
	var got []string
	for range 3 {
		res := p.read(patience)
		got = append(got, status(strings.TrimPrefix(res, "\r\n"))) // a pong is read as an empty head
		if res == "\r\n" {
			got = got[:len(got)-1]
			got = append(got, status(p.read(patience)))
		}
	}
	if fmt.Sprint(got) != "[404 200 405]" {
		t.Errorf("got %v", got)
	}
}

func TestAPingOnAStreamGetsItsPong(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	p := rig.tcp()
	p.ask(msg{method: "OPTIONS"}.String())
	for range 2 {
		p.send("\r\n\r\n")
		if got := p.read(patience); got != "\r\n" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestAStreamThatCannotBeFramedGets400AndIsClosed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		broken string
		want   string
	}{
		"bad Content-Length": {strings.Replace(msg{method: "INVITE"}.String(), "Length: 0", "Length: -9", 1), "400"},
		"bare LF":            {strings.Replace(msg{method: "INVITE"}.String(), "\r\nContent-Length", "\nContent-Length", 1), "400"},
		"too long":           {strings.Replace(msg{method: "INVITE"}.String(), "Length: 0", "Length: 99999", 1), "413"},
		"not SIP":            {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		"a broken ACK":       {strings.Replace(msg{method: "ACK"}.String(), "Length: 0", "Length: x", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig := start(t, settings(), rejecting(404))
			p := rig.tcp()
			p.send(tc.broken)
			if got := status(p.read(patience)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if !p.closed(patience) {
				t.Error("the connection stays open")
			}
			rig.seen.await(t, "dropped "+string(edge.DropFraming), 1)
		})
	}
}

func TestASlowMessageCostsTheConnectionHoweverItDrips(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.FirstMessage = 5 * time.Second // a busy machine says its OPTIONS within it
	rig := start(t, cfg, rejecting(404))
	drip := func(p *peer, what string) {
		head, _, _ := strings.Cut(msg{method: "OPTIONS"}.String(), "\r\n")
		slow := head + "\r\nX-Pad: "
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // it has no end
			if _, err := p.conn.Write([]byte{slow[0]}); err != nil {
				return
			}
			if slow = slow[1:]; slow == "" {
				slow = "x"
			}
			if time.Now().After(end) {
				t.Errorf("%s stays open", what)
				return
			}
		}
	}
	later, first, silent := rig.tcp(), rig.tcp(), rig.tcp()
	later.ask(msg{method: "OPTIONS"}.String())
	var both sync.WaitGroup
	both.Go(func() { drip(first, "a new connection") })
	both.Go(func() { drip(later, "a known connection") })
	if !silent.closed(patience) {
		t.Error("a silent connection stays open")
	}
	both.Wait()
	rig.seen.await(t, "dropped "+string(edge.DropSlow), 3)
	rig.seen.awaitAll(t, 0, "connections")
}

func TestALineEndIsNoSlowMessage(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.FirstMessage = 4 * time.Second
	rig := start(t, cfg, rejecting(404))
	p := rig.tcp()
	p.ask(msg{method: "OPTIONS"}.String())
	p.send("\r\n")
	time.Sleep(cfg.FirstMessage + time.Second) // real: a line end does not begin a message
	if got := status(p.ask(msg{method: "OPTIONS"}.String())); got != "200" {
		t.Errorf("got %q", got)
	}
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.IdleTimeout = 5 * time.Second // the answer of a busy edge is within it
	rig := start(t, cfg, rejecting(404))
	p := rig.tcp()
	p.ask(msg{method: "OPTIONS"}.String())
	if !p.closed(patience) {
		t.Error("the connection stays open")
	}
	if rig.seen.of("dropped "+string(edge.DropSlow)) != 0 {
		t.Error("idleness was counted as slowness")
	}
}

func TestHalfOpenConnectionsAreCapped(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.MaxConns, cfg.MaxConnsPerIP, cfg.FirstMessage = 150, 100, 3*time.Second
	rig := start(t, cfg, rejecting(404))
	half := msg{method: "INVITE"}.String()[:40]
	for i := range 2000 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(3+i%2))}}
		c, err := d.Dial("tcp4", rig.Addrs().TCP.String())
		if err != nil {
			continue // turned away before the handshake was over
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = c.Write([]byte(half))
	}
	rig.seen.await(t, "dropped "+string(edge.DropConnCap), 1)
	if n := rig.seen.of("connections"); n > 150 {
		t.Errorf("%d connections are kept", n)
	}
	rig.seen.await(t, "dropped "+string(edge.DropSlow), 150)
	for end := time.Now().Add(patience); ; { // others of the 2,000 may still wait to be accepted, and take their places
		p := rig.tcp()
		_, _ = p.conn.Write([]byte(msg{method: "OPTIONS"}.String()))
		got := status(p.read(patience))
		if got == "200" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a good client gets %q afterwards", got)
		}
	}
}

func TestOneSourceCannotTakeAllConnections(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.MaxConnsPerIP = 2
	rig := start(t, cfg, rejecting(404))
	first := rig.tcp()
	first.ask(msg{method: "OPTIONS"}.String())
	rig.tcp().ask(msg{method: "OPTIONS"}.String())
	if third := rig.tcp(); !third.closed(patience) {
		t.Error("the third connection stays open")
	}
	_ = first.conn.Close()
	rig.seen.await(t, "dropped "+string(edge.DropSourceCap), 1)
	rig.seen.awaitAll(t, 1, "connections")
	if got := status(rig.tcp().ask(msg{method: "OPTIONS"}.String())); got != "200" {
		t.Errorf("after one left: %q", got)
	}
}

func TestAPeerThatDoesNotReadLosesItsConnection(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.WriteTimeout = 2 * time.Second
	flows := make(chan call.Flow, 1)
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		flows <- p.Flow
		done(edge.Outcome{Taken: true})
	}
	rig := start(t, cfg, r)
	p := rig.tcp()
	p.send(msg{method: "INVITE", via: p.conn.LocalAddr().String()}.String()) // nobody can be called there
	flow := take(t, flows)
	res := []byte("SIP/2.0 200 OK\r\nX: " + strings.Repeat("x", 60000) + "\r\n\r\n")
	for end := time.Now().Add(patience); rig.seen.of("dropped "+string(edge.DropFlowGone)) == 0; {
		if time.Now().After(end) {
			t.Fatal("the connection lives on")
		}
		for range cfg.MaxPending {
			rig.Send(call.Transmission{Flow: flow, Raw: res}, nil)
		}
		time.Sleep(time.Millisecond)
	}
	if rig.seen.of("dropped "+string(edge.DropWrite)) != 1 || rig.seen.of("dropped "+string(edge.DropWriteQueue)) == 0 {
		t.Errorf("want one failed write behind a full queue, got %d and %d",
			rig.seen.of("dropped "+string(edge.DropWrite)), rig.seen.of("dropped "+string(edge.DropWriteQueue)))
	}
}

func TestWhatWasSentLeavesBeforeAnEdgeStops(t *testing.T) {
	t.Parallel()
	flows := make(chan call.Flow, 1)
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		flows <- p.Flow
		done(edge.Outcome{Taken: true})
	}
	rig := start(t, settings(), r)
	p := rig.tcp()
	p.send(msg{method: "INVITE"}.String())
	flow := take(t, flows)
	for range 4 {
		rig.Send(call.Transmission{Flow: flow, Raw: []byte(msg{method: "BYE", body: strings.Repeat("b", 20000)}.String())}, nil)
	}
	rig.stop()
	for i := range 4 {
		if got := p.read(patience); !strings.HasPrefix(got, "BYE ") {
			t.Fatalf("message %d: %.40q", i, got)
		}
	}
	if !p.closed(patience) {
		t.Error("the connection stays open")
	}
}
