package edge

import (
	"bytes"
	"net"
	"net/netip"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// filled returns a message with this edge's own address in Via and Contact,
// where it has none yet: by what peers reach the edge, if that is configured,
// else the listener at the local address that the message leaves from.
func (e *Edge) filled(tx call.Transmission, local netip.AddrPort) []byte {
	if !tx.Fill {
		return tx.Raw
	}
	advertised := e.cfg.Advertise
	if advertised == "" {
		advertised = tx.Flow.Advertise
	}
	host := []byte(wire.SentBy(advertised, tx.Flow.Transport, local))
	head, _, _ := bytes.Cut(tx.Raw, []byte("\r\n\r\n"))
	out := make([]byte, 0, len(tx.Raw)+2*len(host))
	start := bytes.Index(tx.Raw, []byte("\r\n")) + 2
	out = append(out, tx.Raw[:start]...)
	end := start
	for line := range headerLines(head) {
		end += len(line)
		if bytes.HasPrefix(line, []byte("Via: ")) || bytes.HasPrefix(line, []byte("Contact: ")) {
			line = bytes.Replace(line, []byte(call.SenderHost), host, 1)
		}
		out = append(out, line...)
	}
	return append(out, tx.Raw[end:]...)
}

// sendOver writes a message to a connection.
func (e *Edge) sendOver(l link, o outgoing) Drop {
	if c, ok := l.(*conn); ok {
		return sendLink(c, e.filled(o.Transmission, c.local))
	}
	return sendLink(l, o.Raw)
}

// own puts the port of our listener of a transport beside a local address, if
// there is one: peers open connections to it, not to a port that we dialled from.
func (e *Edge) own(t call.Transport, local netip.AddrPort) netip.AddrPort {
	addrs := e.Addrs()
	listener := map[call.Transport]netip.AddrPort{call.UDP: addrs.UDP, call.TCP: addrs.TCP, call.TLS: addrs.TLS}[t]
	if listener.Port() == 0 {
		return local
	}
	if !listener.Addr().IsUnspecified() {
		return listener
	}
	return netip.AddrPortFrom(local.Addr(), listener.Port())
}

// towards returns the local address from which a datagram to an address leaves.
// Nothing is sent; where there is no way, it is the zero one.
func towards(to netip.AddrPort) netip.AddrPort {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.AddrPort{}
	}
	defer func() { _ = conn.Close() }()
	return unmap(conn.LocalAddr().(*net.UDPAddr).AddrPort())
}
