package edge

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"patchbay/internal/pktinfo"
)

// Limits of the UDP loop.
const (
	maxDatagram  = 65507 // bytes: the largest payload of UDP over IPv4
	udpBatch     = 16    // datagrams taken by one system call
	udpReadPause = 10 * time.Millisecond
)

// A datagram is one UDP packet. data is its own copy.
type datagram struct {
	data          []byte
	local, remote netip.AddrPort
}

// udpSockets are sockets that share one address. The kernel spreads sources
// over them, so one source stays in order. Nothing is kept per source.
type udpSockets struct {
	conns    []*net.UDPConn
	addr     netip.AddrPort
	wildcard bool // bound to every address: packets tell which one was called
	six      bool // an IPv6 socket, perhaps of both families
	seed     maphash.Seed
}

// listenUDP opens n sockets on one address. The first is bound alone and shares
// its port only then: bound with SO_REUSEPORT at once, it would join sockets of
// another process of the same user, and each would get half of the packets.
func listenUDP(ctx context.Context, addr string, n, buffer int) (*udpSockets, error) {
	ap, network, err := resolveListen("udp", addr)
	if err != nil {
		return nil, err
	}
	u := &udpSockets{wildcard: ap.Addr().IsUnspecified(), seed: maphash.MakeSeed()}
	for i := range max(n, 1) {
		lc := net.ListenConfig{Control: u.control(i > 0, buffer)}
		pc, err := lc.ListenPacket(ctx, network, ap.String())
		if err == nil {
			u.conns = append(u.conns, pc.(*net.UDPConn))
		}
		if err == nil && i == 0 && n > 1 {
			err = u.share()
		}
		if err != nil {
			u.close()
			return nil, err
		}
		u.addr = unmap(u.conns[0].LocalAddr().(*net.UDPAddr).AddrPort())
		ap = netip.AddrPortFrom(ap.Addr(), u.addr.Port())
	}
	return u, nil
}

// share lets further sockets bind to the first one's port.
func (u *udpSockets) share() error {
	rc, err := u.conns[0].SyscallConn()
	if err != nil {
		return err
	}
	var opt error
	err = rc.Control(func(fd uintptr) { opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	return errors.Join(err, opt)
}

// control sets what must be set before bind. A receive buffer over the
// kernel's limit is cut to it.
func (u *udpSockets) control(share bool, buffer int) func(string, string, syscall.RawConn) error {
	return func(network, _ string, rc syscall.RawConn) error {
		u.six = network == "udp6" // what the system chose
		var opt error
		err := rc.Control(func(fd uintptr) {
			if share {
				opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
			if opt == nil && buffer > 0 {
				opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
			}
			if opt == nil && u.wildcard {
				opt = pktinfo.Want(int(fd), u.six)
			}
		})
		return errors.Join(err, opt)
	}
}

// read hands each datagram of one socket to deliver until the socket closes,
// but for those of sources that hears refuses. Errors of single packets (ICMP,
// lack of buffers) do not end it.
func (u *udpSockets) read(conn *net.UDPConn, hears func(netip.AddrPort) bool, deliver func(datagram)) {
	batch := u.reader(conn)
	msgs := make([]ipv4.Message, udpBatch)
	for i := range msgs {
		msgs[i].Buffers = [][]byte{make([]byte, maxDatagram+1)}
		msgs[i].OOB = make([]byte, pktinfo.Space)
	}
	for {
		n, err := batch.ReadBatch(msgs, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(udpReadPause) // or a broken socket would take a whole core
			continue
		}
		for i := range msgs[:n] {
			if d, ok := u.datagram(&msgs[i], hears); ok {
				deliver(d)
			}
		}
	}
}

// A batchReader is what the connections of x/net/ipv4 and ipv6 have in common.
type batchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

func (u *udpSockets) reader(conn *net.UDPConn) batchReader {
	if u.six {
		return ipv6.NewPacketConn(conn)
	}
	return ipv4.NewPacketConn(conn)
}

// datagram copies one packet out of the batch. Packets longer than UDP allows
// and keep-alives are none, nor is what hears refuses.
func (u *udpSockets) datagram(m *ipv4.Message, hears func(netip.AddrPort) bool) (datagram, bool) {
	from, ok := m.Addr.(*net.UDPAddr)
	if !ok || m.N > maxDatagram || keepAlive(m.Buffers[0][:m.N]) {
		return datagram{}, false
	}
	remote := unmap(from.AddrPort())
	if !hears(remote) {
		return datagram{}, false
	}
	d := datagram{
		data:   append(make([]byte, 0, m.N), m.Buffers[0][:m.N]...),
		local:  u.addr,
		remote: remote,
	}
	if u.wildcard {
		if ip, ok := pktinfo.Local(m.OOB[:m.NN]); ok {
			d.local = netip.AddrPortFrom(ip.Unmap(), u.addr.Port())
		}
	}
	return d, true
}

// write sends one datagram, from the local address if one is given. It never
// waits long: a UDP socket drains at the speed of the network card.
func (u *udpSockets) write(raw []byte, local netip.Addr, to netip.AddrPort) error {
	if len(raw) > maxDatagram {
		return fmt.Errorf("send to %s: %d bytes are over %d", to, len(raw), maxDatagram)
	}
	conn := u.conns[0]
	if len(u.conns) > 1 {
		conn = u.conns[maphash.Comparable(u.seed, to)%uint64(len(u.conns))]
	}
	if !u.wildcard || !local.IsValid() || local.IsUnspecified() {
		_, err := conn.WriteToUDPAddrPort(raw, to)
		return err
	}
	var oob [pktinfo.Space]byte
	_, _, err := conn.WriteMsgUDPAddrPort(raw, pktinfo.Append(oob[:0], local, u.six), to)
	return err
}

// leaves returns the local address of packets to a peer.
func (u *udpSockets) leaves(to netip.AddrPort) netip.AddrPort {
	if !u.wildcard {
		return u.addr
	}
	return netip.AddrPortFrom(towards(to).Addr(), u.addr.Port())
}

// reaches reports whether the sockets' address family can send to an address.
func (u *udpSockets) reaches(a netip.Addr) bool {
	if !u.six {
		return a.Is4()
	}
	return u.wildcard || a.Is6()
}

func (u *udpSockets) close() {
	for _, c := range u.conns {
		_ = c.Close()
	}
}

// keepAlive reports what peers send to keep a NAT binding open: nothing, line
// ends, or a STUN message (RFC 5389 6: two zero bits and the magic cookie).
func keepAlive(b []byte) bool {
	if len(b) >= 20 && b[0] < 4 && string(b[4:8]) == "\x21\x12\xa4\x42" {
		return true
	}
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 {
			return false
		}
	}
	return true
}

// resolveListen reads a listen address. An IPv4 address means IPv4 alone; no
// address or [::] means both families.
func resolveListen(network, addr string) (netip.AddrPort, string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, "", err
	}
	if host == "" {
		addr = "[::]" + addr
	}
	var ap netip.AddrPort
	if strings.HasPrefix(network, "udp") {
		a, err := net.ResolveUDPAddr(network, addr)
		if err != nil {
			return netip.AddrPort{}, "", err
		}
		ap = a.AddrPort()
	} else {
		a, err := net.ResolveTCPAddr(network, addr)
		if err != nil {
			return netip.AddrPort{}, "", err
		}
		ap = a.AddrPort()
	}
	ap = unmap(ap)
	if ap.Addr().Is4() {
		network += "4"
	}
	return ap, network, nil
}

// unmap makes an IPv4-mapped address plain.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
