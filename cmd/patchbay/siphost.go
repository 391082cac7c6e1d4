package main

import (
	"net"
	"net/netip"
	"strconv"

	"patchbay/config"
)

// defaultBaseDomain is the base domain nobody has set: no DNS knows it.
const defaultBaseDomain = "sip.localhost"

const sipPort = 5060

// sipHost is what follows the @ of a bearer slug's SIP URI: the base domain if
// an operator has set one, else what this machine is reached by.
func sipHost(s config.SIP) string {
	switch {
	case s.BaseDomain != defaultBaseDomain:
		return s.BaseDomain
	case s.Advertise != "":
		return s.Advertise
	}
	at, err := netip.ParseAddrPort(s.UDP)
	if err != nil {
		at, err = netip.ParseAddrPort(s.TCP)
	}
	if err != nil {
		return s.BaseDomain
	}
	addr := at.Addr()
	if addr.IsUnspecified() {
		addr = ownAddress()
	}
	return hostPort(addr, at.Port())
}

// hostPort leaves the port out where it is SIP's own.
func hostPort(addr netip.Addr, port uint16) string {
	if port != sipPort && port != 0 {
		return netip.AddrPortFrom(addr, port).String()
	}
	if addr.Is6() {
		return "[" + addr.String() + "]"
	}
	return addr.String()
}

// ownAddress is this machine's address towards the rest of the world, or
// loopback where there is no way there. Nothing is sent.
func ownAddress() netip.Addr {
	conn, err := net.Dial("udp4", net.JoinHostPort("192.0.2.1", strconv.Itoa(sipPort)))
	if err != nil {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}
