package dialog

import (
	"net/netip"
	"strings"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// A route is how requests of ours reach the carrier: the remote target and the
// route set of the INVITE (RFC 3261 12.1.1), and the addresses of the dialog.
type route struct {
	target wire.URI
	set    []string // Record-Route values in their order
	local  string   // From of our requests, without our tag
	remote string   // To of our requests
}

// nowhere is the route of a dialog that is over: it sends no requests. Nothing
// writes to it.
var nowhere route

func readRoute(m *wire.Message, target wire.URI) route {
	r := route{target: target, set: m.RecordRoute(), local: strings.Clone(m.Header("To")), remote: strings.Clone(m.Header("From"))}
	for i, v := range r.set {
		r.set[i] = strings.Clone(v)
	}
	return r
}

// plan returns Request-URI and Route header fields of a request, and the URI of
// its next hop (RFC 3261 12.2.1.1). ok is false where the first route is no SIP
// URI; then only the flow is left to try.
func (r *route) plan() (requestURI string, routes []string, next wire.URI, ok bool) {
	target := r.target.Reveal()
	target, _, _ = strings.Cut(target, "?") // header fields in a Contact are never acted on
	if len(r.set) == 0 {
		return target, nil, r.target, true
	}
	first := bracketed(r.set[0])
	next, err := wire.ParseURI(first)
	if err != nil {
		return target, r.set, next, false
	}
	if _, loose := next.Param("lr"); loose {
		return target, r.set, next, true
	}
	// A strict router takes itself from the Request-URI and finds the target
	// at the end (RFC 3261 16.12.1.2).
	first, _, _ = strings.Cut(first, "?")
	routes = append(routes, r.set[1:]...)
	return first, append(routes, "<"+target+">"), next, true
}

// secured reports that our own Contact in a request must be a SIPS URI (RFC 3261
// 8.1.1.8).
func (r *route) secured() bool {
	_, _, next, _ := r.plan()
	return r.target.Scheme == "sips" || next.Scheme == "sips"
}

// bracketed returns the URI of a Record-Route value.
func bracketed(value string) string {
	_, rest, found := strings.Cut(value, "<")
	if !found {
		uri, _, _ := strings.Cut(value, ";")
		return uri
	}
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}

// address turns the next hop into a Transmission. On a reliable transport the
// edge takes the flow's connection while that is open, for it is the only way
// to a peer behind NAT; the address is for when it is gone. Where the next hop asks for
// another transport, any edge of that transport will do.
func address(flow call.Flow, next wire.URI) call.Transmission {
	if transport := transportOf(next, flow.Transport); transport != flow.Transport {
		flow.Transport, flow.Conn = transport, 0
		flow.Remote, flow.Reply = netip.AddrPort{}, netip.AddrPort{}
	}
	_, asked := next.Param("transport")
	tx := call.Transmission{Flow: flow, Grows: flow.Transport == call.UDP && !asked}
	if addr, ok := next.Addr(); ok {
		port := next.Port
		if port == 0 {
			port = defaultPort(flow.Transport)
		}
		tx.To = netip.AddrPortFrom(addr, port)
	} else {
		tx.Host = next.HostPort()
	}
	return tx
}

// transportOf returns what a URI asks for (RFC 3263 4.1), or otherwise, which
// is the flow's, if it does not say. "ws" asks for a WebSocket with TLS or
// without (RFC 7118 5.2.2): for the one that the peer has.
func transportOf(u wire.URI, otherwise call.Transport) call.Transport {
	asked, _ := u.Param("transport")
	asked = strings.ToLower(asked)
	switch t := call.Transport(asked); {
	case t == call.WS && otherwise == call.WSS, u.Scheme == "sips" && (t == call.WS || t == call.WSS):
		return call.WSS
	case u.Scheme == "sips":
		return call.TLS
	case t == call.UDP, t == call.TCP, t == call.TLS, t == call.WS, t == call.WSS:
		return t
	}
	return otherwise
}

func defaultPort(t call.Transport) uint16 {
	switch t {
	case call.TLS:
		return 5061
	case call.WS:
		return 80
	case call.WSS:
		return 443
	default:
		return 5060
	}
}
