package cluster

import (
	"sync"

	"patchbay/actors/call"
)

// maxFound is how many moved calls an edge remembers.
const maxFound = 4096

// A slotCache remembers where calls were found that are not where their token
// says. It is bounded: the oldest entry goes first, and costs one more find.
type slotCache struct {
	mu    sync.Mutex
	slots map[call.ID]call.Slot
	ring  []call.ID // order of arrival
	next  int
}

func newSlotCache(limit int) *slotCache {
	return &slotCache{slots: make(map[call.ID]call.Slot), ring: make([]call.ID, limit)}
}

func (c *slotCache) get(id call.ID) (call.Slot, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot, ok := c.slots[id]
	return slot, ok
}

func (c *slotCache) put(id call.ID, slot call.Slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.slots[id]; !known {
		delete(c.slots, c.ring[c.next])
		c.ring[c.next] = id
		c.next = (c.next + 1) % len(c.ring)
	}
	c.slots[id] = slot
}

func (c *slotCache) forget(id call.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.slots, id)
}
