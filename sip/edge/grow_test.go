package edge_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/internal/testkit/port"
)

// longBye is a request that is too long for UDP.
func longBye() []byte {
	return []byte("BYE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK-1\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nX-Long: " +
		strings.Repeat("a", 1300) + "\r\nContent-Length: 0\r\n\r\n")
}

// bothPorts is a UDP socket, and a TCP listener at the same port.
func bothPorts(t *testing.T) (datagrams *peer, accepted func() *peer, addr netip.AddrPort) {
	t.Helper()
	for range 20 {
		accepted, addr = tcpSink(t)
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return &peer{t: t, conn: conn}, accepted, addr
		}
	}
	t.Fatal("no port is free for both")
	return nil, nil, addr
}

// datagramsOnly is a UDP socket whose port takes no TCP.
func datagramsOnly(t *testing.T) (*peer, netip.AddrPort) {
	t.Helper()
	for range 20 {
		there, addr := udpSink(t)
		if _, ok := port.Hold(t, addr.Port()); ok {
			return there, addr
		}
	}
	t.Fatal("no port is free for both")
	return nil, netip.AddrPort{}
}

func TestALongRequestGoesOverTCPWhereThePeerTakesIt(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	_, accepted, addr := bothPorts(t)
	tx := call.Transmission{Flow: call.Flow{Transport: call.UDP}, To: addr, Grows: true, Raw: longBye()}
	told := make(chan bool, 1)
	rig.Send(tx, func(sent bool) { told <- sent })
	if !take(t, told) {
		t.Error("it was not sent")
	}
	conn := accepted()
	got := conn.read(patience)
	if !strings.Contains(got, "\r\nVia: SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bK-1\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n") {
		t.Errorf("over TCP there came:\n%s", got)
	}
	rig.Send(tx, nil)
	if again := conn.read(patience); again != got {
		t.Errorf("the second did not come by the same connection: %q", again)
	}
}

func TestALongRequestGoesOverUDPWhereThePeerTakesNoTCPOrAskedForIt(t *testing.T) {
	t.Parallel()
	rig := start(t, settings(), rejecting(404))
	there, addr := datagramsOnly(t)
	tx := call.Transmission{Flow: call.Flow{Transport: call.UDP}, To: addr, Grows: true, Raw: longBye()}
	for range 2 { // refused, then remembered
		rig.Send(tx, nil)
		if got := there.read(patience); got != string(tx.Raw) {
			t.Errorf("over UDP there came:\n%s", got)
		}
	}
	there, _, addr = bothPorts(t)
	for name, tx := range map[string]call.Transmission{
		"a short one":         {Grows: true, Raw: bye()},
		"to one who said UDP": {Raw: longBye()},
		"one of an attempt":   {Grows: true, Fill: true, Raw: longBye()},
	} {
		tx.Flow, tx.To = call.Flow{Transport: call.UDP}, addr
		rig.Send(tx, nil)
		if got := there.read(patience); !strings.HasPrefix(got, "BYE ") {
			t.Errorf("%s: over UDP there came %q", name, got)
		}
	}
}
