package wire

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"patchbay/actors/call"
)

// DefaultMaxForwards is Max-Forwards of our requests (RFC 3261 8.1.1.6).
const DefaultMaxForwards = 70

// A Hop is one Via value of a request of ours. It asks for rport (RFC 3581 3).
type Hop struct {
	Transport call.Transport
	SentBy    string // host or host:port where responses reach an edge
	Branch    string
}

// String returns the Via value.
func (h Hop) String() string {
	return "SIP/2.0/" + strings.ToUpper(string(h.Transport)) + " " + h.SentBy + ";rport;branch=" + h.Branch
}

// SentBy returns by what peers reach a listener of ours: what is advertised, if
// anything is, else its local address. The port that is advertised is that of
// UDP and TCP; the other listeners have their own. An address that is advertised
// is for peers of its family: those of the other could not reach it.
func SentBy(advertised string, t call.Transport, local netip.AddrPort) string {
	if advertised == "" {
		return local.String()
	}
	host := advertised
	if h, _, err := net.SplitHostPort(advertised); err == nil {
		host = h
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && local.IsValid() && a.Unmap().Is4() != local.Addr().Unmap().Is4() {
		return local.String()
	}
	if t == call.UDP || t == call.TCP {
		return advertised
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(int(local.Port())))
}

// A Request is a request of ours as its author thinks of it.
type Request struct {
	Method      string
	URI         string // Request-URI
	Vias        []string
	From, To    string // whole values, with tags
	CallID      string
	CSeq        uint32
	Route       []string // whole values, the next hop first
	Contact     string   // our URI, without brackets; empty: none
	MaxForwards int      // 0: DefaultMaxForwards
	Headers     []call.Header
	ContentType string // of Body
	Body        []byte
}

// Bytes returns the whole message. CR, LF and NUL in any value become spaces;
// in the method or the Request-URI, where a space would cut the start line,
// they and spaces are left out.
func (r Request) Bytes() []byte {
	w := writer(make([]byte, 0, 768+len(r.Body)))
	w = append(w, solid(r.Method)...)
	w = append(w, ' ')
	w = append(w, solid(r.URI)...)
	w = append(w, " SIP/2.0\r\n"...)
	for _, v := range r.Vias {
		w.header("Via", v)
	}
	hops := r.MaxForwards
	if hops == 0 {
		hops = DefaultMaxForwards
	}
	w.header("Max-Forwards", strconv.Itoa(hops))
	for _, v := range r.Route {
		w.header("Route", v)
	}
	w.header("From", r.From)
	w.header("To", r.To)
	w.header("Call-ID", r.CallID)
	w.header("CSeq", strconv.FormatUint(uint64(r.CSeq), 10)+" "+solid(r.Method))
	if r.Contact != "" {
		w.address("Contact", r.Contact)
	}
	w.headers(r.Headers)
	w.body(r.ContentType, r.Body)
	return w
}

// solid removes what would end a word of the start line.
func solid(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
