package peer

import (
	"net/netip"
	"sync"

	"patchbay/internal/pktinfo"
)

// maxPaths is how many remote addresses of one peer are kept; with more, the
// oldest is answered from where the kernel likes.
const maxPaths = 16

// paths are the ways to remote addresses: packets leave from that address of
// ours to which the last one came. An answer from elsewhere fails a check (RFC
// 8445 section 7.2.5.2.1), and on a host with several addresses the kernel's
// choice may be elsewhere.
type paths struct {
	six bool // the socket is of IPv6, or of both families

	mu   sync.Mutex
	list []way
}

type way struct {
	peerAddr
	at netip.Addr
}

// learn notes that a packet of a remote address came to one of ours.
func (p *paths) learn(remote netip.AddrPort, at netip.Addr) {
	if !at.IsValid() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.list {
		if w := &p.list[i]; w.addr == remote {
			if w.at != at {
				w.at, w.oob = at, pktinfo.Append(nil, at, p.six)
			}
			return
		}
	}
	if len(p.list) == maxPaths {
		p.list = append(p.list[:0], p.list[1:]...)
	}
	p.list = append(p.list, way{peerAddr{remote, pktinfo.Append(nil, at, p.six)}, at})
}

// to is the way to a remote address.
func (p *paths) to(remote netip.AddrPort) peerAddr {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.list {
		if p.list[i].addr == remote {
			return p.list[i].peerAddr
		}
	}
	return peerAddr{addr: remote}
}
