package dialog

import (
	"net/netip"
	"slices"
	"strings"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// A hop is where the INVITE of a call that we begin is sent: what a URI says,
// or one of the addresses that it was found to lead to.
type hop struct {
	uri wire.URI
	at  call.Hop // the zero one: the edge looks up where the URI leads
}

// transport is what the URI asks for, or was found to be served by.
func (h hop) transport() call.Transport {
	if h.at.Addr.IsValid() {
		return h.at.Transport
	}
	return transportOf(h.uri, call.UDP)
}

// named reports whether the URI says by which transport: then that is not ours
// to change.
func (h hop) named() bool {
	_, asked := h.uri.Param("transport")
	return asked || h.uri.Scheme == "sips"
}

// toward returns the way to the hop. Over TLS the certificate must have the
// URI's name, whatever records led away from it (RFC 5922 4).
func (h hop) toward(flow call.Flow) call.Transmission {
	if !h.at.Addr.IsValid() {
		tx := address(flow, h.uri)
		tx.Grows = false // an attempt sees to that itself
		return tx
	}
	if h.named() && flow.Transport != h.at.Transport {
		flow.Transport, flow.Conn = h.at.Transport, 0
		flow.Remote, flow.Reply = netip.AddrPort{}, netip.AddrPort{}
	}
	tx := call.Transmission{Flow: flow, To: h.at.Addr}
	if flow.Transport == call.TLS {
		tx.Host = h.at.Name
	}
	return tx
}

// target is what the hop's URI says of where it leads.
func (h hop) target() call.Target {
	asked, _ := h.uri.Param("transport")
	t := call.Target{Host: h.uri.Host, Port: h.uri.Port, Transport: call.Transport(strings.ToLower(asked)), Secure: h.uri.Scheme == "sips"}
	if addr, ok := h.uri.Addr(); ok {
		t.Host = addr.String()
	}
	return t
}

// Targets implements [actors.Seeker].
func (d *UAC) Targets() []call.Target {
	all := make([]call.Target, len(d.hops))
	for i, h := range d.hops {
		all[i] = h.target()
	}
	return all
}

// sortHops puts addresses of another family than our media's last: there the
// call would be mute.
func (d *UAC) sortHops(ours netip.Addr) {
	other := func(h hop) int {
		if a := h.at.Addr.Addr(); a.IsValid() && a.Is4() != ours.Is4() {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(d.hops, func(a, b hop) int { return other(a) - other(b) })
}

// Located implements [actors.Seeker]. Of many addresses the first of each URI
// stay. A sips URI is reached over TLS or not at all (RFC 3261 26.2.2).
func (d *UAC) Located(found [][]call.Hop) {
	if d.invited || len(found) != len(d.hops) {
		return
	}
	var all []hop
	for i, h := range d.hops {
		room := call.MaxTries - len(all) - (len(d.hops) - 1 - i)
		for _, at := range found[i] {
			if room == 0 {
				break
			}
			if d.target.Scheme != "sips" || at.Transport == call.TLS {
				all = append(all, hop{h.uri, at})
				room--
			}
		}
	}
	d.hops = all
}
