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
	URI       string // Request-URI, with its transport parameter alone
	User      string
	Host      string // as written: what a certificate must say
	Addr      netip.AddrPort
	Transport string // udp, tcp, tls, ws, wss
}

// defaultPorts are those of RFC 3261 19.1.2 and RFC 7118 5.3.
var defaultPorts = map[string]uint16{"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}

// CheckURI says what is wrong with a URI of the form that [ParseTarget] reads.
func CheckURI(uri string) error {
	_, _, err := readTarget(uri)
	return err
}

// ParseTarget reads sip:user@host[:port][;transport=udp|tcp|tls|ws|wss], or
// sips:, and looks the host up. via, when valid, is the address to send to
// instead (an outbound proxy).
func ParseTarget(uri string, via netip.AddrPort) (Target, error) {
	t, port, err := readTarget(uri)
	if err != nil {
		return Target{}, err
	}
	t.Addr = via
	if via.IsValid() {
		return t, nil
	}
	addr, err := lookUp(t.Host)
	if err != nil {
		return Target{}, err
	}
	t.Addr = netip.AddrPortFrom(addr, port)
	return t, nil
}

// readTarget reads a URI; its host's address is not known yet.
func readTarget(uri string) (t Target, port uint16, err error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(uri), ":")
	if scheme != "sip" && scheme != "sips" {
		return t, 0, fmt.Errorf("%s: want a sip: URI, like sip:demo@127.0.0.1", redact(uri))
	}
	main, params, _ := strings.Cut(rest, ";")
	user, hostport, ok := strings.Cut(main, "@")
	if !ok || user == "" || hostport == "" {
		return t, 0, fmt.Errorf("%s: want sip:<user>@<host>", redact(uri))
	}
	transport, said := transportOf(scheme, params)
	port, known := defaultPorts[transport]
	if !known {
		return t, 0, fmt.Errorf("transport=%s: this caller speaks udp, tcp, tls, ws and wss", transport)
	}
	t = Target{URI: scheme + ":" + main + said, User: user, Transport: transport}
	if t.Host, port = split(hostport, port); port == 0 {
		return t, 0, fmt.Errorf("%s: want a port from 1 to 65535", redact(uri))
	}
	return t, port, nil
}

// transportOf returns the transport that a URI asks for, and the parameter that
// says so. "ws" with sips is "wss" (RFC 7118 5.2.2); "wss" is taken too.
func transportOf(scheme, params string) (transport, said string) {
	transport = "udp"
	for p := range strings.SplitSeq(params, ";") {
		if name, value, _ := strings.Cut(p, "="); strings.EqualFold(name, "transport") {
			transport = strings.ToLower(value)
		}
	}
	switch {
	case transport == "wss", scheme == "sips" && transport == "ws":
		return "wss", ";transport=ws"
	case scheme == "sips":
		return "tls", ""
	case transport == "udp":
		return transport, ""
	}
	return transport, ";transport=" + transport
}

// split returns host and port; 0 is a port that is none.
func split(hostport string, otherwise uint16) (string, uint16) {
	h, p, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]"), otherwise
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return h, 0
	}
	return h, uint16(n)
}

func lookUp(host string) (netip.Addr, error) {
	ips, err := net.LookupIP(host)
	if err != nil {
		return netip.Addr{}, err // it names the host
	}
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			return a.Unmap(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("look up %s: no address", host)
}

// redact hides the user part: it may be a bearer slug.
func redact(uri string) string {
	if _, host, ok := strings.Cut(uri, "@"); ok {
		return "sip:****@" + host
	}
	return "the URI"
}
