package store

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"
)

// cacheShards keeps readers of different objects out of each other's way.
const cacheShards = 16

// An entry is one object as it was read: value points to an
// endpoint.Endpoint, endpoint.Account or endpoint.Agent that nobody writes to, or
// is nil where there is none.
type entry struct {
	key     string
	value   any
	rev     uint64    // of the object or of the marker of its end; 0: never was
	checked time.Time // when it was last read from the bucket
}

// A cache is a bounded map of entries that forgets the least recently used
// one. Objects that do not exist are remembered apart, so that a stranger who
// tries slugs cannot push out those in use. It also remembers the newest
// revision it has heard of per key, so that a late read cannot bring back an
// old one.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.Mutex
	present lru
	missing lru
	floors  map[string]uint64
	ring    []string // order in which floors came
	next    int
}

func newCache(limit int) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	per := max((limit+cacheShards-1)/cacheShards, 1)
	for i := range c.shards {
		c.shards[i] = cacheShard{
			present: newLRU(per),
			missing: newLRU(max(per/missingShare, 1)),
			floors:  make(map[string]uint64),
			ring:    make([]string, maxFloors/cacheShards),
		}
	}
	return c
}

func (c *cache) shard(key string) *cacheShard {
	return &c.shards[maphash.String(c.seed, key)%cacheShards]
}

// get returns what is remembered of key.
func (c *cache) get(key string) (entry, bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.present.get(key); ok {
		return e, true
	}
	return s.missing.get(key)
}

// put remembers e unless a newer revision of its key is known.
func (c *cache) put(e entry) {
	s := c.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.rev < s.floors[e.key] {
		return
	}
	s.present.remove(e.key)
	s.missing.remove(e.key)
	if e.value == nil {
		s.missing.put(e)
	} else {
		s.present.put(e)
	}
}

// raise says that key has changed at rev: what is older is forgotten and not
// accepted any more.
func (c *cache) raise(key string, rev uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.floors[key]
	if known && old >= rev {
		return
	}
	if !known {
		delete(s.floors, s.ring[s.next])
		s.ring[s.next] = key
		s.next = (s.next + 1) % len(s.ring)
	}
	s.floors[key] = rev
	for _, l := range []*lru{&s.present, &s.missing} {
		if e, ok := l.get(key); ok && e.rev < rev {
			l.remove(key)
		}
	}
}

// floor is the newest revision of key that this node has heard of.
func (c *cache) floor(key string) uint64 {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floors[key]
}

// An lru is a bounded map that forgets the least recently used entry.
type lru struct {
	limit int
	order *list.List // of entry, most recently used first
	items map[string]*list.Element
}

func newLRU(limit int) lru {
	return lru{limit: limit, order: list.New(), items: make(map[string]*list.Element)}
}

func (l *lru) get(key string) (entry, bool) {
	el, ok := l.items[key]
	if !ok {
		return entry{}, false
	}
	l.order.MoveToFront(el)
	return el.Value.(entry), true
}

func (l *lru) put(e entry) {
	l.items[e.key] = l.order.PushFront(e)
	if l.order.Len() > l.limit {
		oldest := l.order.Remove(l.order.Back()).(entry)
		delete(l.items, oldest.key)
	}
}

func (l *lru) remove(key string) {
	if el, ok := l.items[key]; ok {
		l.order.Remove(el)
		delete(l.items, key)
	}
}
