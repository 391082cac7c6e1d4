package plan

import (
	"slices"
	"time"
)

// A Delivery is one event on its way to one target.
type Delivery struct {
	ID      string
	Tenant  string
	Target  string
	Lane    string // of the target: deliveries of one lane leave in order
	Order   uint64 // within the lane
	Tries   int    // so far
	Born    time.Time
	Next    time.Time // not before
	Held    bool      // Next is a guess: what comes before it may be on its way
	Version uint64    // of what is stored of it; the caller's

	lane  *lane
	taken bool // under way, or being given up
}

// A lane holds the deliveries of one call to one target, in order.
type lane struct {
	target *target
	name   string
	items  []*Delivery
	taken  bool // its head is under way
	ready  bool // in the target's list
	due    time.Time
	at     int // in the heap; -1: not there
}

// put adds a delivery at its place.
func (l *lane) put(d *Delivery) {
	i, _ := slices.BinarySearchFunc(l.items, d, func(a, b *Delivery) int {
		switch {
		case a.Order < b.Order:
			return -1
		case a.Order > b.Order:
			return 1
		}
		return 0
	})
	if l.taken && i == 0 { // one that comes late does not overtake what is under way
		i = 1
	}
	l.items = slices.Insert(l.items, i, d)
	d.lane = l
}

// remove takes a delivery out.
func (l *lane) remove(d *Delivery) {
	if i := slices.Index(l.items, d); i >= 0 {
		l.items = slices.Delete(l.items, i, i+1)
	}
}

// A dueHeap has the lane that is due first at its top (container/heap).
type dueHeap []*lane

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	l := x.(*lane)
	l.at = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	l.at = -1
	*h = old[:len(old)-1]
	return l
}
