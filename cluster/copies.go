package cluster

import (
	"hash/maphash"
	"sync"
)

// maxCopies is how many beats are remembered to know a copy: those of a second
// or two of a large cluster. A copy that comes later is known by its number.
const maxCopies = 256

// copies tells a beat from its copy that came by another broker, before it is
// decoded. The zero value is ready to use.
type copies struct {
	once   sync.Once
	seed   maphash.Seed
	mu     sync.Mutex
	recent [maxCopies]uint64
	next   int
}

// fresh reports whether data has not come before, of late.
func (c *copies) fresh(data []byte) bool {
	c.once.Do(func() { c.seed = maphash.MakeSeed() })
	sum := maphash.Bytes(c.seed, data) | 1 // 0: nothing yet
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.recent {
		if one == sum {
			return false
		}
	}
	c.recent[c.next] = sum
	c.next = (c.next + 1) % maxCopies
	return true
}
