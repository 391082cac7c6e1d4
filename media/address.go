package media

import (
	"fmt"
	"net"
	"net/netip"

	"patchbay/actors/call"
)

// localAddress is where a call's RTP sockets are bound: the configured address
// if it is of the offer's family, else the one that faces the carrier.
func (n *Node) localAddress(inv call.Invitation) (netip.Addr, error) {
	want := inv.Offer.Addr.Addr().Unmap()
	if n.bind.IsValid() && (!want.IsValid() || n.bind.Is4() == want.Is4()) {
		return n.bind, nil
	}
	return facing(inv)
}

// facing is the local address that packets to a carrier leave from: towards the
// address of its SDP, or where that names none, of its SIP.
func facing(inv call.Invitation) (netip.Addr, error) {
	target := inv.Offer.Addr
	if !target.Addr().IsValid() || target.Addr().IsUnspecified() {
		target = source(inv)
	}
	if !target.Addr().IsValid() {
		return netip.Addr{}, fmt.Errorf("find the carrier's network: %w", errNoOffer)
	}
	// Connecting a UDP socket sends nothing; it only asks the routing table.
	target = netip.AddrPortFrom(target.Addr().Unmap(), max(target.Port(), 9))
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find a route to the carrier's media address: %w: %w", errNoOffer, err)
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone(""), nil
}

// source is the packet source of an INVITE; zero where it cannot be read.
func source(inv call.Invitation) netip.AddrPort {
	ap, err := netip.ParseAddrPort(inv.Source)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// advertised is the address for our SDP: the configured one if it is of the
// same family, else the one that sockets are bound to.
func (n *Node) advertised(at netip.Addr) netip.Addr {
	if n.advertise.IsValid() && n.advertise.Is4() == at.Is4() {
		return n.advertise
	}
	return at
}

// parseAddress reads an optional address of the configuration.
func parseAddress(key, s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("media.%s %q: want an IP address", key, s)
	}
	return a.Unmap(), nil
}
