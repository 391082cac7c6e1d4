package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster/lookup"
)

// settling is how long a tombstone is left to the node that wrote it. To
// publish it sooner would do no harm, only work.
const settling = 5 * time.Second

// sweepBatch is how many entries a sweep reads at once.
const sweepBatch = 256

// A Sweep is what a look at the bucket came to.
type Sweep struct {
	Published int // records of tombstones left behind
	Known     int // tombstones whose record was there
	Lost      int // calls that died with an earlier start of this node, recorded as such
	Young     int // tombstones left to their nodes for now: look again in 5 s
	Unread    int // entries that make no sense
}

// Sweep publishes the records of tombstones that nobody has published for
// 5 s: their nodes died between two steps. It also ends, with the cause
// node_lost, calls that this node carried before it was started anew. Other
// nodes' live calls are left alone. It stops at the first error.
func (j *Journal) Sweep(ctx context.Context, now time.Time) (s Sweep, err error) {
	for seq := uint64(1); ; {
		page, err := lookup.Many(ctx, j.nc, bucket, lookup.Query{Next: keys + "c.*", Sequence: seq, Batch: sweepBatch})
		if err != nil {
			return s, fmt.Errorf("sweep: %w", unread(err))
		}
		for _, m := range page {
			if err := j.sweepOne(ctx, now, m, &s); err != nil {
				return s, fmt.Errorf("sweep: %w", err)
			}
		}
		if len(page) < sweepBatch {
			return s, nil
		}
		seq = page[len(page)-1].Sequence + 1
	}
}

func (j *Journal) sweepOne(ctx context.Context, now time.Time, m lookup.Message, s *Sweep) error {
	if m.Marker != "" {
		return nil
	}
	e, err := decodeEntry(m.Data)
	switch {
	case err != nil:
		s.Unread++
		return nil
	case e.State == Live && e.Node == j.cfg.Node && e.Boot < j.cfg.Boot:
		return j.bury(ctx, now, e, m.Sequence, s)
	case e.State == Live:
		return nil
	case now.Sub(m.At) < settling:
		s.Young++
		return nil
	}
	fresh, err := j.complete(ctx, e.Record, m.Sequence)
	if err == nil && fresh {
		s.Published++
	} else if err == nil {
		s.Known++
	}
	return err
}

// bury ends a call that died with its node, in the next epoch: what the node
// may still have to say about it comes too late.
func (j *Journal) bury(ctx context.Context, now time.Time, e *Entry, rev uint64, s *Sweep) error {
	rec := e.Record
	rec.Cause, rec.EndedBy, rec.Stages.Ended = call.CauseNodeLost, call.ByNode, now
	hold := Hold{Epoch: e.Epoch + 1, Revision: rev}
	_, err := j.Finish(ctx, rec, hold)
	if errors.Is(err, ErrSuperseded) {
		return nil
	}
	if err == nil {
		s.Lost++
	}
	return err
}
