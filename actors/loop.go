package actors

import (
	"sync"
	"time"
)

// A Loop is one mailbox and the timers of the actors that share it.
type Loop struct {
	index int
	limit int
	host  *Host
	wake  chan struct{} // holds one token: look again

	mu      sync.Mutex
	queue   ring
	running bool
	stopped bool
	alarm   *time.Timer // for the next timer, while no goroutine runs

	timers timerHeap // touched by the loop's goroutine only
}

// Tell leaves a message. ErrBusy: the mailbox is full; ErrStopped: the host
// has ended.
func (l *Loop) Tell(m Message) error { return l.put(m, l.limit) }

// Post leaves a message that its sender has bounded already, such as the one
// answer to something the loop asked for: it is never refused as busy.
func (l *Loop) Post(m Message) error { return l.put(m, 0) }

// put adds m unless limit messages wait; 0 means no limit.
func (l *Loop) put(m Message, limit int) error {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return ErrStopped
	}
	if limit > 0 && l.queue.len() >= limit {
		l.mu.Unlock()
		if l.host.observer.Refused != nil {
			l.host.observer.Refused(l.index)
		}
		return ErrBusy
	}
	l.queue.push(m)
	depth, started := l.queue.len(), !l.running
	if started {
		l.start()
	}
	l.mu.Unlock()
	if !started && depth == 1 {
		l.nudge()
	}
	if l.host.observer.Depth != nil {
		l.host.observer.Depth(l.index, depth)
	}
	return nil
}

// start begins a goroutine. The caller holds the lock.
func (l *Loop) start() {
	if l.alarm != nil {
		l.alarm.Stop()
		l.alarm = nil
	}
	l.running = true
	l.host.wg.Go(l.run)
}

// ring starts the loop for a timer that is due.
func (l *Loop) ring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.running && !l.stopped {
		l.start()
	}
}

func (l *Loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run serves the mailbox and the timers until there is nothing to do for
// Linger, or the host stops; timers further ahead start it again. Each round takes one message and fires the timers
// that are due, so that neither starves the other.
func (l *Loop) run() {
	clock := time.NewTimer(Linger)
	defer clock.Stop()
	for {
		m, next := l.take()
		switch next {
		case loopRuns:
			now := time.Now()
			l.turn(m, now)
			l.fire(now)
			continue
		case loopEnds:
			return
		}
		wait, idle := l.idle()
		if wait <= 0 {
			l.fire(time.Now())
			continue
		}
		clock.Reset(wait)
		select {
		case <-l.wake:
		case now := <-clock.C:
			if idle && l.retire() {
				return
			}
			l.fire(now)
		}
	}
}

// idle is how long there is nothing to do without a message; true: for Linger
// at least.
func (l *Loop) idle() (time.Duration, bool) {
	if due, ok := l.timers.next(); ok {
		if wait := time.Until(due); wait < Linger {
			return wait, false
		}
	}
	return Linger, true
}

type loopNext uint8

const (
	loopRuns loopNext = iota
	loopWaits
	loopEnds
)

// take removes the oldest message. A stopped loop ends once it has none.
func (l *Loop) take() (Message, loopNext) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.len() > 0 {
		return l.queue.pop(), loopRuns
	}
	if l.stopped {
		l.running = false
		return nil, loopEnds
	}
	return nil, loopWaits
}

// retire ends the goroutine unless a message slipped in meanwhile. The next
// timer brings it back.
func (l *Loop) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.len() > 0 {
		return false
	}
	l.running = false
	l.queue = ring{} // gives back what a burst needed
	if due, ok := l.timers.next(); ok && !l.stopped {
		l.alarm = time.AfterFunc(time.Until(due), l.ring)
	}
	return true
}

// fire runs the timers that are due, each once at most, so that one that is
// always due cannot keep messages waiting.
func (l *Loop) fire(now time.Time) {
	for range l.timers.Len() {
		t, ok := l.timers.due(now)
		if !ok {
			return
		}
		l.turn(t.do, now)
	}
}

// turn runs one message. A panic costs that message and nothing else.
func (l *Loop) turn(m Message, now time.Time) {
	defer func() {
		if v := recover(); v != nil {
			l.host.panicked(l.index, v)
		}
	}()
	m(now)
}
