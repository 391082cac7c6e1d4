package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"patchbay/actors/call"
)

// listening is what an edge has open for its peers.
type listening struct {
	udp     *udpSockets // nil: none
	streams []streamListener
}

type streamListener struct {
	net.Listener
	transport call.Transport
}

// listen opens what is configured, all or nothing. TLS and WSS are only open
// where there is a certificate.
func (e *Edge) listen(ctx context.Context) (*listening, error) {
	var addrs Addrs
	open := &listening{}
	if e.cfg.UDP != "" {
		var err error
		if open.udp, err = listenUDP(ctx, e.cfg.UDP, e.cfg.UDPSockets, e.cfg.UDPBuffer); err != nil {
			return nil, listenError("udp", e.cfg.UDP, err)
		}
		addrs.UDP = open.udp.addr
	}
	for _, want := range []struct {
		transport call.Transport
		addr      string
		got       *netip.AddrPort
	}{
		{call.TCP, e.cfg.TCP, &addrs.TCP},
		{call.TLS, e.cfg.TLS, &addrs.TLS},
		{call.WS, e.cfg.WS, &addrs.WS},
		{call.WSS, e.cfg.WSS, &addrs.WSS},
	} {
		if want.addr == "" || isSecure(want.transport) && e.certificate.certFile == "" {
			continue
		}
		ln, err := e.listenStream(ctx, want.transport, want.addr)
		if err != nil {
			open.closeStreams()
			open.closeUDP()
			return nil, err
		}
		open.streams = append(open.streams, streamListener{ln, want.transport})
		*want.got = addrPortOf(ln.Addr())
	}
	e.addrs.Store(&addrs)
	return open, nil
}

func (e *Edge) listenStream(ctx context.Context, t call.Transport, addr string) (net.Listener, error) {
	if isSecure(t) && e.certificate.pair.Load() == nil {
		if err := e.certificate.load(); err != nil {
			return nil, err
		}
	}
	ln, err := listenTCP(ctx, addr)
	if err != nil {
		return nil, listenError(string(t), addr, err)
	}
	return ln, nil
}

// isSecure reports whether a transport has TLS below.
func isSecure(t call.Transport) bool { return t == call.TLS || t == call.WSS }

func (l *listening) closeStreams() {
	for _, s := range l.streams {
		_ = s.Close()
	}
}

func (l *listening) closeUDP() {
	if l.udp != nil {
		l.udp.close()
	}
}

func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	ap, network, err := resolveListen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return (&net.ListenConfig{}).Listen(ctx, network, ap.String())
}

// listenError names the setting of an address that cannot be listened on, and
// leaves out what the address says already.
func listenError(setting, addr string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return fmt.Errorf("listen %s %s (sip.%s): %w", setting, addr, setting, err)
}
