package wire

import (
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Errors of [ParseURI].
var (
	ErrURI    = errors.New("wire: no SIP URI")
	ErrScheme = errors.New("wire: URI scheme is not served")
)

// A URI is a sip or sips URI (RFC 3261 19.1). Its user may be a bearer slug, so
// it redacts itself; Reveal returns it whole.
type URI struct {
	Scheme string // sip or sips
	User   string // unescaped once; may hold any octet
	Host   string // lower case; an IPv6 address without brackets
	Port   uint16 // 0: not said
	// Headers says that the URI asks for header fields in what is sent to it
	// (the part after "?"). They are never acted on.
	Headers bool

	raw    string
	params sipmsg.HeaderParams
}

// ParseURI reads a URI. It returns ErrURI, or ErrScheme for a scheme other than
// sip and sips.
func ParseURI(s string) (URI, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) {
		return URI{}, ErrURI
	}
	if !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		return URI{}, ErrScheme
	}
	if !plainURI(rest) {
		return URI{}, ErrURI
	}
	var parsed sipmsg.Uri
	if err := sipmsg.ParseUri(s, &parsed); err != nil {
		return URI{}, ErrURI // its text would hold the user part
	}
	user, ok := unescape(parsed.User)
	if !ok {
		return URI{}, ErrURI
	}
	return URI{
		Scheme: parsed.Scheme, User: user, Host: hostOf(parsed.Host), Port: uint16(parsed.Port),
		Headers: len(parsed.Headers) > 0 || strings.Contains(s, "?") && !strings.Contains(parsed.User, "?"),
		raw:     s, params: parsed.UriParams,
	}, nil
}

// Param returns a URI parameter, such as "transport", and whether it is there.
// Name is lower case; the URI's own case does not matter.
func (u URI) Param(name string) (string, bool) {
	for _, p := range u.params {
		if strings.EqualFold(p.K, name) {
			return p.V, true
		}
	}
	return "", false
}

// Addr returns the host as an IP address, unmapped, if it is one.
func (u URI) Addr() (netip.Addr, bool) {
	a, err := netip.ParseAddr(u.Host)
	return a.Unmap(), err == nil
}

// HostPort returns host or host:port, with brackets round an IPv6 address.
func (u URI) HostPort() string {
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port == 0 {
		return host
	}
	return host + ":" + strconv.Itoa(int(u.Port))
}

// Reveal returns the URI as it was written.
func (u URI) Reveal() string { return u.raw }

// String hides the user, which may be a slug, and the parameters.
func (u URI) String() string {
	if u.User == "" {
		return u.Scheme + ":" + u.HostPort()
	}
	return u.Scheme + ":***@" + u.HostPort()
}

// GoString keeps %#v as safe as %v.
func (u URI) GoString() string { return u.String() }

// LogValue keeps the user out of structured logs.
func (u URI) LogValue() slog.Value { return slog.StringValue(u.String()) }

func isScheme(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && (i == 0 || s[i] != '+' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return len(s) > 0 && !isDigit(s[0])
}

// plainURI checks what follows the scheme against RFC 3261 19.1.1, so that no
// two readers split it in different places: at most one "@", one ":" in the
// userinfo, no bracket outside an IPv6 address, a decimal port.
func plainURI(s string) bool {
	for i := range len(s) {
		if b := s[i]; b <= ' ' || b == 0x7f || b == '"' || b == '<' || b == '>' || b == '\\' {
			return false
		}
	}
	if user, rest, ok := strings.Cut(s, "@"); ok {
		if !plainUserinfo(user) {
			return false
		}
		s = rest
	}
	if strings.Contains(s, "@") {
		return false
	}
	if end := strings.IndexAny(s, ";?"); end >= 0 {
		s = s[:end]
	}
	return plainHostPort(s)
}

func plainUserinfo(s string) bool {
	if s == "" || s[0] == ':' || strings.Count(s, ":") > 1 {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && strings.IndexByte("-_.!~*'()&=+$,;?/%:#", s[i]) < 0 {
			return false
		}
	}
	return true
}

func plainHostPort(s string) bool {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		host, port = s[:end+1], s[end+1:]
		if a, err := netip.ParseAddr(mendIPv6(host[1:end])); err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	if host == "" || host[0] != '[' && !allHost(host) {
		return false
	}
	return port == "" || port[0] == ':' && plainPort(port[1:])
}

// hostOf is a host without brackets, in lower case.
func hostOf(s string) string { return mendIPv6(strings.ToLower(strings.Trim(s, "[]"))) }

// mendIPv6 leaves out the colon too many that the grammar of RFC 3261 puts
// between a "::" and an IPv4 address. Who builds addresses by that grammar must
// be tolerated (RFC 5118 4.10); no other address has three colons.
func mendIPv6(s string) string {
	before, v4, ok := strings.Cut(s, ":::")
	if !ok {
		return s
	}
	if a, err := netip.ParseAddr(v4); err != nil || !a.Is4() {
		return s
	}
	return before + "::" + v4
}

func plainPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && isDigit(s[0])
}

func allHost(s string) bool {
	for i := range len(s) {
		if !isHost(s[i]) {
			return false
		}
	}
	return true
}

// unescape decodes %HH once (RFC 3261 19.1.2); what comes out is not decoded again.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		out = append(out, byte(n))
		i += 2
	}
	return string(out), true
}
