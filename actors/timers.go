package actors

import (
	"container/heap"
	"time"
)

// A Timer is one deadline of an actor, delivered on the actor's loop. Set and
// Stop may be called on that loop only. Make it with [Loop.Timer].
type Timer struct {
	loop  *Loop
	do    Message
	at    time.Time
	index int // in the heap; -1: not set
}

// Timer returns a timer that is not set.
func (l *Loop) Timer(do Message) *Timer { return &Timer{loop: l, do: do, index: -1} }

// Set makes the timer fire once at that time, whatever it was set to before;
// the zero time stops it.
func (t *Timer) Set(at time.Time) {
	switch {
	case at.IsZero():
		t.Stop()
	case t.index < 0:
		t.at = at
		heap.Push(&t.loop.timers, t)
	case !at.Equal(t.at):
		t.at = at
		heap.Fix(&t.loop.timers, t.index)
	}
}

// Stop keeps the timer from firing.
func (t *Timer) Stop() {
	if t.index >= 0 {
		heap.Remove(&t.loop.timers, t.index)
	}
}

// IsSet reports whether the timer will fire.
func (t *Timer) IsSet() bool { return t.index >= 0 }

// A timerHeap orders a loop's timers by their time.
type timerHeap []*Timer

func (h timerHeap) next() (time.Time, bool) {
	if len(h) == 0 {
		return time.Time{}, false
	}
	return h[0].at, true
}

// due removes the first timer if its time has come.
func (h *timerHeap) due(now time.Time) (*Timer, bool) {
	if len(*h) == 0 || (*h)[0].at.After(now) {
		return nil, false
	}
	return heap.Pop(h).(*Timer), true
}

// Len implements heap.Interface.
func (h timerHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

// Swap implements heap.Interface.
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}

// A ring is a queue that grows by doubling and reuses its room.
type ring struct {
	slots []Message // length is a power of two
	head  int
	count int
}

func (r *ring) len() int { return r.count }

func (r *ring) push(m Message) {
	if r.count == len(r.slots) {
		grown := make([]Message, max(8, 2*len(r.slots)))
		for i := range r.count {
			grown[i] = r.slots[(r.head+i)&(len(r.slots)-1)]
		}
		r.slots, r.head = grown, 0
	}
	r.slots[(r.head+r.count)&(len(r.slots)-1)] = m
	r.count++
}

func (r *ring) pop() Message {
	m := r.slots[r.head]
	r.slots[r.head] = nil
	r.head = (r.head + 1) & (len(r.slots) - 1)
	r.count--
	return m
}
