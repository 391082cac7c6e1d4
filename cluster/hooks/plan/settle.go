package plan

import (
	"container/heap"
	"slices"
	"time"
)

// A Result is how a try ended.
type Result int

// Results.
const (
	Failed    Result = iota // or nobody can say; the zero Result
	Delivered               // the target took it
	Gone                    // there is no such target any more
)

// A Verdict is what becomes of a delivery after a try. The caller stores it,
// then calls Settle.
type Verdict struct {
	Done bool      // delivered, or nobody's any more: it is to be removed
	Dead bool      // given up
	Next time.Time // else: tried again then
	Down bool      // the target is left alone for a while
}

// Judge says what becomes of a delivery that was tried, and counts the try for
// its target.
func (p *Plan) Judge(d *Delivery, r Result, now time.Time) Verdict {
	t := d.lane.target
	switch r {
	case Delivered:
		t.failures, t.until = 0, time.Time{}
		return Verdict{Done: true}
	case Gone:
		t.failures = 0
		p.giveUp(t, func(*Delivery) bool { return true }, WhyGone)
		return Verdict{Done: true}
	}
	t.failures++
	v := Verdict{}
	if t.failures >= p.terms.BreakAfter {
		t.until = now.Add(p.terms.BreakFor)
		v.Down = true
		over := now.Add(-p.terms.Lifetime())
		p.giveUp(t, func(d *Delivery) bool { return d.Born.Before(over) }, WhySuspended)
	}
	wait, more := p.terms.Wait(d.Tries)
	if !more || now.Sub(d.Born) > p.terms.Lifetime() && d.Tries > 0 {
		v.Dead = true
		return v
	}
	v.Next = now.Add(wait)
	return v
}

// giveUp hands out deliveries of a target that are not under way.
func (p *Plan) giveUp(t *target, which func(*Delivery) bool, why string) {
	for _, l := range t.lanes {
		for _, d := range l.items {
			if !d.taken && which(d) {
				d.taken = true
				p.given = append(p.given, Given{d, why})
			}
		}
	}
}

// Given returns what was given up without a try, once. The caller stores that,
// then calls Settle with a Verdict that says so.
func (p *Plan) Given() (all []Given) {
	all, p.given = p.given, nil
	return all
}

// Settle follows a verdict that is stored.
func (p *Plan) Settle(d *Delivery, v Verdict, now time.Time) {
	if p.all[d.ID] != d {
		return
	}
	l, t := d.lane, d.lane.target
	if l.taken && l.items[0] == d {
		l.taken = false
		t.underway--
		p.underway--
	}
	d.taken = false
	p.unhold(d)
	if v.Done || v.Dead {
		p.forget(d)
	} else {
		d.Tries++
		d.Next = v.Next
	}
	if len(l.items) > 0 {
		p.schedule(l)
	}
	p.queue(t, now)
}

// Return takes a delivery back that was under way and was not tried, or of which
// nobody can say how it ended: it is due again.
func (p *Plan) Return(d *Delivery, now time.Time) {
	if p.all[d.ID] == d {
		tries := d.Tries
		p.Settle(d, Verdict{Next: now}, now)
		d.Tries = tries
	}
}

// unhold ends the guess about one delivery.
func (p *Plan) unhold(d *Delivery) {
	if !d.Held {
		return
	}
	d.Held = false
	rest := slices.DeleteFunc(p.held[d.Lane], func(other *Delivery) bool { return other == d })
	if p.held[d.Lane] = rest; len(rest) == 0 {
		delete(p.held, d.Lane)
	}
}

// forget takes a delivery out, and its lane and target where they are empty and
// nothing is to be remembered of them.
func (p *Plan) forget(d *Delivery) {
	l, t := d.lane, d.lane.target
	delete(p.all, d.ID)
	l.remove(d)
	t.waiting--
	if p.tenants[d.Tenant]--; p.tenants[d.Tenant] == 0 {
		delete(p.tenants, d.Tenant)
	}
	if len(l.items) == 0 {
		if l.at >= 0 {
			heap.Remove(&p.due, l.at)
		}
		if l.ready {
			t.drop(l)
		}
		delete(t.lanes, l.name)
	} else if !l.taken {
		p.schedule(l)
	}
	if t.waiting == 0 && t.failures == 0 {
		delete(p.targets, t.name)
	}
}
