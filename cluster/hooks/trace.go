package hooks

import (
	"container/list"

	"patchbay/actors/call"
	"patchbay/internal/bodies"
)

// maxTraces is how many calls of a shard are followed at once; the one least
// recently heard of is forgotten.
const maxTraces = 1 << 16

// ownerStep is where each further owner of a call begins to number its events
// (actors.Bury).
const ownerStep = 1_000_000

// A trace is how far a call's events have come without a gap.
type trace struct {
	id     call.ID
	whole  uint64          // all up to it have come
	beyond map[uint64]bool // that have come before what is between
	ended  bool
	record bool // has come before the end
}

// traces tell which events come before others that are still on their way: the
// stream has them in the order of its own writing, and what waited in a spool
// comes late.
type traces struct {
	calls map[call.ID]*list.Element // of *trace
	order list.List                 // latest first
}

// A place is where an event stands among those of its call.
type place struct{ gap, closes bool }

// note tells an event's place. Of one that is taken up again, because it could
// not be written down, it is what it was.
func (s *shard) note(sequence uint64, ev *bodies.Event) place {
	at, noted := s.noted[sequence]
	if !noted {
		at.gap, at.closes = s.trace.note(ev)
		s.noted[sequence] = at
	}
	return at
}

// note takes an event. gap: others of the call are to come before it; closes:
// what waited for it need not wait any more.
func (t *traces) note(ev *bodies.Event) (gap, closes bool) {
	record := ev.Type == bodies.EventRecord
	if ev.Call == 0 || ev.Seq == 0 && !record {
		return false, false
	}
	c, known := t.find(ev.Call)
	switch {
	case record && !known:
		return false, false
	case record:
		c.record = !c.ended
		if c.ended {
			t.drop(ev.Call)
		}
		return c.record, false
	case !known:
		c = t.add(ev.Call, ev.Seq-1)
	}
	return c.event(ev.Seq, ev.Type == call.EventEnded)
}

func (c *trace) event(seq uint64, ends bool) (gap, closes bool) {
	if seq > c.whole+1 && (seq-1)%ownerStep == 0 { // of another owner: what its last had in hand may never come
		c.whole = seq - 1
	}
	switch {
	case seq <= c.whole:
		return false, false
	case seq > c.whole+1:
		if c.beyond == nil {
			c.beyond = map[uint64]bool{}
		}
		c.beyond[seq] = ends
		return true, false
	}
	c.whole, c.ended = seq, c.ended || ends
	closes = len(c.beyond) > 0
	for {
		ended, there := c.beyond[c.whole+1]
		if !there {
			break
		}
		delete(c.beyond, c.whole+1)
		c.whole, c.ended = c.whole+1, c.ended || ended
	}
	return false, closes || c.ended && c.record
}

func (t *traces) find(id call.ID) (*trace, bool) {
	el, ok := t.calls[id]
	if !ok {
		return nil, false
	}
	t.order.MoveToFront(el)
	return el.Value.(*trace), true
}

func (t *traces) add(id call.ID, whole uint64) *trace {
	if t.calls == nil {
		t.calls = map[call.ID]*list.Element{}
	}
	if t.order.Len() >= maxTraces {
		t.drop(t.order.Back().Value.(*trace).id)
	}
	c := &trace{id: id, whole: whole}
	t.calls[id] = t.order.PushFront(c)
	return c
}

func (t *traces) drop(id call.ID) {
	if el, ok := t.calls[id]; ok {
		t.order.Remove(el)
		delete(t.calls, id)
	}
}
