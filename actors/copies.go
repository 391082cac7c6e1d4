package actors

import (
	"sync"
	"time"

	"patchbay/actors/call"
)

// Bounds of what a node tells the others of its young calls.
const (
	// maxYoung is how many calls are told; beyond it the oldest is left out.
	maxYoung = 4096
	// youngSlack is how much longer than 64*T1 a copy of an INVITE may begin a
	// call elsewhere: deciders and media nodes are asked again while they are
	// silent.
	youngSlack = 8 * time.Second
)

// A Copy is a young call, of whose INVITE another node may have a copy.
type Copy struct {
	ID  call.ID
	Key call.TransactionKey
	call.Mark
}

// young are the calls that began here in the last 64*T1 and a little more.
type young struct {
	keep time.Duration
	mu   sync.Mutex
	all  map[uint64]*Copy
	ages []aged // oldest first; those that are gone stay until their turn

	again []uint64 // digests to be told once more, at most maxYoung
}

type aged struct {
	copy  *Copy
	until time.Time
}

func (y *young) enter(now time.Time, c *Copy) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.expire(now)
	if len(y.ages) >= maxYoung {
		y.forgetOldest()
	}
	if y.all == nil {
		y.all = make(map[uint64]*Copy)
	}
	y.all[c.Digest] = c
	y.ages = append(y.ages, aged{c, now.Add(y.keep)})
}

// settle notes that the carrier has acknowledged the call, or that it is over.
func (y *young) settle(c *Copy) {
	y.mu.Lock()
	defer y.mu.Unlock()
	c.Settled = true
}

// forget leaves a call out that is another node's.
func (y *young) forget(c *Copy) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.all[c.Digest] == c {
		delete(y.all, c.Digest)
	}
}

func (y *young) expire(now time.Time) {
	for len(y.ages) > 0 && !now.Before(y.ages[0].until) {
		y.forgetOldest()
	}
	if len(y.ages) == 0 {
		y.ages, y.all = nil, nil
	}
}

func (y *young) forgetOldest() {
	oldest := y.ages[0].copy
	if y.all[oldest.Digest] == oldest {
		delete(y.all, oldest.Digest)
	}
	y.ages[0] = aged{}
	y.ages = y.ages[1:]
}

func (y *young) marks(now time.Time) []call.Mark {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.expire(now)
	marks := make([]call.Mark, 0, len(y.all))
	for _, c := range y.all {
		marks = append(marks, c.Mark)
	}
	return marks
}

func (y *young) find(digest uint64) (Copy, bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if c := y.all[digest]; c != nil {
		return *c, true
	}
	return Copy{}, false
}

// Young returns the marks of calls that began here not long ago, those among
// them that are over. It is what a media node reports.
func (c *Calls) Young() []call.Mark { return c.young.marks(time.Now()) }

// Insist has the others told of a young call once more, at once: one of them
// has a copy of it that is to yield.
func (c *Calls) Insist(digest uint64) {
	c.young.mu.Lock()
	if len(c.young.again) < maxYoung {
		c.young.again = append(c.young.again, digest)
	}
	c.young.mu.Unlock()
	c.census.notify()
}

// Again returns the digests that Insist was called with since it was asked last.
func (c *Calls) Again() []uint64 {
	c.young.mu.Lock()
	defer c.young.mu.Unlock()
	again := c.young.again
	c.young.again = nil
	return again
}

// Copy returns the young call of that digest.
func (c *Calls) Copy(digest uint64) (Copy, bool) { return c.young.find(digest) }

// Yield ends a call because another node has a copy of it that comes before it
// (design D4): without a word to a carrier that has no answer yet, which gets
// its answer from the other copy; with a BYE to one that has ours. A call that
// has been answered stays, unless the other one is settled: the carrier's ACK
// may be on its way, and whoever has it settles the matter. Its record says
// merged_request. One that is not here is no error.
func (c *Calls) Yield(id call.ID, otherSettled bool) {
	a := c.index.get(id)
	if a == nil {
		return
	}
	// ErrStopped: the call has ended with its host.
	_ = a.loop.Post(func(now time.Time) { a.yield(now, otherSettled) })
}

func (a *actor) yield(now time.Time, otherSettled bool) {
	answered := a.machine.Call.Record().Status/100 == 2
	if a.over || a.gone || answered && !otherSettled {
		return
	}
	a.yielded = true
	if a.calls.observer.Yielded != nil {
		a.calls.observer.Yielded(a.id)
	}
	if a.machine.Call.Record().Status == 0 && a.job.Dial == nil {
		a.machine.Dialog = silent{a.machine.Dialog}
	}
	a.happen(now, call.Event{Kind: call.Hangup, Cause: call.CauseMergedRequest})
}

// acknowledged notes the first time that the carrier has acknowledged the call.
func (a *actor) acknowledged() {
	if a.settled || a.machine.Call.State() != call.StateEstablished {
		return
	}
	a.settled = true
	if a.copy != nil {
		a.calls.young.settle(a.copy)
		a.calls.census.notify()
	}
}

// outlived leaves behind what the others should know of a call that is over: a
// copy that comes later ends if the carrier has had this call, or has given it
// up. One that failed by itself speaks for nobody: its answer may have reached
// nobody, and another copy be the carrier's call.
func (a *actor) outlived() {
	if a.copy == nil {
		return // it began elsewhere
	}
	heard := a.settled || a.machine.Call.Record().EndedBy == call.ByCarrier
	if heard && !a.yielded && !a.released {
		a.calls.young.settle(a.copy)
		return
	}
	a.calls.young.forget(a.copy)
}
