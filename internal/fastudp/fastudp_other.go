//go:build !linux

package fastudp

import (
	"net"
	"net/netip"
)

// A Conn is a UDP socket. One goroutine may read it; any may write.
type Conn struct{ conn *net.UDPConn }

// New takes a socket over for reading and writing; Close it as before.
func New(conn *net.UDPConn) (*Conn, error) { return &Conn{conn}, nil }

// Read waits for a packet.
func (c *Conn) Read(b, oob []byte) (n, control int, from netip.AddrPort, err error) {
	n, control, _, from, err = c.conn.ReadMsgUDPAddrPort(b, oob)
	return n, control, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

// Write sends one packet.
func (c *Conn) Write(b, oob []byte, to netip.AddrPort) (int, error) {
	if !to.IsValid() {
		return c.conn.Write(b)
	}
	n, _, err := c.conn.WriteMsgUDPAddrPort(b, oob, to)
	return n, err
}
