package edge

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"patchbay/actors/call"
)

// Limits of requests that are too long for UDP.
const (
	maxDatagramRequest = 1300             // octets: a longer request goes over TCP where the peer takes it (RFC 3261 18.1.1)
	maxNarrow          = 1024             // peers remembered that took no TCP; beyond it any goes
	narrowFor          = 10 * time.Minute // how long one is
)

// narrow are peers that have taken no TCP connection for a long request.
type narrow struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time
}

func (n *narrow) holds(a netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	until, known := n.until[a]
	if known && time.Now().After(until) {
		delete(n.until, a)
		return false
	}
	return known
}

func (n *narrow) add(a netip.AddrPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.until == nil {
		n.until = map[netip.AddrPort]time.Time{}
	}
	if len(n.until) >= maxNarrow {
		for victim := range n.until {
			delete(n.until, victim)
			break
		}
	}
	n.until[a] = time.Now().Add(narrowFor)
}

// sendDatagram sends over UDP, or what is too long for that and free to go
// another way over TCP to the same address. A peer that takes no connection
// gets it over UDP after all; so does one that is being connected to when
// another copy leaves, for it may be behind a filter that says nothing.
//
// Nobody waits for the connection: as with any datagram it is said at once that
// the message has left.
func (e *Edge) sendDatagram(o outgoing, to netip.AddrPort) {
	plain := o.Transmission
	if !o.Grows || o.Fill || len(o.Raw) <= maxDatagramRequest || e.narrow.holds(to) {
		e.end(o, e.sendUDP(plain, to))
		return
	}
	long := outgoing{Transmission: grown(plain)}
	whom := peerOf(long, to)
	if l, ok := e.conns.to(whom); ok && e.sendOver(l, long) == "" {
		o.tell(true)
		return
	}
	if e.dials.under(whom) {
		e.end(o, e.sendUDP(plain, to))
		return
	}
	long.told = func(sent bool) {
		if !sent {
			e.narrow.add(to)
			e.end(outgoing{Transmission: plain}, e.sendUDP(plain, to))
		}
	}
	o.tell(true)
	e.dial(long, whom)
}

// grown is a request over UDP as one over TCP: only the transport of the top Via
// changes, so that its ACK and its answers are known all the same.
func grown(tx call.Transmission) call.Transmission {
	tx.Raw = bytes.Replace(tx.Raw, []byte("\r\nVia: SIP/2.0/UDP "), []byte("\r\nVia: SIP/2.0/TCP "), 1)
	tx.Flow.Transport, tx.Grows = call.TCP, false
	return tx
}

// under reports whether a connection to a peer is being opened.
func (d *dials) under(to peer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, under := d.waiting[to]
	return under
}
