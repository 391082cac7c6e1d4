package cluster

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestEachAskEndsOnceAndNoEarlierThanItsTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		p := newPending(64, now)
		type ask struct {
			due   time.Time
			ended int
		}
		asks := map[uint64]*ask{}
		waiting := 0
		rt.Repeat(map[string]func(*rapid.T){
			"ask": func(rt *rapid.T) {
				wait := time.Duration(rapid.IntRange(0, 5000).Draw(rt, "wait ms")) * time.Millisecond
				a := &ask{due: now.Add(wait)}
				id, ok := p.add(now, wait, func(reply) { a.ended++ })
				if ok != (waiting < 64) {
					rt.Fatalf("add says %v with %d of 64 waiting", ok, waiting)
				}
				if ok {
					asks[id] = a
					waiting++
				}
			},
			"answer": func(rt *rapid.T) {
				id := uint64(rapid.IntRange(1, 200).Draw(rt, "id"))
				if done := p.take(id); done != nil {
					done(reply{})
					waiting--
				}
			},
			"time": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "ms")) * time.Millisecond)
				for _, done := range p.expire(now) {
					done(reply{err: errSilence})
					waiting--
				}
				for id, a := range asks {
					if a.ended == 0 && now.Sub(a.due) > 3*wheelTick {
						rt.Fatalf("ask %d waits %v past its time", id, now.Sub(a.due))
					}
				}
			},
			"": func(rt *rapid.T) {
				for id, a := range asks {
					if a.ended > 1 {
						rt.Fatalf("ask %d ended %d times", id, a.ended)
					}
				}
				if p.len() != waiting {
					rt.Fatalf("%d wait, want %d", p.len(), waiting)
				}
			},
		})
	})
}

func TestALongAskIsNotEndedAtOnceWhileTheSweepIsLate(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{placeTime, time.Hour} {
		for late := range 100 {
			now := time.Unix(1_700_000_000, 0)
			p := newPending(1, now)
			now = now.Add(time.Duration(late) * wheelTick)
			p.add(now, wait, func(reply) {})
			if due := p.expire(now.Add(placeTime - wheelTick)); len(due) != 0 {
				t.Fatalf("an ask of %v, made %d ticks after the last sweep, ended early", wait, late)
			}
			if due := p.expire(now.Add(wheelSlots * wheelTick)); len(due) != 1 {
				t.Fatalf("an ask of %v is not ended after a turn", wait)
			}
		}
	}
}

func TestAnAskIsNotEndedEarly(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 3)
	p := newPending(1, now)
	p.add(now, 150*time.Millisecond, func(reply) {})
	if due := p.expire(now.Add(149 * time.Millisecond)); len(due) != 0 {
		t.Error("ended after 149 of 150 ms")
	}
	if due := p.expire(now.Add(150*time.Millisecond + 2*wheelTick)); len(due) != 1 {
		t.Error("not ended two ticks after its time")
	}
}

func TestARingForgetsItsOldestEntry(t *testing.T) {
	t.Parallel()
	r := newRing[int, int](3)
	for i := range 5 {
		r.put(i, i)
		r.put(i, 10*i)
	}
	for i := range 5 {
		v, ok := r.get(i)
		if ok != (i >= 2) || ok && v != 10*i {
			t.Errorf("entry %d: %d, %v", i, v, ok)
		}
	}
	if len(r.keys) != 3 {
		t.Errorf("the ring has %d places, want 3", len(r.keys))
	}
}
