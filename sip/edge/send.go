package edge

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"patchbay/actors/call"
)

// Limits of sending.
const (
	maxDials    = 64              // connections being opened at once
	maxDialWait = 16              // messages that wait for one of them
	dialTimeout = 5 * time.Second // to open a connection
	maxLookups  = 32              // names being looked up at once
	lookupTime  = 2 * time.Second // for one name
	defaultPort = 5060
)

// Send writes one message out. It does not block: what needs a connection or a
// look-up first goes on in the background, and what cannot be sent is counted
// and lost, as on any network. tx.Raw must not be changed afterwards.
//
// A response goes back on its flow and nowhere else: to the address it came
// from (UDP), or on its connection while that is open. A request goes to
// tx.To or tx.Host, over a live connection if there is one. A private address
// that a public peer gave as its own is behind a NAT, so the flow's source is
// used instead.
func (e *Edge) Send(tx call.Transmission) {
	switch {
	case isResponse(tx.Raw):
		e.sendBack(tx)
	case tx.To.IsValid():
		e.sendTo(tx, reachable(tx.To, tx.Flow.Remote))
	case tx.Host != "":
		e.sendHost(tx)
	default:
		e.sendBack(tx)
	}
}

func isResponse(raw []byte) bool { return bytes.HasPrefix(raw, []byte("SIP/2.0 ")) }

// sendBack writes on the flow itself.
func (e *Edge) sendBack(tx call.Transmission) {
	if !tx.Flow.Transport.Reliable() {
		to := tx.Flow.Reply
		if !to.IsValid() {
			to = tx.Flow.Remote
		}
		e.sendUDP(tx, to)
		return
	}
	l, ok := e.linkOf(tx.Flow)
	if !ok {
		e.obs.dropped(DropFlowGone)
		return
	}
	e.sendLink(l, tx.Raw)
}

// linkOf returns the connection of a flow, if it is ours and still open.
func (e *Edge) linkOf(f call.Flow) (link, bool) {
	if f.Edge != e.id || f.Boot != e.boot || f.Conn == 0 {
		return nil, false
	}
	return e.conns.get(f.Conn)
}

func (e *Edge) sendLink(l link, raw []byte) {
	switch err := l.send(raw); err {
	case nil:
	case errQueueFull:
		e.obs.dropped(DropWriteQueue)
	default:
		e.obs.dropped(DropFlowGone)
	}
}

// sendUDP leaves from the address that the peer called, where this edge has it.
func (e *Edge) sendUDP(tx call.Transmission, to netip.AddrPort) {
	u := e.udp.Load()
	if u == nil || !to.IsValid() || to.Port() == 0 || !u.reaches(to.Addr()) {
		e.obs.dropped(DropNoRoute)
		return
	}
	local := tx.Flow.Local.Addr()
	if tx.Flow.Edge != e.id {
		local = netip.Addr{}
	}
	if err := u.write(tx.Raw, local, to); err != nil {
		e.obs.dropped(DropWrite)
		e.log.Debug("send", "transport", call.UDP, "to", to, "err", err)
	}
}

