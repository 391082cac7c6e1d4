package web

import (
	"net"
	"net/netip"
	"sync"

	"patchbay/internal/prefixset"
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
		addr := addrOf(c)
		if addr.IsLoopback() {
			return c, nil
		}
		from := prefixset.Site(addr)
		if f.enter(from) {
			return &fairConn{Conn: c, left: sync.OnceFunc(func() { f.leave(from) })}, nil
		}
		_ = c.Close()
	}
}

func addrOf(c net.Conn) netip.Addr {
	if at, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return at.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
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
