package peer

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// A host that is reached by two of its addresses: 127.0.0.2 is one of loopback.
func TestAnswersLeaveFromTheAddressThatWasAsked(t *testing.T) {
	t.Parallel()
	ports := portRange{30000, 39999}
	for _, network := range []string{"udp4", "udp"} {
		conn, err := ports.listen(network, netip.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSocket(conn, []netip.Addr{netip.MustParseAddr("127.0.0.1")}, func(where string) { t.Errorf("panic in %s", where) })
		if err != nil {
			t.Fatal(err)
		}
		s.paths.six = network != "udp4"
		go s.read()
		defer s.shut()
		l, err := s.GetConn("ufrag", net.UDPAddrFromAddrPort(s.names[0]))
		if err != nil {
			t.Fatal(err)
		}
		agent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = agent.Close() }()
		for _, asked := range []string{"127.0.0.2", "127.0.0.1", "127.0.0.3"} {
			to := netip.AddrPortFrom(netip.MustParseAddr(asked), s.port())
			if got := ask(t, agent, to, l.(*lane)); got != to {
				t.Errorf("%s: a check of %v was answered from %v", network, to, got)
			}
		}
	}
}

// ask sends a packet like STUN, lets the lane answer it, and returns where the
// answer came from.
func ask(t *testing.T, agent *net.UDPConn, to netip.AddrPort, l *lane) netip.AddrPort {
	t.Helper()
	if _, err := agent.WriteToUDPAddrPort([]byte{0, 1, 2, 3}, to); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, from, err := l.ReadFromAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.WriteToAddrPort(buf[:n], from); err != nil {
		t.Fatal(err)
	}
	if err := agent.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, answered, err := agent.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(answered.Addr().Unmap(), answered.Port())
}

func TestPathsOfAPeerAreBounded(t *testing.T) {
	t.Parallel()
	var p paths
	at := netip.MustParseAddr("127.0.0.1")
	remote := func(n int) netip.AddrPort { return netip.AddrPortFrom(at, uint16(n)) }
	for n := range 3 * maxPaths {
		p.learn(remote(n), at)
	}
	if len(p.list) != maxPaths {
		t.Errorf("%d paths are kept, want %d", len(p.list), maxPaths)
	}
	if to := p.to(remote(0)); to.addr != remote(0) || to.oob != nil {
		t.Errorf("a path that was forgotten is %v", to)
	}
	if to := p.to(remote(3*maxPaths - 1)); len(to.oob) == 0 {
		t.Error("the newest path is not known")
	}
}
