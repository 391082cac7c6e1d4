package prefixset

import "net/netip"

// Site is what a cap per source counts: an IPv4 address, or the /64 that one
// IPv6 site has for itself. That of the zero Addr is the zero Prefix.
func Site(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}
