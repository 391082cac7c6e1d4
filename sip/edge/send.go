package edge

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"patchbay/actors/call"
)

// Limits of sending.
const (
	maxDials    = 64              // connections being opened at once
	maxDialWait = 128             // messages that wait for one of them: INVITEs of a burst to one trunk
	dialTimeout = 5 * time.Second // to open a connection
	maxLookups  = 32              // names being looked up at once
	maxWaiting  = 1024            // INVITEs of ours that wait for one of them: a burst to one trunk
	lookupTime  = 2 * time.Second // for one name, and again for such a wait
)

// An outgoing is a message on its way out.
type outgoing struct {
	call.Transmission
	told func(sent bool) // nil: nobody wants to know
}

// end says what became of the message: an empty Drop that it left, so far as an
// edge can tell.
func (e *Edge) end(o outgoing, why Drop) {
	if why != "" {
		e.obs.dropped(why)
	}
	o.tell(why == "")
}

func (o outgoing) tell(sent bool) {
	if o.told != nil {
		o.told(sent)
	}
}

// Send writes one message out. It does not block: what needs a connection or a
// look-up first goes on in the background, and what cannot be sent is counted
// and lost, as on any network. tx.Raw must not be changed afterwards. told, if
// not nil, is called once, from any goroutine, with what became of it.
//
// A response goes back on its flow: to the address it came from (UDP), or on
// its connection while that is open. When that is gone, over TCP or TLS it goes
// by a new one to the same host, at the port that the request's Via names (RFC
// 3261 18.2.2), and nowhere else. A request goes out on
// its flow's connection while that is open, else to tx.To or tx.Host, over
// another live connection or a new one. A private address that a public peer
// gave as its own is behind a NAT, so the flow's source is used instead.
func (e *Edge) Send(tx call.Transmission, told func(sent bool)) {
	o := outgoing{tx, told}
	if l, ok := e.linkOf(tx.Flow); ok {
		if why := e.sendOver(l, o); why != DropFlowGone {
			e.end(o, why)
			return
		}
	}
	switch {
	case isResponse(tx.Raw):
		e.sendBack(o)
	case tx.To.IsValid():
		e.sendTo(o, reachable(tx.To, tx.Flow.Remote))
	case tx.Host != "":
		e.sendHost(o)
	default:
		e.sendBack(o)
	}
}

func isResponse(raw []byte) bool { return bytes.HasPrefix(raw, []byte("SIP/2.0 ")) }

// sendBack writes back to the flow's source. Its connection is gone, if it had
// one; one that comes from the port it names has no listener there.
func (e *Edge) sendBack(o outgoing) {
	to := o.Flow.Reply
	switch {
	case !o.Flow.Transport.Reliable():
		if !to.IsValid() {
			to = o.Flow.Remote
		}
		e.end(o, e.sendUDP(o.Transmission, to))
	case !to.IsValid(), to == o.Flow.Remote, to.Addr() != o.Flow.Remote.Addr():
		e.end(o, DropFlowGone)
	default:
		e.sendTo(outgoing{call.Transmission{Flow: o.Flow, Raw: o.Raw}, o.told}, to)
	}
}

// linkOf returns the connection of a flow, if it is ours and still open.
func (e *Edge) linkOf(f call.Flow) (link, bool) {
	if f.Conn == 0 || f.Edge != e.id || f.Boot != e.boot {
		return nil, false
	}
	return e.conns.get(f.Conn)
}

func sendLink(l link, raw []byte) Drop {
	switch err := l.send(raw); err {
	case nil:
		return ""
	case errQueueFull:
		return DropWriteQueue
	default:
		return DropFlowGone
	}
}

// sendUDP leaves from the address that the peer called, where this edge has it.
func (e *Edge) sendUDP(tx call.Transmission, to netip.AddrPort) Drop {
	u := e.udp.Load()
	if u == nil || !to.IsValid() || to.Port() == 0 || !u.reaches(to.Addr()) {
		return DropNoRoute
	}
	local := tx.Flow.Local.Addr()
	if tx.Flow.Edge != e.id {
		local = netip.Addr{}
	}
	raw := tx.Raw
	if tx.Fill {
		raw = e.filled(tx, u.leaves(to))
	}
	if err := u.write(raw, local, to); err != nil {
		e.log.Debug("send", "transport", call.UDP, "to", to, "err", err)
		return DropWrite
	}
	return ""
}

// sendTo writes a request to an address: over a live connection with that
// peer, else over a new one. Browsers cannot be called: a WebSocket that is
// gone comes back from their side or not at all.
func (e *Edge) sendTo(o outgoing, to netip.AddrPort) {
	transport := o.Flow.Transport
	if o.Fill && e.dialable != nil && e.dialable(to.Addr()) != nil {
		e.end(o, DropForbidden)
		return
	}
	if to.Port() == 0 {
		to = netip.AddrPortFrom(to.Addr(), defaultPort(transport))
	}
	if !transport.Reliable() {
		e.sendDatagram(o, to)
		return
	}
	whom := peerOf(o, to)
	if e.dials.follow(whom, o) {
		return
	}
	if l, ok := e.conns.to(whom); ok {
		if why := e.sendOver(l, o); why != DropFlowGone {
			e.end(o, why)
			return
		}
	}
	if transport == call.TCP || transport == call.TLS {
		e.dial(o, whom)
		return
	}
	e.end(o, DropNoRoute)
}

