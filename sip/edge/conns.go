package edge

import (
	"net/netip"
	"sync"

	"patchbay/actors/call"
	"patchbay/internal/prefixset"
)

// A link is one connection of a reliable transport, whatever it is made of.
// Whoever reads whole messages hands them to Edge.deliver with its link and
// writes what send is given.
type link interface {
	// send takes one whole message without blocking. It returns errClosed, or
	// errQueueFull when the peer reads too slowly.
	send(raw []byte) error
	// stop ends the connection after what was sent has left, or in time.
	stop()
}

// A peer is how a connection is found for a request to an address. name is what
// the peer's certificate had to say, where we opened the connection over TLS.
type peer struct {
	transport call.Transport
	remote    netip.AddrPort
	name      string
}

// conns are the live connections of an edge, counted in total and by source.
type conns struct {
	max, perSource int
	changed        func(t call.Transport, delta int) // told with the lock held: never of more than there are

	mu      sync.RWMutex
	closed  bool
	last    uint64
	byID    map[uint64]link
	byPeer  map[peer]uint64
	sources map[netip.Prefix]int
}

func newConns(total, perSource int, changed func(call.Transport, int)) *conns {
	return &conns{
		max: total, perSource: perSource, changed: changed,
		byID: map[uint64]link{}, byPeer: map[peer]uint64{}, sources: map[netip.Prefix]int{},
	}
}

// add registers a connection under a new id. ours is one that we opened: it
// does not count against its source. An empty Drop means it was admitted.
func (t *conns) add(p peer, ours bool, open func(id uint64) link) (link, Drop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	src := prefixset.Site(p.remote.Addr())
	switch {
	case t.closed:
		return nil, DropFlowGone
	case len(t.byID) >= t.max:
		return nil, DropConnCap
	case !ours && t.sources[src] >= t.perSource:
		return nil, DropSourceCap
	}
	t.last++
	l := open(t.last)
	t.byID[t.last] = l
	t.byPeer[p] = t.last
	if !ours {
		t.sources[src]++
	}
	t.changed(p.transport, +1)
	return l, ""
}

// remove forgets a connection.
func (t *conns) remove(id uint64, p peer, ours bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.byID[id]; !ok {
		return
	}
	delete(t.byID, id)
	t.changed(p.transport, -1)
	if t.byPeer[p] == id {
		delete(t.byPeer, p)
	}
	if ours {
		return
	}
	src := prefixset.Site(p.remote.Addr())
	if t.sources[src]--; t.sources[src] <= 0 {
		delete(t.sources, src)
	}
}

// get returns a connection by its id.
func (t *conns) get(id uint64) (link, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	l, ok := t.byID[id]
	return l, ok
}

// to returns a live connection with a peer.
func (t *conns) to(p peer) (link, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	l, ok := t.byID[t.byPeer[p]]
	return l, ok
}

// stop ends every connection and admits no more.
func (t *conns) stop() {
	t.mu.Lock()
	t.closed = true
	all := make([]link, 0, len(t.byID))
	for _, l := range t.byID {
		all = append(all, l)
	}
	t.mu.Unlock()
	for _, l := range all {
		l.stop()
	}
}