// sendTo writes a request to an address: over the flow's connection or another
// live one with that peer, else over a new one.
func (e *Edge) sendTo(tx call.Transmission, to netip.AddrPort) {
	if to.Port() == 0 {
		to = netip.AddrPortFrom(to.Addr(), defaultPort)
	}
	if !tx.Flow.Transport.Reliable() {
		e.sendUDP(tx, to)
		return
	}
	l, ok := e.linkOf(tx.Flow)
	if !ok || tx.Flow.Remote.Addr() != to.Addr() {
		if other, found := e.conns.to(peer{tx.Flow.Transport, to}); found {
			l, ok = other, true
		}
	}
	switch {
	case ok:
		e.sendLink(l, tx.Raw)
	case tx.Flow.Transport == call.TCP:
		e.dial(to, tx.Raw)
	default:
		e.obs.dropped(DropNoRoute) // TLS and WebSocket connections are not opened by us yet
	}
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

// sendHost resolves a name in the background. A peer whose name does not
// resolve, or that must wait for too many others, is sought at its source.
func (e *Edge) sendHost(tx call.Transmission) {
	host, port := splitHost(tx.Host)
	if a, err := netip.ParseAddr(host); err == nil {
		e.sendTo(tx, reachable(netip.AddrPortFrom(a.Unmap(), port), tx.Flow.Remote))
		return
	}
	ctx, ok := e.running()
	if !ok {
		e.obs.dropped(DropNoRoute)
		return
	}
	select {
	case e.lookups <- struct{}{}:
	default:
		e.sendSource(tx)
		return
	}
	if !e.spawn(func() { e.lookUp(ctx, tx, host, port) }) {
		<-e.lookups
		e.obs.dropped(DropNoRoute)
	}
}

// lookUp finds a host's addresses and sends to one of them.
func (e *Edge) lookUp(ctx context.Context, tx call.Transmission, host string, port uint16) {
	defer func() { <-e.lookups }()
	defer e.contain("lookup")
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found, err := e.lookup(ctx, host)
	if err != nil {
		e.log.Debug("look up next hop", "err", err)
	}
	if a, ok := pick(found, tx.Flow.Remote.Addr()); ok {
		e.sendTo(tx, reachable(netip.AddrPortFrom(a, port), tx.Flow.Remote))
		return
	}
	e.sendSource(tx)
}

// sendSource sends a request to where the dialog's last message came from.
func (e *Edge) sendSource(tx call.Transmission) {
	if !tx.Flow.Remote.IsValid() {
		e.obs.dropped(DropResolve)
		return
	}
	e.sendTo(tx, tx.Flow.Remote)
}

// pick chooses an address: of the family the peer used, if there is one.
func pick(found []netip.Addr, like netip.Addr) (netip.Addr, bool) {
	for _, a := range found {
		if a = a.Unmap(); a.Is4() == like.Is4() {
			return a, true
		}
	}
	if len(found) == 0 || like.IsValid() {
		return netip.Addr{}, false
	}
	return found[0].Unmap(), true
}

// splitHost reads host or host:port; an IPv6 address may be in brackets.
func splitHost(s string) (string, uint16) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
			s = s[1 : len(s)-1]
		}
		return s, defaultPort
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return host, defaultPort
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

// dials are the connections being opened, with what waits for each.
type dials struct {
	mu      sync.Mutex
	waiting map[netip.AddrPort][][]byte
}

// dial opens a TCP connection in the background and sends raw on it. A second
// message to the same peer waits for the same connection.
func (e *Edge) dial(to netip.AddrPort, raw []byte) {
	ctx, ok := e.running()
	if !ok {
		e.obs.dropped(DropNoRoute)
		return
	}
	d := &e.dials
	d.mu.Lock()
	defer d.mu.Unlock()
	queue, under := d.waiting[to]
	if len(queue) >= maxDialWait || !under && len(d.waiting) >= maxDials {
		e.obs.dropped(DropDial)
		return
	}
	if d.waiting == nil {
		d.waiting = map[netip.AddrPort][][]byte{}
	}
	if !under && !e.spawn(func() { e.open(ctx, to) }) {
		e.obs.dropped(DropNoRoute)
		return
	}
	d.waiting[to] = append(queue, raw)
}

// open connects and sends what has waited.
func (e *Edge) open(ctx context.Context, to netip.AddrPort) {
	defer e.contain("dial")
	nc, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", to.String())
	var l link
	if err == nil {
		if l, err = e.adopt(ctx, nc, call.TCP, true); err != nil {
			_ = nc.Close()
		}
	}
	e.dials.mu.Lock()
	queue := e.dials.waiting[to]
	delete(e.dials.waiting, to)
	e.dials.mu.Unlock()
	if err != nil {
		e.log.Debug("dial", "to", to, "err", err)
	}
	for _, raw := range queue {
		if err != nil {
			e.obs.dropped(DropDial)
			continue
		}
		e.sendLink(l, raw)
	}
}
