package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
)

// Keep writes the snapshot of a live call over the entry that hold names: all
// that another node needs to take the call over, and what its record would say.
// The error wraps ErrUnavailable, or ErrSuperseded where the call is over or
// another node's.
func (j *Journal) Keep(ctx context.Context, s *actors.Snapshot, hold Hold) (Hold, error) {
	id := s.Record.ID
	e := j.entry(Live, hold.Epoch, s.Record)
	e.Snapshot = s
	for range endTries {
		rev, err := j.put(ctx, hold.Revision, e, entryTTL)
		if err == nil {
			hold.Revision = rev
			return hold, nil
		}
		if !errors.Is(err, errRevision) {
			return hold, about("keep", id, err)
		}
		h, at, err := j.head(ctx, id)
		switch {
		case err != nil:
			return hold, about("keep", id, err)
		case at == 0: // it has expired, or the bucket is new
			hold.Revision = 0
		case !j.ours(h, hold.Epoch) || h.State != Live:
			return hold, about("keep", id, ErrSuperseded)
		default: // an earlier attempt has landed
			hold.Revision = at
		}
	}
	return hold, about("keep", id, fmt.Errorf("%w: the entry kept changing", ErrUnavailable))
}

// ours reports that this process wrote the entry, as owner of that epoch. nil:
// there is none any more.
func (j *Journal) ours(h *Head, epoch uint64) bool {
	return h != nil && h.Epoch == epoch && h.Node == j.cfg.Node && h.Boot == j.cfg.Boot
}

// Held reports whether a live call is still this node's, as the leader has it.
// An entry that was never written says nothing against it.
func (j *Journal) Held(ctx context.Context, id call.ID, hold Hold) (bool, error) {
	h, at, err := j.head(ctx, id)
	if err != nil {
		return false, about("look for", id, err)
	}
	return at == 0 || j.ours(h, hold.Epoch), nil
}

// End turns a call's entry into a tombstone that holds its record, and returns
// the revision of that; 0 where the call needs none any more. Only the entry
// that hold names is replaced, or one that this node wrote without hearing of
// its success. The error wraps ErrSuperseded or ErrUnavailable.
func (j *Journal) End(ctx context.Context, rec call.Record, hold Hold) (uint64, error) {
	expect := hold.Revision
	for range endTries {
		rev, err := j.put(ctx, expect, j.entry(Ended, hold.Epoch, rec), 0)
		if !errors.Is(err, errRevision) {
			return rev, about("end", rec.ID, err)
		}
		e, at, err := j.head(ctx, rec.ID)
		switch {
		case err != nil:
			return 0, about("end", rec.ID, err)
		case at == 0: // it has expired, or the bucket is new
			expect = 0
		case e == nil: // marked as gone: whether there is a record, the stream knows
			return 0, nil
		case e.Epoch != hold.Epoch || e.Node != j.cfg.Node:
			return 0, about("end", rec.ID, ErrSuperseded)
		case e.State == Ended: // an earlier attempt
			return at, nil
		default:
			expect = at
		}
	}
	return 0, about("end", rec.ID, fmt.Errorf("%w: the entry kept changing", ErrUnavailable))
}

// Publish puts a record on the stream unless the call has one, and reports
// whether it is this one. The error wraps ErrUnavailable or ErrRefused.
func (j *Journal) Publish(ctx context.Context, rec call.Record) (fresh bool, err error) {
	data, err := encodeRecord(rec)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	to := subject.Record(rec.ID)
	for range publishTries {
		ack, err := j.js.PublishMsg(ctx, &nats.Msg{Subject: to, Data: data},
			jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithMsgID(rec.ID.String()))
		if err == nil {
			return !ack.Duplicate, nil
		}
		if err = failed(err); !errors.Is(err, errRevision) {
			return false, about("publish record of", rec.ID, err)
		}
		// A replicated stream also refuses while another write of the same
		// subject is under way, and that one may fail yet.
		_, there, err := lookup.Last(ctx, j.nc, subject.StreamRecords, to)
		if there || err != nil {
			return false, about("publish record of", rec.ID, unread(err))
		}
	}
	return false, about("publish record of", rec.ID, fmt.Errorf("%w: refused, and none is there", ErrUnavailable))
}

