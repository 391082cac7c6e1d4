package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/journal"
	"patchbay/cluster/spool"
)

// A step is news of one call: it began, or it is over.
type step struct {
	rec  call.Record
	over bool
}

// A worker takes the steps of its share of the calls, in order. All but its
// channels belongs to its goroutine.
type worker struct {
	ledger *Ledger
	queue  chan step
	back   chan struct{} // holds a token when JetStream is back
	held   map[call.ID]held
}

// A held is a live call of which a worker knows.
type held struct {
	hold journal.Hold
	rec  *call.Record // of an entry that is still to be written
}

// give puts a step into the queue; false: it is full.
func (w *worker) give(s step) bool {
	select {
	case w.queue <- s:
		return true
	default:
		return false
	}
}

// run works until ctx ends, then on what is left. grace outlives ctx for a
// while.
func (w *worker) run(ctx, grace context.Context) {
	l := w.ledger
	for {
		select {
		case s := <-w.queue:
			l.guard(func() { w.do(grace, s) })
		case <-w.back:
			l.guard(func() { w.catchUp(grace) })
		case <-ctx.Done():
			for len(w.queue) > 0 {
				s := <-w.queue
				l.guard(func() { w.do(grace, s) })
			}
			return
		}
	}
}

func (w *worker) do(ctx context.Context, s step) {
	id := s.rec.ID
	if s.over {
		h, ok := w.held[id]
		if !ok {
			h.hold = journal.Unwritten
		}
		delete(w.held, id)
		w.ledger.finish(ctx, s.rec, h.hold)
		return
	}
	if len(w.held) < maxHeld {
		w.held[id] = held{journal.Unwritten, &s.rec}
		w.begin(ctx, id)
	}
}

// begin writes the entry of a live call, unless JetStream is away.
func (w *worker) begin(ctx context.Context, id call.ID) {
	l := w.ledger
	if l.recordsAway.Load() {
		return
	}
	h := w.held[id]
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	hold, err := l.journal.Begin(ctx, *h.rec)
	switch {
	case err == nil:
		w.held[id] = held{hold: hold}
	case errors.Is(err, journal.ErrUnavailable):
		l.away("records", err)
	default:
		l.log.Warn("call has no entry", "call_id", id, "err", err)
		w.held[id] = held{hold: journal.Unwritten}
	}
}

// catchUp writes the entries of calls that began while JetStream was away.
func (w *worker) catchUp(ctx context.Context) {
	for id, h := range w.held {
		if h.rec != nil {
			w.begin(ctx, id)
		}
	}
}

// finish publishes a record or spools it.
func (l *Ledger) finish(ctx context.Context, rec call.Record, hold journal.Hold) {
	if !l.recordsAway.Load() && l.tryFinish(ctx, rec, hold, publishWait, FatePublished) {
		return
	}
	for l.spoolRecord(rec, hold) != nil {
		// Full, or broken: the record waits here, and its followers in the queue.
		if !pause(ctx, fullEvery) {
			l.loseRecord(rec, "not_spooled", nil)
			return
		}
		if l.tryFinish(ctx, rec, hold, publishWait, FatePublished) {
			return
		}
	}
}

// tryFinish publishes a record; false: JetStream did not take it in time.
func (l *Ledger) tryFinish(ctx context.Context, rec call.Record, hold journal.Hold, wait time.Duration, how Fate) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	fresh, err := l.journal.Finish(ctx, rec, hold)
	switch {
	case err == nil && fresh:
		l.record(how, 1)
	case err == nil:
		l.record(FateKnown, 1)
	case errors.Is(err, journal.ErrSuperseded):
		l.record(FateSuperseded, 1)
	case errors.Is(err, journal.ErrRefused):
		l.loseRecord(rec, "refused", err)
	default:
		l.away("records", err)
		return false
	}
	return true
}

// A spooledRecord is a record as the spool holds it.
type spooledRecord struct {
	V      int          `json:"v"`
	Hold   journal.Hold `json:"hold"`
	Record call.Record  `json:"record"`
}

// spoolRecord returns once the record is on the disk.
func (l *Ledger) spoolRecord(rec call.Record, hold journal.Hold) error {
	data, err := json.Marshal(spooledRecord{V: envelope.Version, Hold: hold, Record: rec})
	if err == nil {
		err = l.spool.Append(spool.Records, data)
	}
	if err == nil {
		err = l.spool.Sync()
	}
	if err != nil {
		l.log.Error("record not spooled: it waits in memory", "call_id", rec.ID, "err", err)
		return err
	}
	l.record(FateSpooled, 1)
	return nil
}

func decodeRecord(data []byte) (spooledRecord, error) {
	var r spooledRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("decode spooled record: %w", err)
	}
	if r.V != envelope.Version {
		return r, fmt.Errorf("decode spooled record: of version %d", r.V)
	}
	return r, nil
}

// pause waits, and reports whether it did to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
