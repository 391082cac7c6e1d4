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
	wheel  [wheelSlots][]due
	began  time.Time // of tick 0: clocks may be set meanwhile, what passes since then is measured
	turned int64     // the last tick that was swept
}

// A due is an ask and its last tick: a sweep that comes late passes slots of the
// turn after, too.
type due struct {
	id   uint64
	tick int64
}

func newPending(limit int, now time.Time) *pending {
	return &pending{limit: limit, waits: make(map[uint64]func(reply)), began: now}
}

func (p *pending) tickOf(t time.Time) int64 { return int64(t.Sub(p.began) / wheelTick) }

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
	// Never into a slot that was swept already: that would wait a whole turn.
	tick := max(p.tickOf(now), p.turned) + ticks + 1
	slot := tick % wheelSlots
	p.wheel[slot] = append(p.wheel[slot], due{p.next, tick})
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
func (p *pending) expire(now time.Time) (over []func(reply)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := p.tickOf(now)
	from := max(p.turned+1, to-wheelSlots+1)
	for tick := from; tick <= to; tick++ {
		slot := &p.wheel[tick%wheelSlots]
		later := (*slot)[:0]
		for _, d := range *slot {
			done := p.waits[d.id]
			switch {
			case done == nil:
			case d.tick > to:
				later = append(later, d)
			default:
				delete(p.waits, d.id)
				over = append(over, done)
			}
		}
		*slot = later
	}
	p.turned = max(p.turned, to)
	return over
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
