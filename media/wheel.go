package media

import (
	"sync"
	"time"
)

// The node's clock visits each call every 20 ms. Calls are spread over the
// slots of a wheel, so that what the clock sends leaves evenly.
const (
	wheelSlots = 4
	wheelTurn  = 20 * time.Millisecond
)

// A wheel visits bridges while there are any: with none it costs nothing.
type wheel struct {
	visit func(*bridge)

	mu      sync.Mutex
	slots   [wheelSlots][]*bridge
	count   int
	running bool
	done    sync.WaitGroup
}

// add lets b be visited.
func (w *wheel) add(b *bridge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b.slot = 0
	for i := range w.slots {
		if len(w.slots[i]) < len(w.slots[b.slot]) {
			b.slot = i
		}
	}
	b.index = len(w.slots[b.slot])
	w.slots[b.slot] = append(w.slots[b.slot], b)
	w.count++
	if !w.running {
		w.running = true
		w.done.Go(w.run)
	}
}

// remove ends visits of b, but for one that has begun.
func (w *wheel) remove(b *bridge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := w.slots[b.slot]
	last := slot[len(slot)-1]
	slot[b.index], last.index = last, b.index
	slot[len(slot)-1] = nil
	w.slots[b.slot] = slot[:len(slot)-1]
	w.count--
}

func (w *wheel) run() {
	ticker := time.NewTicker(wheelTurn / wheelSlots)
	defer ticker.Stop()
	var now []*bridge
	for i := 0; ; i = (i + 1) % wheelSlots {
		<-ticker.C
		var more bool
		if now, more = w.slot(i, now[:0]); !more {
			return
		}
		for k, b := range now {
			w.visit(b)
			now[k] = nil
		}
	}
}

// slot copies one slot into bs. It returns false, and the wheel stands still,
// when no bridge is left in any.
func (w *wheel) slot(i int, bs []*bridge) ([]*bridge, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == 0 {
		w.running = false
		return bs, false
	}
	return append(bs, w.slots[i]...), true
}
