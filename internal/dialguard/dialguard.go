// Package dialguard decides which addresses a node may dial on behalf of the
// people who configure endpoints and agents.
//
// It looks at the address after resolution, at the moment of dialling, so that
// no spelling of a host and no change of its DNS record gets past it. It
// refuses loopback, private, link-local, carrier-grade NAT, metadata,
// documentation, multicast and reserved addresses, also where they are embedded
// in IPv6 (mapped, NAT64, 6to4, Teredo). An operator may open loopback, or all
// of loopback and private space; metadata and link-local stay shut.
package dialguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// ErrForbidden says that an address may not be dialled.
var ErrForbidden = errors.New("this address may not be dialled")

// A Guard says which addresses beyond public ones may be dialled. The zero
// Guard allows none.
type Guard struct {
	AllowPrivate  bool // loopback, RFC 1918, carrier-grade NAT, unique local
	AllowLoopback bool // loopback only: a node that itself listens on loopback only
}

// A space is what an address belongs to.
type space int

const (
	public space = iota
	loopback
	private
	forbidden
)

var spaces = []struct {
	prefix netip.Prefix
	space  space
}{
	{netip.MustParsePrefix("127.0.0.0/8"), loopback},
	{netip.MustParsePrefix("::1/128"), loopback},
	{netip.MustParsePrefix("10.0.0.0/8"), private},
	{netip.MustParsePrefix("172.16.0.0/12"), private},
	{netip.MustParsePrefix("192.168.0.0/16"), private},
	{netip.MustParsePrefix("100.100.100.200/32"), forbidden}, // metadata inside carrier-grade NAT
	{netip.MustParsePrefix("100.64.0.0/10"), private},
	{netip.MustParsePrefix("168.63.129.16/32"), forbidden}, // metadata at an address that looks public
	{netip.MustParsePrefix("fd00:ec2::/32"), forbidden},    // metadata inside unique local
	{netip.MustParsePrefix("fd20:ce::/32"), forbidden},     // likewise
	{netip.MustParsePrefix("fc00::/7"), private},
	{netip.MustParsePrefix("0.0.0.0/8"), forbidden},
	{netip.MustParsePrefix("169.254.0.0/16"), forbidden}, // link-local, metadata
	{netip.MustParsePrefix("192.0.0.0/24"), forbidden},
	{netip.MustParsePrefix("192.0.2.0/24"), forbidden},
	{netip.MustParsePrefix("198.18.0.0/15"), forbidden},
	{netip.MustParsePrefix("198.51.100.0/24"), forbidden},
	{netip.MustParsePrefix("203.0.113.0/24"), forbidden},
	{netip.MustParsePrefix("224.0.0.0/4"), forbidden},
	{netip.MustParsePrefix("240.0.0.0/4"), forbidden},
	{netip.MustParsePrefix("2001::/23"), forbidden}, // IETF protocols, Teredo among them (RFC 6890)
	{netip.MustParsePrefix("2001:db8::/32"), forbidden},
	{netip.MustParsePrefix("3fff::/20"), forbidden},
}

// global is the part of IPv6 that is handed out to the world (RFC 4291 section
// 2.4). What else there is, and has no line above, is nobody's to dial:
// link-local, site-local, multicast, discard, translated and mapped addresses.
var global = netip.MustParsePrefix("2000::/3")

// Prefixes of IPv6 that carry an IPv4 address, and where.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291 section 2.5.5.1
)

// Check returns ErrForbidden, wrapped, where addr may not be dialled.
func (g Guard) Check(addr netip.Addr) error {
	switch spaceOf(addr) {
	case public:
		return nil
	case loopback:
		if g.AllowPrivate || g.AllowLoopback {
			return nil
		}
	case private:
		if g.AllowPrivate {
			return nil
		}
	}
	return fmt.Errorf("dial %s: %w", addr, ErrForbidden)
}

func spaceOf(addr netip.Addr) space {
	addr = embedded(addr.Unmap().WithZone(""))
	if !addr.IsValid() {
		return forbidden
	}
	for _, s := range spaces {
		if s.prefix.Contains(addr) {
			return s.space
		}
	}
	if addr.Is6() && !global.Contains(addr) {
		return forbidden
	}
	return public
}

// embedded returns the IPv4 address inside an IPv6 one, where there is one.
func embedded(addr netip.Addr) netip.Addr {
	if !addr.Is6() || addr == netip.IPv6Loopback() {
		return addr
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), compatible.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16]))
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return addr
}

// Dialer returns a dialer that checks each address it is about to connect to.
func (g Guard) Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, KeepAliveConfig: probing(), Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("dial %q: %w", address, ErrForbidden)
		}
		return g.Check(ap.Addr())
	}}
}
