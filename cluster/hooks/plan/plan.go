package plan

import (
	"container/heap"
	"time"
)

// A Plan is all that waits for the targets that one node serves. It takes one
// caller at a time.
type Plan struct {
	terms    Terms
	targets  map[string]*target
	tenants  map[string]int // deliveries of each
	all      map[string]*Delivery
	held     map[string][]*Delivery // by lane: what waits for a guess
	due      dueHeap
	ring     []*target // with something ready, in turn
	asleep   []*target // left alone, with something ready
	underway int
	given    []Given
}

// A Given is a delivery that is given up without another try.
type Given struct {
	*Delivery
	Why string
}

// Why deliveries are given up without another try.
const (
	WhyTooMany   = "backlog"   // more waited than may
	WhySuspended = "suspended" // its time was over while the target was left alone
	WhyGone      = "gone"      // there is no such target any more
)

// New returns an empty plan.
func New(terms Terms) *Plan {
	return &Plan{terms: terms, targets: map[string]*target{}, tenants: map[string]int{}, all: map[string]*Delivery{}, held: map[string][]*Delivery{}}
}

// Len is how many deliveries wait, those under way among them; UnderWay is how
// many those are.
func (p *Plan) Len() int { return len(p.all) }

// UnderWay is how many deliveries are being sent.
func (p *Plan) UnderWay() int { return p.underway }

// Open is how many targets are left alone.
func (p *Plan) Open(now time.Time) (n int) {
	for _, t := range p.targets {
		if t.open(&p.terms, now) {
			n++
		}
	}
	return n
}

// Oldest is when the event happened that has waited longest; zero: none waits.
func (p *Plan) Oldest() (at time.Time) {
	for _, d := range p.all {
		if at.IsZero() || d.Born.Before(at) {
			at = d.Born
		}
	}
	return at
}

// Has reports whether a delivery waits, or is under way.
func (p *Plan) Has(id string) bool { return p.all[id] != nil }

// Room reports whether a target of a tenant may have n deliveries more.
func (p *Plan) Room(tenant, name string, n int) bool {
	waiting := 0
	if t := p.targets[nameOf(tenant, name)]; t != nil {
		waiting = t.waiting
	}
	return p.tenants[tenant]+n <= p.terms.PerTenant && waiting+n <= p.terms.Waiting
}

// Add puts a delivery into the plan. One that is there already stays as it is.
func (p *Plan) Add(d *Delivery) {
	if p.all[d.ID] != nil {
		return
	}
	name := nameOf(d.Tenant, d.Target)
	t := p.targets[name]
	if t == nil {
		t = &target{name: name, lanes: map[string]*lane{}}
		p.targets[name] = t
	}
	l := t.lanes[d.Lane]
	if l == nil {
		l = &lane{target: t, name: d.Lane, at: -1}
		t.lanes[d.Lane] = l
	}
	l.put(d)
	p.all[d.ID] = d
	p.tenants[d.Tenant]++
	t.waiting++
	if d.Held {
		p.held[d.Lane] = append(p.held[d.Lane], d)
	}
	p.schedule(l)
}

// Release ends the guesses about a lane, whatever its target: what they waited
// for has come.
func (p *Plan) Release(lane string, now time.Time) {
	held := p.held[lane]
	delete(p.held, lane)
	for _, d := range held {
		if d.Held && p.all[d.ID] == d && d.Next.After(now) {
			d.Held, d.Next = false, now
			p.schedule(d.lane)
		}
	}
}

// schedule puts a lane where its head belongs: among those that are due at some
// time. One that is under way, or ready, is left alone.
func (p *Plan) schedule(l *lane) {
	if l.taken || len(l.items) == 0 {
		return
	}
	if l.ready { // its head may have changed
		l.target.drop(l)
	}
	l.due = l.items[0].Next
	if l.at >= 0 {
		heap.Fix(&p.due, l.at)
		return
	}
	heap.Push(&p.due, l)
}

// drop takes a lane off the list of those that are ready.
func (t *target) drop(l *lane) {
	l.ready = false
	for i, other := range t.ready {
		if other == l {
			t.ready = append(t.ready[:i], t.ready[i+1:]...)
			return
		}
	}
}

// Start returns what is to be sent now. Each is under way until Settle.
func (p *Plan) Start(now time.Time) (out []*Delivery) {
	p.wake(now)
	for len(p.due) > 0 && !p.due[0].due.After(now) {
		l := heap.Pop(&p.due).(*lane)
		l.ready = true
		l.target.ready = append(l.target.ready, l)
		p.queue(l.target, now)
	}
	for p.underway < p.terms.AtOnce && len(p.ring) > 0 {
		t := p.ring[0]
		p.ring = p.ring[1:]
		t.queued = false
		if len(t.ready) == 0 || !t.room(&p.terms, now) {
			p.queue(t, now)
			continue
		}
		l := t.ready[0]
		t.ready = t.ready[1:]
		d := l.items[0]
		if l.ready = false; d.taken { // given up: Settle brings the lane back
			p.queue(t, now)
			continue
		}
		d.taken, l.taken = true, true
		t.underway++
		p.underway++
		out = append(out, d)
		p.queue(t, now)
	}
	return out
}

// queue gives a target its turn, if it has something ready and room for it. One
// that is left alone is looked at when that is over, one without room when
// something of it is settled.
func (p *Plan) queue(t *target, now time.Time) {
	switch {
	case t.queued || len(t.ready) == 0:
	case t.room(&p.terms, now):
		t.queued = true
		p.ring = append(p.ring, t)
	case t.open(&p.terms, now) && !t.asleep:
		t.asleep = true
		p.asleep = append(p.asleep, t)
	}
}

// wake queues the targets that were left alone for long enough.
func (p *Plan) wake(now time.Time) {
	still := p.asleep[:0]
	for _, t := range p.asleep {
		if t.open(&p.terms, now) {
			still = append(still, t)
			continue
		}
		t.asleep = false
		p.queue(t, now)
	}
	clear(p.asleep[len(still):])
	p.asleep = still
}

// Next is when Start has something new, unless something is added or settled
// before; zero: not by time.
func (p *Plan) Next() (at time.Time) {
	if len(p.due) > 0 {
		at = p.due[0].due
	}
	for _, t := range p.asleep {
		if at.IsZero() || t.until.Before(at) {
			at = t.until
		}
	}
	return at
}
