package cluster

import (
	"sync"

	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
)

// maxUnions is how many keys' calls on several nodes are kept put together;
// beyond it all are put together anew.
const maxUnions = 4096

// unions keep the calls of keys that have some on several nodes, so that they
// are put together when a report changes them, and not for each INVITE.
type unions struct {
	mu    sync.Mutex
	known map[endpoint.Key]united
}

type united struct {
	all  idSet
	from int // sets
}

// of returns the union of sets, which are a key's at this moment.
func (u *unions) of(key endpoint.Key, sets []idSet) idSet {
	u.mu.Lock()
	defer u.mu.Unlock()
	if k, ok := u.known[key]; ok && k.from == len(sets) {
		return k.all
	}
	var all idSet
	for _, set := range sets {
		all = union(all, set)
	}
	if u.known == nil || len(u.known) >= maxUnions {
		u.known = make(map[endpoint.Key]united)
	}
	u.known[key] = united{all, len(sets)}
	return all
}

// heard forgets what a beat may have changed: a whole one, everything.
func (u *unions) heard(b *envelope.Beat) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !b.Delta {
		clear(u.known)
		return
	}
	for key := range b.Calls {
		delete(u.known, key)
	}
	for key := range b.Ended {
		delete(u.known, key)
	}
}
