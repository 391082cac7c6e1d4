package endpoint

import (
	"net/netip"
	"strconv"
	"strings"
)

// A Target is a SIP URI that a call of ours names: sip:user@host, with a port
// and a transport where they were said. Nothing else can be in it, so that what
// an owner writes cannot become a header field.
type Target struct {
	User      string // as it stands in the URI, escapes and all
	Host      string // name in lower case, or IP address; IPv6 without brackets
	Port      uint16 // 0: the transport's
	Transport string // udp, tcp, tls; "": not said
}

// Limits of a Target's parts, characters (RFC 3261 sets none).
const (
	maxTargetUser = 200
	maxTarget     = 512
)

// userSymbols are the characters of a URI's user (RFC 3261 25.1), but for ; and
// ? and /, which no address of ours has.
const userSymbols = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,"

// ParseTarget reads a URI of the form sip:user@host[:port][;transport=t]
// [;user=phone]. A URI with a password, headers or other parameters is none.
func ParseTarget(uri string) (Target, bool) {
	rest, ok := cutScheme(uri)
	if !ok || len(uri) > maxTarget {
		return Target{}, false
	}
	user, rest, ok := strings.Cut(rest, "@")
	if !ok || !isTargetUser(user) {
		return Target{}, false
	}
	where, params, more := strings.Cut(rest, ";")
	t := Target{User: user}
	if !t.readHost(where) {
		return Target{}, false
	}
	for more {
		var param string
		param, params, more = strings.Cut(params, ";")
		switch p := strings.ToLower(param); p {
		case "transport=udp", "transport=tcp", "transport=tls":
			if t.Transport != "" {
				return Target{}, false
			}
			t.Transport = p[len("transport="):]
		case "user=phone":
		default:
			return Target{}, false
		}
	}
	return t, true
}

func cutScheme(uri string) (rest string, ok bool) {
	const scheme = "sip:"
	if len(uri) < len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return "", false
	}
	return uri[len(scheme):], true
}

// IsUser reports whether a text may stand as the user of a SIP URI.
func IsUser(user string) bool { return isTargetUser(user) }

func isTargetUser(user string) bool {
	if user == "" || len(user) > maxTargetUser {
		return false
	}
	for i := 0; i < len(user); i++ {
		switch c := user[i]; {
		case strings.IndexByte(userSymbols, c) >= 0:
		case c == '%' && isEscape(user[i+1:]):
			i += 2
		default:
			return false
		}
	}
	return true
}

// isEscape reports whether text begins with the two digits of an escaped
// character that is no control character.
func isEscape(text string) bool {
	return len(text) >= 2 && isHex(text[0]) && isHex(text[1]) && text[:2] >= "20" && !strings.EqualFold(text[:2], "7f")
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// readHost reads host, host:port, address or [address]:port.
func (t *Target) readHost(where string) bool {
	host, port := where, ""
	if at := strings.LastIndexByte(where, ':'); at >= 0 && !strings.HasSuffix(where, "]") {
		host, port = where[:at], where[at+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return false
		}
		t.Port = uint16(n)
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		a, err := netip.ParseAddr(host[1 : len(host)-1])
		t.Host = a.String()
		return err == nil && a.Is6() && a.Zone() == ""
	}
	t.Host = strings.ToLower(host)
	return !strings.Contains(host, ":") && IsHost(t.Host)
}

// IsHost reports whether host is an IP address without brackets or zone, or
// the name of a host in lower case: one label will do (RFC 1123 2.1).
func IsHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Zone() == ""
	}
	return IsDomain(host) || len(host) <= MaxLabel && isLabel(host) && strings.Trim(host, "0123456789") != ""
}

// HostPort is the host as it stands in a URI, with the port where there is one.
func (t Target) HostPort() string {
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.Port != 0 {
		host += ":" + strconv.Itoa(int(t.Port))
	}
	return host
}

// URI writes the target back, without its transport where that was not said.
func (t Target) URI() string {
	uri := "sip:" + t.User + "@" + t.HostPort()
	if t.Transport != "" {
		uri += ";transport=" + t.Transport
	}
	return uri
}
