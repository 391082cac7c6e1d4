package rtpload_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"patchbay/bench/rtpload"
)

// echo sends back what it gets, every nth packet not.
func echo(t *testing.T, drop int) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for i := 1; ; i++ {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && (drop == 0 || i%drop != 0) {
				_, _ = conn.WriteToUDPAddrPort(b[:n], from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func run(t *testing.T, to netip.AddrPort) rtpload.Result {
	t.Helper()
	r, err := rtpload.Run(context.Background(), rtpload.Options{A: rtpload.Way{to, to}, Warm: 40 * time.Millisecond, For: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPacketsThatComeBackAreCounted(t *testing.T) {
	t.Parallel()
	at := echo(t, 0)
	for end := time.Now().Add(time.Minute); ; {
		r := run(t, at)
		if r.Sent < 16 || r.Received > r.Sent {
			t.Fatalf("%+v", r)
		}
		if r.Received > 0 {
			return
		}
		if time.Now().After(end) { // a busy machine's may come back too late
			t.Fatal("nothing comes back")
		}
	}
}

func TestPacketsThatDoNotComeBackAreLost(t *testing.T) {
	t.Parallel()
	if r := run(t, echo(t, 2)); r.Lost() < 30 {
		t.Errorf("%+v: %.0f %%", r, r.Lost())
	}
}
