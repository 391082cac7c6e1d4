package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"patchbay/actors/call"
)

// Limits of what a balancer announces.
const (
	announceTime  = 3 * time.Second // for the whole header
	maxAnnounce   = 536             // bytes of it: the addresses and what may follow them
	maxAnnouncing = 256             // connections whose header is awaited at once
)

// proxyHead is how long the fixed part of a header is: signature, version,
// family and the length of the rest (PROXY protocol 2.2).
const proxyHead = 16

var errNotAnnounced = errors.New("no PROXY protocol header of version 2")

// An announced connection has the addresses that a balancer told: of its
// client, and of where that connected to.
type announced struct {
	net.Conn
	local, remote net.Addr
}

// LocalAddr implements net.Conn.
func (a announced) LocalAddr() net.Addr { return a.local }

// RemoteAddr implements net.Conn.
func (a announced) RemoteAddr() net.Addr { return a.remote }

// welcome adopts an accepted connection. One of a named balancer must say first
// whose it is; what anybody else says of that is no SIP, and refused as such.
func (e *Edge) welcome(ctx context.Context, nc net.Conn, t call.Transport) {
	if !e.balancers.Contains(addrPortOf(nc.RemoteAddr()).Addr()) {
		e.admit(ctx, nc, t)
		return
	}
	select {
	case e.announcing <- struct{}{}:
	default:
		e.obs.dropped(DropConnCap)
		_ = nc.Close()
		return
	}
	if !e.spawn(func() { e.await(ctx, nc, t) }) {
		<-e.announcing
		_ = nc.Close()
	}
}

// await reads the balancer's header. A balancer that speaks for itself, to see
// whether we live, keeps its own address.
func (e *Edge) await(ctx context.Context, nc net.Conn, t call.Transport) {
	defer func() { <-e.announcing }()
	defer e.contain("proxy protocol")
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	_ = nc.SetReadDeadline(time.Now().Add(e.times.announce))
	told, err := readAnnouncement(nc)
	if err != nil {
		e.obs.dropped(DropAnnouncement)
		e.log.Debug("proxy protocol", "source", addrPortOf(nc.RemoteAddr()), "transport", t, "err", err)
		_ = nc.Close()
		return
	}
	_ = nc.SetReadDeadline(time.Time{})
	if told == nil {
		e.admit(ctx, nc, t)
		return
	}
	e.admit(ctx, announced{nc, told.DestinationAddr, told.SourceAddr}, t)
}

// admit registers a connection whose source is known.
func (e *Edge) admit(ctx context.Context, nc net.Conn, t call.Transport) {
	remote := addrPortOf(nc.RemoteAddr())
	if !e.hears(remote) {
		_ = nc.Close()
		return
	}
	if _, err := e.adopt(ctx, nc, peer{transport: t, remote: remote}, false); err != nil {
		_ = nc.Close()
	}
}

// readAnnouncement reads exactly one header of version 2; nil: the balancer
// speaks for itself. Version 1 is a line of text that needs no framing and says
// no less, but is not what operators are asked to set.
func readAnnouncement(r io.Reader) (*proxyproto.Header, error) {
	head := make([]byte, proxyHead, proxyHead+maxAnnounce)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if !bytes.HasPrefix(head, proxyproto.SIGV2) {
		return nil, errNotAnnounced
	}
	n := int(binary.BigEndian.Uint16(head[proxyHead-2:]))
	if n > maxAnnounce {
		return nil, fmt.Errorf("%w: %d bytes of it, at most %d", errNotAnnounced, n, maxAnnounce)
	}
	whole := head[:proxyHead+n]
	if _, err := io.ReadFull(r, whole[proxyHead:]); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(whole)))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read header: %w", err)
	case h.Command.IsLocal():
		return nil, nil
	}
	source, target, ok := h.TCPAddrs()
	if !ok || !sound(source) || !sound(target) {
		return nil, fmt.Errorf("%w: of no TCP connection", errNotAnnounced)
	}
	return h, nil
}

// sound reports whether an address can be a connection's end.
func sound(a *net.TCPAddr) bool {
	p := a.AddrPort()
	addr := p.Addr().Unmap()
	return p.Port() != 0 && addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
