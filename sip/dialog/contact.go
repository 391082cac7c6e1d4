package dialog

import (
	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// host is where peers reach us: what the edge of the flow advertises, else what
// this node does, else the socket that the message arrived at.
func (d *dialog) host(flow call.Flow) string {
	advertised := flow.Advertise
	if advertised == "" {
		advertised = d.options.Advertise
	}
	return wire.SentBy(advertised, flow.Transport, flow.Local)
}

// contact is our Contact: its user routes in-dialog requests to this node.
// Secured is a SIPS URI, which says TLS by itself (RFC 3261 26.2.2). A
// WebSocket with TLS is "ws" in a URI too (RFC 7118 5.2.2).
func (d *dialog) contact(flow call.Flow, secured bool) string {
	return d.contactAt(d.host(flow), flow.Transport, secured)
}

func (d *dialog) contactAt(host string, transport call.Transport, secured bool) string {
	scheme := "sip:"
	if transport == call.WSS {
		transport = call.WS
	}
	if secured {
		scheme = "sips:"
	}
	uri := scheme + d.tag + "@" + host
	if secured && transport == call.TLS {
		return uri
	}
	return uri + ";transport=" + string(transport)
}

// asksForTLS reports whether our Contact must be a SIPS URI: the Request-URI,
// the next hop back or, without one, the peer's Contact is (RFC 3261 12.1.1).
func asksForTLS(m *wire.Message) bool {
	if m.RequestURI.Scheme == "sips" {
		return true
	}
	if hops := m.RecordRoute(); len(hops) > 0 {
		next, err := wire.ParseURI(bracketed(hops[0]))
		return err == nil && next.Scheme == "sips"
	}
	target, err := m.Contact()
	return err == nil && target.Scheme == "sips"
}
