package fastudp_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"patchbay/internal/fastudp"
	"patchbay/internal/pktinfo"
)

func open(t testing.TB, network, at string) (*fastudp.Conn, *net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c, err := fastudp.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return c, conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestPacketsCrossInEveryFamily(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ network, from, reached string }{
		{"udp4", "127.0.0.1:0", "127.0.0.1"},
		{"udp6", "[::1]:0", "::1"},
		{"udp", "[::]:0", "127.0.0.1"}, // one socket of both families
		{"udp", "[::]:0", "::1"},
	} {
		a, _, at := open(t, c.network, c.from)
		network, host := "udp4", "127.0.0.1:0"
		if netip.MustParseAddr(c.reached).Is6() {
			network, host = "udp6", "[::1]:0"
		}
		b, _, other := open(t, network, host)
		if n, err := a.Write([]byte("there"), nil, other); n != 5 || err != nil {
			t.Fatalf("%s: %d %v", c.from, n, err)
		}
		buf := make([]byte, 100)
		n, _, from, err := b.Read(buf, nil)
		want := netip.AddrPortFrom(netip.MustParseAddr(c.reached), at.Port())
		if string(buf[:n]) != "there" || from != want || err != nil {
			t.Errorf("%s: %q from %v, want %v: %v", c.from, buf[:n], from, want, err)
		}
		if _, err := b.Write([]byte("and back"), nil, from); err != nil {
			t.Fatal(err)
		}
		if n, _, from, err = a.Read(buf, nil); string(buf[:n]) != "and back" || from != other || err != nil {
			t.Errorf("%s: %q from %v: %v", c.from, buf[:n], from, err)
		}
	}
}

func TestAConnectedSocketNeedsNoAddress(t *testing.T) {
	t.Parallel()
	b, _, at := open(t, "udp4", "127.0.0.1:0")
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	a, err := fastudp.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x"), nil, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if n, _, _, err := b.Read(make([]byte, 10), nil); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestControlMessagesTellWhereAPacketWasSentTo(t *testing.T) {
	t.Parallel()
	c, conn, at := open(t, "udp4", "0.0.0.0:0")
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = pktinfo.Want(int(fd), false) }); err != nil {
		t.Fatal(err)
	}
	other, _, _ := open(t, "udp4", "127.0.0.1:0")
	if _, err := other.Write([]byte("x"), nil, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), at.Port())); err != nil {
		t.Fatal(err)
	}
	oob := make([]byte, pktinfo.Space)
	_, n, from, err := c.Read(make([]byte, 10), oob)
	if local, ok := pktinfo.Local(oob[:n]); !ok || local.String() != "127.0.0.2" || err != nil {
		t.Error(local, ok, err)
	}
	answer := pktinfo.Append(nil, netip.MustParseAddr("127.0.0.2"), false)
	if _, err := c.Write([]byte("y"), answer, from); err != nil {
		t.Fatal(err)
	}
	if _, _, from, err := other.Read(make([]byte, 10), nil); from.Addr().String() != "127.0.0.2" || err != nil {
		t.Error(from, err)
	}
}

func TestCloseEndsARead(t *testing.T) {
	t.Parallel()
	c, conn, _ := open(t, "udp4", "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() {
		_, _, _, err := c.Read(make([]byte, 10), nil)
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond) // it may wait by now; either way it must end
	_ = conn.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := c.Write([]byte("x"), nil, netip.MustParseAddrPort("127.0.0.1:9")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestAnAddressOfAnotherFamilyIsRefused(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, "udp4", "127.0.0.1:0")
	if _, err := c.Write([]byte("x"), nil, netip.MustParseAddrPort("[::1]:9")); err == nil {
		t.Error("it left")
	}
}

func TestManyMayWriteAtOnce(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, "udp4", "127.0.0.1:0")
	other, _, at := open(t, "udp4", "127.0.0.1:0")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := c.Write(bytes.Repeat([]byte{byte('a' + i)}, 50+i), nil, at); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	buf := make([]byte, 100)
	for range 40 {
		n, _, _, err := other.Read(buf, nil)
		if err != nil || n < 50 || !bytes.Equal(buf[:n], bytes.Repeat(buf[:1], n)) || n != 50+int(buf[0]-'a') {
			t.Fatalf("%q %v", buf[:n], err)
		}
	}
}

func BenchmarkAPacketThere(b *testing.B) {
	packet := make([]byte, 172)
	c, conn, _ := open(b, "udp4", "127.0.0.1:0")
	_, _, at := open(b, "udp4", "127.0.0.1:0")
	for name, write := range map[string]func() error{
		"fastudp": func() error { _, err := c.Write(packet, nil, at); return err },
		"net":     func() error { _, err := conn.WriteToUDPAddrPort(packet, at); return err },
	} {
		b.Run(fmt.Sprintf("by=%s", name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := write(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
