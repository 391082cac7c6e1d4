package webhook

import (
	"container/list"
	"sync"
	"time"
)

// When a target is left alone.
const (
	// breakAfter is how many failures in a row open a breaker.
	breakAfter = 5
	// breakFor is how long it stays open; then one request tries.
	breakFor = 15 * time.Second
	// maxTargets is how many targets' failures are remembered; the one least
	// recently failed is forgotten.
	maxTargets = 4096
)

// A breaker is one target that fails. A target that does not has none.
type breaker struct {
	target   string
	failures int
	until    time.Time // open before it
	trying   bool      // one request is let through
}

// breakers are the targets that failed of late. The zero value knows none.
type breakers struct {
	mu    sync.Mutex
	items map[string]*list.Element // of *breaker
	order list.List                // most recently failed first
}

// allow reports whether the target may be asked at now.
func (b *breakers) allow(target string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	el, ok := b.items[target]
	if !ok {
		return true
	}
	br := el.Value.(*breaker)
	switch {
	case br.failures < breakAfter:
		return true
	case br.trying || now.Before(br.until):
		return false
	}
	br.trying = true
	return true
}

// report says how a request that was allowed ended.
func (b *breakers) report(target string, now time.Time, failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	el, known := b.items[target]
	if !failed {
		if known {
			b.remove(el)
		}
		return
	}
	if !known {
		el = b.add(target)
	}
	b.order.MoveToFront(el)
	br := el.Value.(*breaker)
	br.failures++
	br.trying = false
	br.until = now.Add(breakFor)
}

// free gives back a try that came to no end of its own.
func (b *breakers) free(target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if el, ok := b.items[target]; ok {
		el.Value.(*breaker).trying = false
	}
}

func (b *breakers) add(target string) *list.Element {
	if b.items == nil {
		b.items = make(map[string]*list.Element)
	}
	if b.order.Len() >= maxTargets {
		b.remove(b.order.Back())
	}
	el := b.order.PushFront(&breaker{target: target})
	b.items[target] = el
	return el
}

func (b *breakers) remove(el *list.Element) {
	delete(b.items, el.Value.(*breaker).target)
	b.order.Remove(el)
}
