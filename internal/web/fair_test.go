package web_test

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"patchbay/internal/web"
)

// callers is a listener that is called from one address after the other.
type callers struct {
	net.Listener
	from []string
}

type caller struct {
	net.Conn
	from net.Addr
}

func (c caller) RemoteAddr() net.Addr { return c.from }
func (c caller) Close() error         { return nil }

func (c *callers) Accept() (net.Conn, error) {
	if len(c.from) == 0 {
		return nil, io.EOF
	}
	from := netip.AddrPortFrom(netip.MustParseAddr(c.from[0]), 4711)
	c.from = c.from[1:]
	return caller{from: net.TCPAddrFromAddrPort(from)}, nil
}

func TestASourceIsAnIPv4AddressOrAnIPv6Site(t *testing.T) {
	t.Parallel()
	l := web.Fairly(&callers{from: []string{
		"2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3", "2001:db8:1:3::1", // the third is of the same /64
		"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2", // the third is the same address
		"::1", "::1", "::1", "127.0.0.1",
	}}, 2)
	var got []string
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		got = append(got, c.RemoteAddr().(*net.TCPAddr).IP.String())
	}
	if len(got) != 10 {
		t.Errorf("served: %v", got)
	}
}