func defaultPort(t call.Transport) uint16 {
	if t == call.TLS {
		return 5061
	}
	return 5060
}

// reachable returns to, or the flow's source where to is a private address
// that a public peer could not be reached at.
func reachable(to, remote netip.AddrPort) netip.AddrPort {
	if remote.IsValid() && public(remote.Addr()) && !public(to.Addr()) {
		return remote
	}
	return to
}

// public reports whether an address makes sense on the internet.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrierNAT.Contains(a)
}

// carrierNAT is the shared address space of RFC 6598.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// errNoLocate says that this edge looks no name up.
var errNoLocate = errors.New("names are not looked up here")

// sendHost looks a name up in the background. A peer whose name leads nowhere,
// or that must wait for too many others, is sought at its source.
func (e *Edge) sendHost(o outgoing) {
	host, port := splitHost(o.Host)
	if a, err := netip.ParseAddr(host); err == nil {
		e.sendTo(o, reachable(netip.AddrPortFrom(a.Unmap(), port), o.Flow.Remote))
		return
	}
	ctx, ok := e.running()
	if !ok {
		e.end(o, DropNoRoute)
		return
	}
	look := func() { e.lookUp(ctx, o, host, port) }
	select {
	case e.lookups <- struct{}{}:
	default:
		if !o.Fill || o.Flow.Remote.IsValid() {
			e.sendSource(o)
			return
		}
		e.lookUpLater(ctx, o, look)
		return
	}
	if !e.spawn(look) {
		<-e.lookups
		e.end(o, DropNoRoute)
	}
}

// lookUpLater waits for a place among the look-ups: an INVITE of ours has no
// other way.
func (e *Edge) lookUpLater(ctx context.Context, o outgoing, look func()) {
	if e.waiting.Add(1) > maxWaiting || !e.spawn(func() {
		defer e.waiting.Add(-1)
		patience := time.NewTimer(e.times.lookup)
		defer patience.Stop()
		select {
		case e.lookups <- struct{}{}:
			look()
		case <-patience.C:
			e.end(o, DropResolve)
		case <-ctx.Done():
			e.end(o, DropNoRoute)
		}
	}) {
		e.waiting.Add(-1)
		e.end(o, DropResolve)
	}
}

// lookUp finds a host's addresses and sends to the first that can be reached.
func (e *Edge) lookUp(ctx context.Context, o outgoing, host string, port uint16) {
	defer func() { <-e.lookups }()
	defer e.contain("lookup")
	ctx, cancel := context.WithTimeout(ctx, e.times.lookup)
	defer cancel()
	found, err := e.locate(ctx, call.Target{Host: host, Port: port, Transport: o.Flow.Transport})
	if err != nil {
		e.log.Debug("look up next hop", "err", err)
	}
	all := ordered(found, o.Flow.Remote.Addr(), e.reachesFrom(o.Flow.Transport))
	if len(all) == 0 {
		e.sendSource(o)
		return
	}
	e.sendFirst(o, all)
}

// sendFirst sends to the first of some addresses that takes the message
// (RFC 3263 4.3). Over UDP nobody says that he does not.
func (e *Edge) sendFirst(o outgoing, all []netip.AddrPort) {
	to := reachable(all[0], o.Flow.Remote)
	if len(all) == 1 {
		e.sendTo(o, to)
		return
	}
	e.sendTo(outgoing{o.Transmission, func(sent bool) {
		if sent {
			o.tell(true)
			return
		}
		e.sendFirst(o, all[1:])
	}}, to)
}

// sendSource sends a request to where the dialog's last message came from.
func (e *Edge) sendSource(o outgoing) {
	if !o.Flow.Remote.IsValid() {
		e.end(o, DropResolve)
		return
	}
	e.sendTo(o, o.Flow.Remote)
}

// reachesFrom returns which addresses this edge can send to at all.
func (e *Edge) reachesFrom(t call.Transport) func(netip.Addr) bool {
	if u := e.udp.Load(); u != nil && t == call.UDP {
		return u.reaches
	}
	return func(netip.Addr) bool { return true }
}

// ordered returns the addresses that can be reached, those of the family that
// the peer has used first.
func ordered(found []call.Hop, like netip.Addr, reaches func(netip.Addr) bool) (all []netip.AddrPort) {
	for _, h := range found {
		if reaches(h.Addr.Addr()) {
			all = append(all, h.Addr)
		}
	}
	if like.IsValid() {
		other := func(a netip.AddrPort) int {
			if a.Addr().Is4() == like.Unmap().Is4() {
				return 0
			}
			return 1
		}
		slices.SortStableFunc(all, func(a, b netip.AddrPort) int { return other(a) - other(b) })
	}
	return all
}

// splitHost reads host or host:port; an IPv6 address may be in brackets. Port 0
// means none was given.
func splitHost(s string) (string, uint16) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
			s = s[1 : len(s)-1]
		}
		return s, 0
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return host, 0
	}
	return host, uint16(port)
}

// running returns the context of Run while it serves.
func (e *Edge) running() (context.Context, bool) {
	ctx := e.ctx.Load()
	if ctx == nil || (*ctx).Err() != nil {
		return nil, false
	}
	return *ctx, true
}
