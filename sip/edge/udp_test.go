package edge_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/edge"
)

func TestAMessageAsLargeAsUDPAllowsIsAnswered(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	p := rig.udp()
	big := msg{method: "INVITE", body: strings.Repeat("x", 24000), headers: []string{"Content-Type: application/sdp"}}
	for len(big.String()) < 65507-7000 {
		big.headers = append(big.headers, "X-Filler: "+strings.Repeat("f", 6000))
	}
	big.headers = append(big.headers, "X-Rest: "+strings.Repeat("r", 65507-len(big.String())-len("X-Rest: \r\n")))
	raw := big.String()
	if len(raw) != 65507 {
		t.Fatalf("made %d bytes", len(raw))
	}
	if got := status(p.ask(raw)); got != "404" {
		t.Errorf("got %s", got)
	}
}

func TestALongViaGetsItsReply(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	m := msg{method: "INVITE"}
	for i := range 29 {
		m.headers = append(m.headers, fmt.Sprintf("Via: SIP/2.0/UDP hop%d.example;branch=z9hG4bK%s", i, strings.Repeat("b", 2000)))
	}
	res := rig.udp().ask(m.String())
	if status(res) != "404" || strings.Count(res, "\r\nVia: ") != 30 || len(res) < 58000 {
		t.Errorf("got %d bytes with %d Vias: %.40q", len(res), strings.Count(res, "\r\nVia: "), res)
	}
}

func TestTheAnswerLeavesFromTheAddressThatWasCalled(t *testing.T) {
	t.Parallel()
	for _, sockets := range []int{1, 3} {
		for _, listen := range []string{"0.0.0.0:0", "[::]:0"} {
			cfg := settings()
			cfg.UDP, cfg.UDPSockets = listen, sockets
			flows := make(chan call.Flow, 1)
			r := rejecting(404)
			r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
				flows <- p.Flow
				done(edge.Outcome{Status: 404})
			}
			rig := start(t, cfg, r)
			for _, local := range []string{"127.0.0.1", "127.0.0.2"} {
				called := netip.AddrPortFrom(netip.MustParseAddr(local), rig.Addrs().UDP.Port())
				p := rig.udpTo(called) // connected: takes answers from no other address
				if got := status(p.ask(msg{method: "INVITE", via: "192.0.2.9;rport"}.String())); got != "404" {
					t.Errorf("%s called: %s", called, got)
				}
				f := take(t, flows)
				if f.Local != called {
					t.Errorf("the flow says %s, %s was called", f.Local, called)
				}
				rig.Send(call.Transmission{Flow: f, Raw: []byte(msg{method: "BYE"}.String())}, nil)
				if got := p.read(patience); !strings.HasPrefix(got, "BYE ") {
					t.Errorf("request on the flow of %s: %q", called, got)
				}
			}
		}
	}
}

func TestKeepAlivesAreSwallowed(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	p := rig.udp()
	stun := string(append([]byte("\x00\x01\x00\x00\x21\x12\xa4\x42"), bytes.Repeat([]byte{7}, 12)...))
	for _, ping := range []string{"", "\r\n", "\r\n\r\n", "\x00\x00\x00\x00", stun} {
		p.send(ping)
	}
	if got := status(p.ask(msg{method: "OPTIONS"}.String())); got != "200" {
		t.Errorf("got %s", got)
	}
	if n := rig.seen.of("received udp"); n != 1 {
		t.Errorf("%d messages counted, want 1", n)
	}
}

func TestTheLatestCopyOfAnInviteMovesTheFlow(t *testing.T) {
	t.Parallel()
	flows := make(chan call.Flow, 2)
	r := rejecting(404)
	r.invite = func(_ endpoint.Invite, _ bool, p call.Packet, done func(edge.Outcome)) {
		flows <- p.Flow
		done(edge.Outcome{Taken: true})
	}
	rig := start(t, settings(), r)
	first, second := rig.udp(), rig.udp()
	answer := []byte("SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\n")
	for _, p := range []*peer{first, second} {
		p.send(msg{method: "INVITE"}.String())
		rig.Send(call.Transmission{Flow: take(t, flows), Raw: answer}, nil)
		if got := status(p.read(patience)); got != "100" {
			t.Errorf("got %q", got)
		}
	}
	if got := first.read(silence); got != "" {
		t.Errorf("the old flow heard %q", got)
	}
}

func TestAResponseGoesWhereTheViaAsksOnlyAtTheSource(t *testing.T) {
	t.Parallel()
	for via, samePort := range map[string]bool{
		"203.0.113.9:9;rport":                  true,
		"203.0.113.9:9;rport=9":                true,
		"127.0.0.1:%d":                         true,
		"203.0.113.9:%d;maddr=203.0.113.10":    true,
		"203.0.113.9:%d;received=203.0.113.10": true,
	} {
		rig := start(t, settings(), rejecting(404))
		p := rig.udp()
		if strings.Contains(via, "%d") {
			via = fmt.Sprintf(via, p.conn.LocalAddr().(*net.UDPAddr).Port)
		}
		p.send(msg{method: "INVITE", via: via}.String())
		if got := status(p.read(patience)); (got == "404") != samePort {
			t.Errorf("Via %s: got %q", via, got)
		}
	}
}

func TestATakenPortIsAnErrorThatNamesItsSetting(t *testing.T) {
	t.Parallel()
	first := start(t, settings(), rejecting(404))
	for setting, addr := range map[string]netip.AddrPort{"udp": first.Addrs().UDP, "tcp": first.Addrs().TCP} {
		cfg := settings()
		if setting == "udp" {
			cfg.UDP = addr.String()
		} else {
			cfg.TCP = addr.String()
		}
		err := edge.New(cfg, "other", 1, first.keys, rejecting(404)).Run(context.Background())
		want := fmt.Sprintf("listen %s %s (sip.%s): address already in use", setting, addr, setting)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAnEdgeWithoutAListenerDropsWhatItShouldSend(t *testing.T) {
	t.Parallel()
	cfg := settings()
	cfg.UDP = ""
	rig := start(t, cfg, rejecting(404))
	rig.Send(call.Transmission{Flow: call.Flow{Transport: call.UDP, Remote: netip.MustParseAddrPort("127.0.0.1:9")}, Raw: []byte("BYE")}, nil)
	if rig.seen.of("dropped "+string(edge.DropNoRoute)) != 1 || rig.Addrs().UDP.IsValid() {
		t.Error("want one drop for lack of a route, and no UDP address")
	}
}
