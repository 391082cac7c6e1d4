package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"patchbay/actors/call"
)

// dials are the connections being opened, with what waits for each.
type dials struct {
	mu      sync.Mutex
	waiting map[peer][]outgoing
}

// dial opens a connection in the background and sends the message on it. A
// second message to the same peer waits for the same connection.
func (e *Edge) dial(o outgoing, to peer) {
	ctx, ok := e.running()
	if !ok {
		e.end(o, DropNoRoute)
		return
	}
	if why := e.queueDial(ctx, to, o); why != "" {
		e.end(o, why)
	}
}

// peerOf returns whom a request goes to: over TLS it is the name that counts.
func peerOf(o outgoing, to netip.AddrPort) peer {
	p := peer{transport: o.Flow.Transport, remote: to}
	if p.transport == call.TLS {
		if p.name, _ = splitHost(o.Host); p.name == "" {
			p.name = to.Addr().String()
		}
	}
	return p
}

func (e *Edge) queueDial(ctx context.Context, key peer, o outgoing) Drop {
	d := &e.dials
	d.mu.Lock()
	defer d.mu.Unlock()
	queue, under := d.waiting[key]
	if len(queue) >= maxDialWait || !under && len(d.waiting) >= maxDials {
		return DropDial
	}
	if d.waiting == nil {
		d.waiting = map[peer][]outgoing{}
	}
	if !under && !e.spawn(func() { e.open(ctx, key) }) {
		return DropNoRoute
	}
	d.waiting[key] = append(queue, o)
	return ""
}

// open connects and sends what has waited: nothing waits on, whatever happens.
func (e *Edge) open(ctx context.Context, to peer) {
	defer e.contain("dial")
	var l link
	err := errClosed
	defer func() {
		queue, why := e.sendWaiting(to, l, err)
		for i, o := range queue {
			e.end(o, why[i])
		}
	}()
	if l, err = e.connect(ctx, to); err != nil {
		e.explain(to, err)
	}
}

// sendWaiting sends what has waited for a connection before anything else leaves
// by it (see follow), and says what became of each.
func (e *Edge) sendWaiting(to peer, l link, err error) (queue []outgoing, why []Drop) {
	d := &e.dials
	d.mu.Lock()
	defer d.mu.Unlock()
	queue = d.waiting[to]
	delete(d.waiting, to)
	for _, o := range queue {
		if err != nil {
			why = append(why, DropDial)
			continue
		}
		why = append(why, e.sendOver(l, o))
	}
	return queue, why
}

// follow lets a message wait behind those that wait for a connection with a
// peer, though that may be open by now: it shall not overtake them. false: none
// waits, or there is no room.
func (d *dials) follow(to peer, o outgoing) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	queue, under := d.waiting[to]
	if !under || len(queue) >= maxDialWait {
		return false
	}
	d.waiting[to] = append(queue, o)
	return true
}

// disbeliefEvery is how often at most it is told that a peer's certificate is
// not believed.
const disbeliefEvery = time.Second

// started is what times are told from that go on whatever becomes of the
// machine's clock.
var started = time.Now().Add(-disbeliefEvery)

// explain tells why a connection was not opened. A certificate that is not
// believed is for an operator to mend, here or there; all else passes.
func (e *Edge) explain(to peer, err error) {
	var disbelief *tls.CertificateVerificationError
	now := int64(time.Since(started))
	last := e.disbelieved.Load()
	if errors.As(err, &disbelief) && now-last >= int64(disbeliefEvery) && e.disbelieved.CompareAndSwap(last, now) {
		e.log.Warn("TLS: the peer's certificate is not believed", "to", to.remote, "name", to.name, "err", disbelief.Err)
		return
	}
	e.log.Debug("dial", "transport", to.transport, "to", to.remote, "err", err)
}

// connect opens a connection, and over TLS believes the peer only if its
// certificate is of an authority that this machine trusts, and of its name
// (RFC 5922 7.2).
func (e *Edge) connect(ctx context.Context, to peer) (link, error) {
	ctx, cancel := context.WithTimeout(ctx, e.times.dial)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.remote.String())
	if err != nil {
		return nil, err
	}
	if to.transport == call.TLS {
		secure := tls.Client(nc, towardsPeer(to.name, e.roots))
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, err
		}
		nc = secure
	}
	running, ok := e.running()
	if !ok {
		_ = nc.Close()
		return nil, errClosed
	}
	l, err := e.adopt(running, nc, to, true)
	if err != nil {
		_ = nc.Close()
	}
	return l, err
}
