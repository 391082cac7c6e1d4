package actors

import (
	"container/list"
	"sync"

	"patchbay/actors/call"
)

// indexShards is how many locks the calls of a node share.
const indexShards = 64

// An index finds the actor of a call: live, or lingering.
type index [indexShards]struct {
	mu     sync.RWMutex
	actors map[call.ID]*actor
}

func (x *index) get(id call.ID) *actor {
	shard := &x[id%indexShards]
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.actors[id]
}

// add returns false if the id is taken.
func (x *index) add(a *actor) bool {
	shard := &x[a.id%indexShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if _, taken := shard.actors[a.id]; taken {
		return false
	}
	if shard.actors == nil {
		shard.actors = make(map[call.ID]*actor)
	}
	shard.actors[a.id] = a
	return true
}

func (x *index) remove(id call.ID) {
	shard := &x[id%indexShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	delete(shard.actors, id)
}

func (x *index) all() []*actor {
	var all []*actor
	for i := range x {
		x[i].mu.RLock()
		for _, a := range x[i].actors {
			all = append(all, a)
		}
		x[i].mu.RUnlock()
	}
	return all
}

// A linger lists the calls that are over and kept only to answer
// retransmissions, at most limit of them.
type linger struct {
	limit int
	mu    sync.Mutex
	order list.List // of *actor, oldest first
}

// add lists a call. If there are too many it strikes the oldest from the list
// and returns it.
func (l *linger) add(a *actor) *actor {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.lingering = l.order.PushBack(a)
	if l.order.Len() <= l.limit {
		return nil
	}
	oldest := l.order.Remove(l.order.Front()).(*actor)
	oldest.lingering = nil
	return oldest
}

func (l *linger) remove(a *actor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.lingering != nil {
		l.order.Remove(a.lingering)
		a.lingering = nil
	}
}

func (l *linger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}
