package caller

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Target is where a call goes: the URI as dialled and the address to send to.
type Target struct {
	URI       string // Request-URI, without its transport parameter's effect
	User      string
	Addr      netip.AddrPort
	Transport string // udp, tcp
}

// ParseTarget reads sip:user@host[:port][;transport=udp|tcp] and looks the host
// up. via, when valid, is the address to send to instead (an outbound proxy).
func ParseTarget(uri string, via netip.AddrPort) (Target, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(uri), "sip:")
	if !ok {
		return Target{}, fmt.Errorf("%s: want a sip: URI, like sip:demo@127.0.0.1", redact(uri))
	}
	main, params, _ := strings.Cut(rest, ";")
	user, hostport, ok := strings.Cut(main, "@")
	if !ok || user == "" || hostport == "" {
		return Target{}, fmt.Errorf("%s: want sip:<user>@<host>", redact(uri))
	}
	t := Target{URI: "sip:" + main, User: user, Transport: "udp", Addr: via}
	for p := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(p, "="); strings.EqualFold(name, "transport") {
			t.Transport = strings.ToLower(value)
		}
	}
	if t.Transport != "udp" && t.Transport != "tcp" {
		return Target{}, fmt.Errorf("transport=%s: this caller speaks udp and tcp", t.Transport)
	}
	if t.Transport == "tcp" {
		t.URI += ";transport=tcp"
	}
	if via.IsValid() {
		return t, nil
	}
	addr, err := resolve(hostport)
	if err != nil {
		return Target{}, err
	}
	t.Addr = addr
	return t, nil
}

func resolve(hostport string) (netip.AddrPort, error) {
	host, port := hostport, 5060
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("port %q: want a number up to 65535", p)
		}
		host, port = h, int(n)
	}
	host = strings.Trim(host, "[]")
	ips, err := net.LookupIP(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("look up %s: %w", host, err)
	}
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			return netip.AddrPortFrom(a.Unmap(), uint16(port)), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("look up %s: no address", host)
}

// redact hides the user part: it may be a bearer slug.
func redact(uri string) string {
	if _, host, ok := strings.Cut(uri, "@"); ok {
		return "sip:****@" + host
	}
	return "the URI"
}