// Index makes a record known to the lists of its tenant, once. The error wraps
// ErrUnavailable or ErrRefused.
func (j *Journal) Index(ctx context.Context, rec call.Record) error {
	to, data, err := indexed(rec)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return about("index record of", rec.ID, j.once(ctx, to, data))
}

// once publishes a message unless its subject has one.
func (j *Journal) once(ctx context.Context, to string, data []byte) error {
	for range publishTries {
		_, err := j.js.PublishMsg(ctx, &nats.Msg{Subject: to, Data: data}, jetstream.WithExpectLastSequencePerSubject(0))
		if err == nil {
			return nil
		}
		if err = failed(err); !errors.Is(err, errRevision) {
			return err
		}
		// As in Publish: a write that is under way may fail yet.
		if _, there, err := lookup.Last(ctx, j.nc, subject.StreamRecordIndex, to); there || err != nil {
			return unread(err)
		}
	}
	return fmt.Errorf("%w: refused, and none is there", ErrUnavailable)
}

// Announce publishes the event that a call has a record. It may be published
// more than once.
func (j *Journal) Announce(ctx context.Context, rec call.Record) error {
	to, id, data, err := announcement(rec)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if _, err := j.js.PublishMsg(ctx, &nats.Msg{Subject: to, Data: data}, jetstream.WithMsgID(id)); err != nil {
		return about("announce record of", rec.ID, failed(err))
	}
	return nil
}

// Forget removes the tombstone at that revision. One that somebody else has
// removed meanwhile is no error.
func (j *Journal) Forget(ctx context.Context, id call.ID, rev uint64) error {
	if rev == 0 {
		return nil
	}
	m := nats.NewMsg(keyspace + subject.KeyCall(id))
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set("Nats-Rollup", "sub")
	_, err := j.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(rev), jetstream.WithMsgTTL(markerTTL))
	if err == nil {
		return nil
	}
	if err = failed(err); errors.Is(err, errRevision) {
		return nil
	}
	return about("forget", id, err)
}

// Finish takes a call that has ended through all steps that are left, and
// reports whether its record is new. Errors as for End and Publish.
func (j *Journal) Finish(ctx context.Context, rec call.Record, hold Hold) (fresh bool, err error) {
	rev, err := j.End(ctx, rec, hold)
	if err != nil {
		return false, err
	}
	return j.complete(ctx, rec, rev)
}

// complete is Finish from the tombstone on.
func (j *Journal) complete(ctx context.Context, rec call.Record, rev uint64) (fresh bool, err error) {
	if fresh, err = j.Publish(ctx, rec); err != nil {
		return false, err
	}
	if err := j.Index(ctx, rec); err != nil {
		return fresh, err
	}
	if err := j.Announce(ctx, rec); err != nil {
		return fresh, err
	}
	return fresh, j.Forget(ctx, rec.ID, rev)
}

func (j *Journal) entry(s State, epoch uint64, rec call.Record) Entry {
	return Entry{Head: Head{Epoch: epoch, State: s, Node: j.cfg.Node, Boot: j.cfg.Boot, Slot: j.cfg.Slot}, Record: rec}
}

// put writes an entry if there is none after revision expect; 0: if there was
// none ever.
func (j *Journal) put(ctx context.Context, expect uint64, e Entry, ttl time.Duration) (uint64, error) {
	data, err := j.encodeEntry(e)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	opts := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(expect)}
	if ttl > 0 {
		opts = append(opts, jetstream.WithMsgTTL(ttl))
	}
	ack, err := j.js.PublishMsg(ctx, &nats.Msg{Subject: keyspace + subject.KeyCall(e.Record.ID), Data: data}, opts...)
	if err != nil {
		return 0, failed(err)
	}
	return ack.Sequence, nil
}

// head reads an entry's head from the leader. rev 0: there was none ever, as
// far as the bucket knows; h nil: it is gone.
func (j *Journal) head(ctx context.Context, id call.ID) (h *Head, rev uint64, err error) {
	m, ok, err := lookup.Last(ctx, j.nc, bucket, keyspace+subject.KeyCall(id))
	if err != nil || !ok {
		return nil, 0, unread(err)
	}
	if m.Marker != "" {
		return nil, m.Sequence, nil
	}
	read, err := peek(m.Data)
	return &read, m.Sequence, err
}

// about adds the act and its object to an error.
func about(act string, id call.ID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s call %s: %w", act, id, err)
}
