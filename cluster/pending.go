package cluster

import (
	"sync"
	"time"
)

// The wheel: deadlines are kept to within one tick, and none may lie further
// ahead than its rim.
const (
	wheelTick  = 10 * time.Millisecond
	wheelSlots = 1024 // 10.24 s
)

// A reply is what an ask ends with: a message's data, or an error.
type reply struct {
	data []byte
	err  error
}

// pending is the table of asks that wait for their answer: bounded, with one
// coarse wheel of deadlines instead of one timer each. Time is an argument.
type pending struct {
	mu     sync.Mutex
	limit  int
	next   uint64
	waits  map[uint64]func(reply)
	wheel  [wheelSlots][]uint64
	turned int64 // the last tick that was swept
}

func newPending(limit int, now time.Time) *pending {
	return &pending{limit: limit, waits: make(map[uint64]func(reply)), turned: tickOf(now)}
}

func tickOf(t time.Time) int64 { return t.UnixNano() / int64(wheelTick) }

// add registers done under a new id, to be expired after wait at the earliest
// and one tick later at the latest. It reports false when the table is full.
func (p *pending) add(now time.Time, wait time.Duration, done func(reply)) (id uint64, ok bool) {
	ticks := min(max(int64((wait+wheelTick-1)/wheelTick), 1), wheelSlots-2)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waits) >= p.limit {
		return 0, false
	}
	p.next++
	p.waits[p.next] = done
	// Never into a slot that was swept already: that would wait a whole turn. And
	// never a whole turn ahead of the sweep, which may be late: it would come there
	// at once.
	slot := min(max(tickOf(now), p.turned)+ticks+1, p.turned+wheelSlots-1) % wheelSlots
	p.wheel[slot] = append(p.wheel[slot], p.next)
	return p.next, true
}

// take removes id and returns its done, or nil: it was answered or has expired.
func (p *pending) take(id uint64) func(reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.waits[id]
	delete(p.waits, id)
	return done
}

// expire returns what is due at now. It sweeps each slot of the wheel at most
// once, however long nobody called it.
func (p *pending) expire(now time.Time) (due []func(reply)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := tickOf(now)
	from := max(p.turned+1, to-wheelSlots+1)
	for tick := from; tick <= to; tick++ {
		slot := tick % wheelSlots
		for _, id := range p.wheel[slot] {
			if done := p.waits[id]; done != nil {
				delete(p.waits, id)
				due = append(due, done)
			}
		}
		p.wheel[slot] = p.wheel[slot][:0]
	}
	p.turned = max(p.turned, to)
	return due
}

// drain returns all that wait, and leaves the table full for ever.
func (p *pending) drain() (all []func(reply)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, done := range p.waits {
		all = append(all, done)
		delete(p.waits, id)
	}
	p.limit = 0
	return all
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waits)
}
