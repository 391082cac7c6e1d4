package actors

import (
	"errors"
	"runtime/debug"
	"sync"
	"time"
)

// ErrStopped says a host has ended.
var ErrStopped = errors.New("actors: stopped")

// A Message is one turn of an actor. It runs alone on its loop and must not
// block.
type Message func(now time.Time)

// A HostObserver hears what a [Host] does. Funcs must not block; nil is
// skipped.
type HostObserver struct {
	// Panicked hears of a message that panicked. It was lost, its loop goes on.
	Panicked func(loop int, value any, stack []byte)
	// Refused hears that a mailbox was full.
	Refused func(loop int)
	// Depth hears how many messages wait in a mailbox after one was added.
	Depth func(loop, depth int)
}

// A Host runs actors on a fixed number of mailbox loops. Messages of one loop
// run one at a time and in order. A loop costs a goroutine only while it has
// messages or a timer that is due soon, and for Linger after.
type Host struct {
	loops    []*Loop
	observer HostObserver
	wg       sync.WaitGroup
}

// Linger is how long a loop without messages keeps its goroutine, unless a
// timer is due within it.
const Linger = 2 * time.Second

// NewHost returns a host of n loops with mailboxes of the given size.
func NewHost(n, mailbox int, observer HostObserver) *Host {
	h := &Host{loops: make([]*Loop, max(n, 1)), observer: observer}
	for i := range h.loops {
		h.loops[i] = &Loop{index: i, limit: max(mailbox, 1), host: h, wake: make(chan struct{}, 1)}
	}
	return h
}

// Loop returns the loop that serves n.
func (h *Host) Loop(n uint64) *Loop { return h.loops[n%uint64(len(h.loops))] }

// Depth returns how many messages wait in all mailboxes.
func (h *Host) Depth() int {
	sum := 0
	for _, l := range h.loops {
		l.mu.Lock()
		sum += l.queue.len()
		l.mu.Unlock()
	}
	return sum
}

// Stop lets every loop finish the messages it has and waits for that. Timers
// no longer fire. It may be called twice.
func (h *Host) Stop() {
	for _, l := range h.loops {
		l.mu.Lock()
		l.stopped = true
		if l.alarm != nil {
			l.alarm.Stop()
		}
		l.mu.Unlock()
		l.nudge()
	}
	h.wg.Wait()
}

// errPanicked stands for the result of work that panicked.
var errPanicked = errors.New("actors: panicked")

// panicked tells the observer of a contained panic, from where it was
// recovered.
func (h *Host) panicked(loop int, value any) {
	if h.observer.Panicked != nil {
		h.observer.Panicked(loop, value, debug.Stack())
	}
}
