package control

import (
	"sync"

	"patchbay/actors/endpoint"
)

// tenantShare is the part of control.max_in_flight that one tenant may take, so
// that one who asks a lot, or for what takes long, does not keep the others out.
// The operator may take all.
const tenantShare = 4

// places are the requests that a node works on at once, whichever way they come.
type places struct {
	mu     sync.Mutex
	free   int
	share  int            // of them, that one tenant may have
	shares map[string]int // that each has now
}

// newPlaces returns as many places.
func newPlaces(n int) *places {
	return &places{free: n, share: max(n/tenantShare, 1), shares: make(map[string]int)}
}

// enter takes a place for a request; false: there is none, or none left for the
// tenant.
func (p *places) enter(tenant string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free == 0 || tenant != endpoint.OperatorTenant && p.shares[tenant] >= p.share {
		return false
	}
	p.free--
	p.shares[tenant]++
	return true
}

// leave gives a place back.
func (p *places) leave(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	if p.shares[tenant]--; p.shares[tenant] == 0 {
		delete(p.shares, tenant)
	}
}
