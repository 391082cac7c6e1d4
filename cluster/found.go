package cluster

import (
	"slices"
	"sync"

	"patchbay/actors/call"
	"patchbay/cluster/placement"
)

// Limits of what is remembered of calls that are not where they should be.
const (
	maxFound    = 4096 // by an edge: calls that are not where their token says
	maxPassedOn = 4096 // by a decider: transactions that their first node did not take
)

// A ring is a bounded map that forgets its oldest entry.
type ring[K comparable, V any] struct {
	mu    sync.Mutex
	items map[K]V
	keys  []K // in order of arrival
	next  int
}

func newRing[K comparable, V any](limit int) *ring[K, V] {
	return &ring[K, V]{items: make(map[K]V), keys: make([]K, 0, min(limit, 64)), next: -limit}
}

func (r *ring[K, V]) get(key K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.items[key]
	return v, ok
}

func (r *ring[K, V]) put(key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.items[key]; !known {
		if r.next < 0 { // still growing
			r.keys = append(r.keys, key)
			r.next++
		} else {
			delete(r.items, r.keys[r.next])
			r.keys[r.next] = key
			r.next = (r.next + 1) % len(r.keys)
		}
	}
	r.items[key] = v
}

// forget removes key; its place in the ring is used up all the same.
func (r *ring[K, V]) forget(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.items, key)
}

// passedOn remembers which node took a transaction that an earlier one in its
// order had refused: copies of the INVITE must not begin a second call there
// once it has room again.
type passedOn struct {
	*ring[call.TransactionKey, string]
}

func newPassedOn(limit int) *passedOn {
	return &passedOn{newRing[call.TransactionKey, string](limit)}
}

// first moves the node that took the transaction to the front of its order.
func (p *passedOn) first(key call.TransactionKey, order []placement.Node) []placement.Node {
	name, ok := p.get(key)
	if !ok {
		return order
	}
	i := slices.IndexFunc(order, func(n placement.Node) bool { return n.Name == name })
	if i <= 0 {
		return order
	}
	node := order[i]
	return slices.Insert(slices.Delete(order, i, i+1), 0, node)
}
