package actors

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A Cap is a limit that an outgoing call counts against.
type Cap struct {
	What      string       // for people: account, trunk
	Key       endpoint.Key // under which media nodes report its calls
	Calls     int          // at once; 0: no limit
	PerSecond int          // begun; 0: no limit
}

// A Full says that a cap has no room for one more call.
type Full struct {
	What string // of the Cap
	Rate bool   // too many in a second; else too many at once
}

// Error implements error.
func (f *Full) Error() string { return f.What + " has no room for another call" }

// A Placer gives calls that we place to media nodes, within their caps. It
// counts what media nodes report, and what itself has placed since: several
// Placers may together exceed a cap by what each placed in the same moment.
type Placer struct {
	intake Intake
	load   Load
	beats  BeatCounter
	quotas projects
	began  time.Time
	swept  atomic.Int64 // when, nanoseconds after began
}

// NewPlacer returns a Placer. beats may be nil.
func NewPlacer(intake Intake, load Load, beats BeatCounter) *Placer {
	return &Placer{intake: intake, load: load, beats: beats, began: time.Now()}
}

// Place offers the job of an outgoing call, and returns what became of it. A
// *[Full]: a cap has no room. [ErrBusy]: no media node takes it now. Any other
// error says that the job could not be sent.
func (p *Placer) Place(ctx context.Context, job Job, caps []Cap) (Taken, error) {
	now := time.Now()
	p.sweep(now)
	for i, c := range caps {
		if full := p.take(now, c, job.Key); full != nil {
			p.settle(caps[:i], func(q *quota) { q.release(job.Key) })
			return Taken{}, full
		}
	}
	type result struct {
		taken Taken
		err   error
	}
	answer := make(chan result, 1)
	p.intake.Offer(ctx, job, func(t Taken, err error) { answer <- result{t, err} })
	var r result
	select {
	case r = <-answer:
	case <-ctx.Done(): // its place stays reserved for a while: a call may come of it
		return Taken{}, fmt.Errorf("place call: %w", ctx.Err())
	}
	switch {
	case r.err != nil:
		return Taken{}, fmt.Errorf("place call: %w", r.err)
	case r.taken.Status != 0:
		p.settle(caps, func(q *quota) { q.release(job.Key) })
		if r.taken.Status == 503 {
			return r.taken, fmt.Errorf("place call: %w", ErrBusy)
		}
		return r.taken, nil
	}
	p.settle(caps, func(q *quota) { q.confirm(time.Now(), job.Key, r.taken, p.beats) })
	return r.taken, nil
}

// Claim counts a call that the media node of that name places itself, if each
// cap has room for one more; else it is a *[Full].
func (p *Placer) Claim(job Job, node string, caps []Cap) error {
	now := time.Now()
	p.sweep(now)
	for i, c := range caps {
		if full := p.take(now, c, job.Key); full != nil {
			p.settle(caps[:i], func(q *quota) { q.release(job.Key) })
			return full
		}
	}
	p.settle(caps, func(q *quota) { q.confirm(now, job.Key, Taken{ID: job.Dial.ID, Node: node}, p.beats) })
	return nil
}

// take reserves a place, or says that there is none.
func (p *Placer) take(now time.Time, c Cap, tx call.TransactionKey) (full *Full) {
	p.quotas.with(c.Key, func(q *quota) {
		if c.PerSecond > 0 && !q.rate.Allows(now, c.PerSecond) {
			full = &Full{What: c.What, Rate: true}
			return
		}
		if n, _ := q.count(now, c.Key, p.load, p.beats); c.Calls > 0 && n >= c.Calls {
			full = &Full{What: c.What}
			return
		}
		if c.PerSecond > 0 {
			q.rate.Take(now, c.PerSecond)
		}
		q.admit(now, tx)
	})
	return full
}

func (p *Placer) settle(caps []Cap, do func(*quota)) {
	for _, c := range caps {
		p.quotas.with(c.Key, do)
	}
}

// sweep forgets quotas that are not in use, now and then.
func (p *Placer) sweep(now time.Time) {
	last, at := p.swept.Load(), int64(now.Sub(p.began))
	if at-last >= int64(sweepEvery) && p.swept.CompareAndSwap(last, at) {
		p.quotas.sweep(now)
	}
}
