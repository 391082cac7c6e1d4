package media

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"patchbay/actors/call"
	"patchbay/internal/fastudp"
)

// A socket is one UDP port of a carrier leg.
type socket interface {
	// Read waits for a packet.
	Read(b []byte) (n int, source netip.AddrPort, err error)
	// Send sends b to an address.
	Send(b []byte, to netip.AddrPort) error
	// Fix tells the kernel to drop what comes from elsewhere from now on, before
	// it can be counted. All later packets must be sent to this address.
	Fix(to netip.AddrPort)
	// Free undoes Fix.
	Free()
	// Close makes Read return net.ErrClosed.
	Close() error
}

// A udpSocket is a socket of the kernel.
type udpSocket struct {
	conn  *net.UDPConn
	fast  *fastudp.Conn
	fixed atomic.Bool
}

func listen(at netip.AddrPort) (*udpSocket, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	fast, err := fastudp.New(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &udpSocket{conn: conn, fast: fast}, nil
}

func (s *udpSocket) Read(b []byte) (int, netip.AddrPort, error) {
	n, _, source, err := s.fast.Read(b, nil)
	return n, source, err
}

func (s *udpSocket) Send(b []byte, to netip.AddrPort) error {
	if s.fixed.Load() {
		to = netip.AddrPort{}
	}
	_, err := s.fast.Write(b, nil, to)
	if errors.Is(err, syscall.ECONNREFUSED) { // of an earlier packet: this one has not left
		_, err = s.fast.Write(b, nil, to)
	}
	return err
}

func (s *udpSocket) Fix(to netip.AddrPort) {
	if connect(s.conn, to) == nil {
		s.fixed.Store(true)
	}
}

func (s *udpSocket) Free() {
	if s.fixed.Swap(false) { // first: a connected socket sends to another address, too
		_ = disconnect(s.conn) // else the kernel drops what comes from elsewhere, and the call is silent
	}
}

func (s *udpSocket) Close() error { return s.conn.Close() }

// A portPair is the local end of a carrier leg. RTCP is nil with rtcp-mux.
type portPair struct {
	port      uint16
	rtp, rtcp *udpSocket
	address   netip.AddrPort // as advertised
	closed    bool
}

// bindAttempts is how many ports are tried where other programs hold some.
const bindAttempts = 16

// reserve binds a pair of ports for an offer.
func (n *Node) reserve(inv call.Invitation) (*portPair, error) {
	at, err := n.localAddress(inv)
	if err != nil {
		return nil, err
	}
	var held []uint16 // by others; put back at the end, so that none is tried twice
	defer func() {
		for _, port := range held {
			n.pool.giveBack(n.now(), port)
		}
	}()
	for range bindAttempts {
		port, err := n.pool.take(n.now())
		if err != nil {
			return nil, err
		}
		pair, err := bind(at, port, inv.Offer.RTCPMux)
		if err == nil {
			pair.address = netip.AddrPortFrom(n.advertised(at), port)
			return pair, nil
		}
		held = append(held, port)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("bind an RTP port: %w: %w", errNoPorts, err)
		}
	}
	return nil, fmt.Errorf("bind an RTP port: %d ports are taken by others: %w", bindAttempts, errNoPorts)
}

func bind(at netip.Addr, port uint16, mux bool) (*portPair, error) {
	p := &portPair{port: port}
	var err error
	if p.rtp, err = listen(netip.AddrPortFrom(at, port)); err != nil {
		return nil, err
	}
	if mux {
		return p, nil
	}
	if p.rtcp, err = listen(netip.AddrPortFrom(at, port+1)); err != nil {
		_ = p.rtp.Close()
		return nil, err
	}
	return p, nil
}

// split opens the pair's second port.
func (p *portPair) split() (*udpSocket, error) {
	if p.closed || p.rtcp != nil {
		return nil, net.ErrClosed
	}
	at := p.rtp.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s, err := listen(netip.AddrPortFrom(at.Addr(), p.port+1))
	if err == nil {
		p.rtcp = s
	}
	return s, err
}

func (p *portPair) close() {
	p.closed = true
	_ = p.rtp.Close()
	if p.rtcp != nil {
		_ = p.rtcp.Close()
	}
}

// drain throws away what came before anybody could know the ports.
func (p *portPair) drain() {
	drain(p.rtp.conn)
	if p.rtcp != nil {
		drain(p.rtcp.conn)
	}
}
