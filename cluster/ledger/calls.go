package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/journal"
	"patchbay/cluster/spool"
	"patchbay/internal/pause"
)

// A step is news of one call: how it stands, where its entry stands, or that it
// is over. One field beside id is set.
type step struct {
	id       call.ID
	snapshot *actors.Snapshot
	hold     *journal.Hold
	rec      *call.Record
}

// A worker takes the steps of its share of the calls, in order. All but its
// channels belongs to its goroutine.
type worker struct {
	ledger *Ledger
	queue  chan step
	back   chan struct{} // holds a token when JetStream is back
	check  chan struct{} // holds a token when it is to be looked whose the calls are
	held   map[call.ID]*held
	due    []call.ID // calls whose snapshot is to be written, in order
}

// A held is a live call of which a worker knows.
type held struct {
	hold    journal.Hold
	pending *actors.Snapshot // the latest that is still to be written
	queued  bool             // in due
}

// give puts a step into the queue; false: it is full.
func (w *worker) give(s step) bool {
	w.ledger.unwritten.Add(1)
	select {
	case w.queue <- s:
		return true
	default:
		w.ledger.unwritten.Add(-1)
		return false
	}
}

// run works until ctx ends, then on what is left. grace outlives ctx for a
// while. Steps that wait are taken before anything is written, so that of
// several snapshots of a call only the last is, and none of one that is over.
func (w *worker) run(ctx, grace context.Context) {
	l := w.ledger
	for ctx.Err() == nil {
		if len(w.due) > 0 && len(w.queue) == 0 {
			l.guard(func() { w.write(grace) })
			continue
		}
		select {
		case s := <-w.queue:
			l.guard(func() { w.do(grace, s) })
		case <-w.back:
			l.guard(w.catchUp)
		case <-w.check:
			l.guard(func() { w.look(grace) })
		case <-ctx.Done():
		}
	}
	for len(w.queue) > 0 {
		s := <-w.queue
		l.guard(func() { w.do(grace, s) })
	}
	for len(w.due) > 0 {
		l.guard(func() { w.write(grace) })
	}
}

func (w *worker) do(ctx context.Context, s step) {
	defer w.ledger.unwritten.Add(-1)
	h := w.held[s.id]
	if s.rec != nil {
		delete(w.held, s.id)
		hold := journal.Unwritten
		if h != nil {
			hold = h.hold
		}
		w.ledger.finish(ctx, *s.rec, hold)
		return
	}
	if h == nil {
		if len(w.held) >= maxHeld && s.hold == nil { // what was claimed ends soon
			return
		}
		h = &held{hold: journal.Unwritten}
		w.held[s.id] = h
	}
	if s.hold != nil {
		h.hold = *s.hold
		return
	}
	h.pending = s.snapshot
	w.plan(s.id, h)
}

// plan puts a call behind those whose snapshot is to be written.
func (w *worker) plan(id call.ID, h *held) {
	if !h.queued {
		h.queued = true
		w.due = append(w.due, id)
	}
}

// write writes the snapshot that is due first. While JetStream is away it goes
// to the spool, for the node's next start, and is written when JetStream is
// back.
func (w *worker) write(ctx context.Context) {
	id := w.due[0]
	w.due = w.due[1:]
	h := w.held[id]
	if h == nil || h.pending == nil {
		return
	}
	h.queued = false
	l := w.ledger
	if l.recordsAway.Load() {
		l.spoolSnapshot(h)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	hold, err := l.journal.Keep(ctx, h.pending, h.hold)
	switch {
	case err == nil:
		h.hold, h.pending = hold, nil
	case errors.Is(err, journal.ErrSuperseded):
		w.superseded(id)
	case errors.Is(err, journal.ErrUnavailable):
		l.away("records", err)
		l.spoolSnapshot(h)
	default:
		l.log.Warn("call has no entry", "call_id", id, "err", err)
		h.pending = nil
	}
}

// superseded lets go of a call that another node has claimed.
func (w *worker) superseded(id call.ID) {
	delete(w.held, id)
	w.ledger.log.Warn("another node has claimed a call of this one: it is let go", "call_id", id)
	if w.ledger.cfg.Release != nil {
		w.ledger.cfg.Release(id)
	}
}

// catchUp writes the snapshots that came while JetStream was away.
func (w *worker) catchUp() {
	for id, h := range w.held {
		if h.pending != nil {
			w.plan(id, h)
		}
	}
}

// look asks whose the live calls are, and lets go of those that are another
// node's. What cannot be asked is asked again when JetStream is back.
func (w *worker) look(ctx context.Context) {
	l := w.ledger
	for id, h := range w.held {
		if len(w.queue) >= maxWork/2 { // what comes in is more urgent: later
			l.Check()
			return
		}
		if h.hold.Revision == 0 {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, publishWait)
		ours, err := l.journal.Held(ask, id, h.hold)
		cancel()
		switch {
		case errors.Is(err, journal.ErrUnavailable):
			l.away("records", err)
			l.unchecked.Store(true)
			return
		case err == nil && !ours:
			w.superseded(id)
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
		if !pause.For(ctx, fullEvery) {
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
	case err == nil && fresh && rec.Cause == call.CauseNodeLost:
		l.record(FateNodeLost, 1)
	case err == nil && fresh:
		l.record(how, 1)
	case err == nil:
		l.record(FateKnown, 1)
	case errors.Is(err, journal.ErrSuperseded):
		l.log.Warn("record not published: another node has claimed the call", "call_id", rec.ID)
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
		err = l.spool.Keep(spool.Records, data)
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
