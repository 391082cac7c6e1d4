package endpoint

import "net/netip"

// Admits reports whether a packet from addr may call. IPv4-mapped addresses
// count as IPv4, zones are ignored, disabled entries do not exist. An address
// that is not valid is never admitted.
func (p IPPolicy) Admits(addr netip.Addr) bool {
	if !addr.IsValid() {
		return false
	}
	switch p.Mode {
	case IPAny:
		return true
	case IPList:
		addr = addr.Unmap().WithZone("") // carriers reach a dual-stack socket as ::ffff:a.b.c.d
		for i := range p.Entries {
			if p.Entries[i].Enabled && p.Entries[i].Prefix.Contains(addr) {
				return true
			}
		}
	}
	return false
}

// ParseIPEntry reads one line of an allowlist: an address or a CIDR range,
// IPv4 or IPv6. Host bits are masked; the text is kept as Raw. The error is a
// [Problem] of field raw.
func ParseIPEntry(raw string) (IPEntry, error) {
	prefix, ok := parsePrefix(raw)
	if !ok {
		return IPEntry{}, Problem{"raw", CodeInvalid, "want an IP address or a CIDR range, without a zone"}
	}
	return IPEntry{Raw: raw, Prefix: prefix, Enabled: true}, nil
}

// mappedBits is the length of ::ffff:0:0/96, under which IPv4 addresses are
// mapped (RFC 4291 2.5.5.2).
const mappedBits = 96

func parsePrefix(raw string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(raw); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), addr.Zone() == ""
	}
	prefix, err := netip.ParsePrefix(raw)
	if err != nil {
		return netip.Prefix{}, false
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < mappedBits { // it would cover all of IPv4 and much else
			return netip.Prefix{}, false
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mappedBits)
	}
	return prefix.Masked(), true
}
