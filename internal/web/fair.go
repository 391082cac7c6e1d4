package web

import (
	"net"
	"net/netip"
	"sync"
)

// fairly lets one source that is not loopback have at most so many connections;
// further ones are closed as they come.
func fairly(l net.Listener, perSource int) net.Listener {
	return &fair{Listener: l, most: perSource, open: map[netip.Prefix]int{}}
}

type fair struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Prefix]int // connections of each source
}

// Accept implements net.Listener.
func (f *fair) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := sourceOf(c)
		if from.Addr().IsLoopback() {
			return c, nil
		}
		if f.enter(from) {
			return &fairConn{Conn: c, left: sync.OnceFunc(func() { f.leave(from) })}, nil
		}
		_ = c.Close()
	}
}

// sourceOf is an IPv4 address, or the /64 that one IPv6 site has for itself.
func sourceOf(c net.Conn) netip.Prefix {
	at, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := at.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() || addr.IsLoopback() {
		bits = addr.BitLen()
	}
	p, _ := addr.Prefix(bits)
	return p
}

func (f *fair) enter(from netip.Prefix) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[from] >= f.most {
		return false
	}
	f.open[from]++
	return true
}

func (f *fair) leave(from netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[from]--; f.open[from] == 0 {
		delete(f.open, from)
	}
}

// A fairConn counts until it is closed.
type fairConn struct {
	net.Conn
	left func()
}

// Close implements net.Conn.
func (c *fairConn) Close() error {
	c.left()
	return c.Conn.Close()
}
