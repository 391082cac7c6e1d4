package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
)

// settling is how long a tombstone is left to the node that wrote it. To
// publish it sooner would do no harm, only work.
const settling = 5 * time.Second

// What is read of the bucket at once.
const (
	sweepBatch = 256     // entries of a sweep
	sweepBytes = 4 << 20 // likewise
	findBatch  = 64      // entries of calls that are known by id
)

// A Sweep is what a look at the bucket came to.
type Sweep struct {
	Published int    // records of tombstones left behind
	Known     int    // tombstones whose record was there
	Young     int    // tombstones left to their nodes for now: look again in 5 s
	Unread    int    // entries that make no sense
	Left      []Left // live calls that were asked for

	stuck error // of the first record that could not be published: no other is tried
}

// A Left is the entry of a live call as it was found.
type Left struct {
	Entry
	Revision uint64
}

// Sweep publishes the records of tombstones that nobody has published for
// 5 s: their nodes died between two steps. It also returns the entries of live
// calls whose head wanted asks for; nil: none. Those it finds all the same where
// a record cannot be published: RECORDS may be full. The error says so then, and
// else that the bucket cannot be read.
func (j *Journal) Sweep(ctx context.Context, now time.Time, wanted func(Head) bool) (s Sweep, err error) {
	for seq := uint64(1); ; {
		page, err := lookup.Many(ctx, j.nc, bucket, lookup.Query{Next: keyspace + "c.*", Sequence: seq, Batch: sweepBatch, MaxBytes: sweepBytes})
		if err != nil {
			return s, fmt.Errorf("sweep: %w", unread(err))
		}
		for _, m := range page {
			j.sweepOne(ctx, now, m, wanted, &s)
		}
		if len(page) == 0 || page[len(page)-1].At.After(now) { // what is written from now on is nobody's yet
			break
		}
		seq = page[len(page)-1].Sequence + 1
	}
	if s.stuck != nil {
		return s, fmt.Errorf("sweep: %w", s.stuck)
	}
	return s, nil
}

func (j *Journal) sweepOne(ctx context.Context, now time.Time, m lookup.Message, wanted func(Head) bool, s *Sweep) {
	if m.Marker != "" {
		return
	}
	h, err := peek(m.Data)
	switch {
	case err != nil:
		s.Unread++
		return
	case h.State == Live && (wanted == nil || !wanted(h)):
		return
	case h.State == Ended && now.Sub(m.At) < settling:
		s.Young++
		return
	case h.State == Ended && s.stuck != nil:
		return
	}
	e, err := j.read(m)
	switch {
	case err != nil:
		s.Unread++
	case e.State == Live:
		s.Left = append(s.Left, Left{*e, m.Sequence})
	default:
		j.overdue(ctx, e.Record, m.Sequence, s)
	}
}

// overdue publishes the record of a tombstone that was left behind.
func (j *Journal) overdue(ctx context.Context, rec call.Record, rev uint64, s *Sweep) {
	switch fresh, err := j.complete(ctx, rec, rev); {
	case err != nil:
		s.stuck = err
	case fresh:
		s.Published++
	default:
		s.Known++
	}
}

// read decodes a message of the bucket.
func (j *Journal) read(m lookup.Message) (*Entry, error) {
	id, err := call.ParseID(strings.TrimPrefix(m.Subject, keyspace+"c."))
	if err != nil {
		return nil, fmt.Errorf("%w: no key of a call", ErrRefused)
	}
	return j.decodeEntry(id, m.Data)
}

// Find returns the entries of those calls that are live and whose head wanted
// asks for, as any replica has them: the newest may be missing.
func (j *Journal) Find(ctx context.Context, ids []call.ID, wanted func(Head) bool) (left []Left, err error) {
	for chunk := range slices.Chunk(ids, findBatch) {
		q := lookup.Query{Last: make([]string, len(chunk))}
		for i, id := range chunk {
			q.Last[i] = keyspace + subject.KeyCall(id)
		}
		page, err := lookup.Many(ctx, j.nc, bucket, q)
		if err != nil {
			return left, fmt.Errorf("find calls: %w", unread(err))
		}
		for _, m := range page {
			h, err := peek(m.Data)
			if m.Marker != "" || err != nil || h.State != Live || !wanted(h) {
				continue
			}
			if e, err := j.read(m); err == nil {
				left = append(left, Left{*e, m.Sequence})
			}
		}
	}
	return left, nil
}

// Claim makes a live call this node's, in the next epoch: what its owner may
// still have to say about it comes too late. Only the entry that was found is
// replaced. The error wraps ErrSuperseded where another was faster, or the
// owner has written meanwhile.
func (j *Journal) Claim(ctx context.Context, l Left) (Hold, error) {
	id := l.Record.ID
	hold := Hold{Epoch: l.Epoch + 1}
	e := j.entry(Live, hold.Epoch, l.Record)
	if e.Snapshot = l.Snapshot; e.Snapshot == nil { // of version 1: nothing but its record is known
		e.Snapshot = &actors.Snapshot{Record: l.Record, Dialog: json.RawMessage("null")}
	}
	rev, err := j.put(ctx, l.Revision, e, entryTTL)
	if errors.Is(err, errRevision) { // perhaps by an earlier attempt of ours
		var h *Head
		if h, rev, err = j.head(ctx, id); err == nil && (rev == 0 || !j.ours(h, hold.Epoch)) {
			err = ErrSuperseded
		}
	}
	if err != nil {
		return hold, about("claim", id, err)
	}
	hold.Revision = rev
	return hold, nil
}

// NodeLost is the record of a call that died with its node, as far as its
// entry knew it.
func NodeLost(rec call.Record, now time.Time) call.Record {
	rec.Cause, rec.EndedBy, rec.Stages.Ended = call.CauseNodeLost, call.ByNode, now
	return rec
}

// Restore puts an entry back that an earlier start of this node could not
// write, unless the bucket knows more of the call.
func (j *Journal) Restore(ctx context.Context, s *actors.Snapshot, hold Hold, boot uint64) error {
	e := j.entry(Live, hold.Epoch, s.Record)
	e.Snapshot, e.Boot = s, boot
	if _, err := j.put(ctx, hold.Revision, e, entryTTL); err != nil && !errors.Is(err, errRevision) {
		return about("restore", s.Record.ID, err)
	}
	return nil
}
