package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/spool"
)

// replay publishes what the spool holds until ctx ends: at once what an
// earlier start left, later whatever there is, every second.
func (l *Ledger) replay(ctx context.Context) {
	records, events, snapshots := cursor{kind: spool.Records}, cursor{kind: spool.Events}, cursor{kind: spool.Snapshots}
	tick := time.NewTicker(replayEvery)
	defer tick.Stop()
	for {
		l.guard(func() { l.replayRecords(ctx, &records) })
		l.guard(func() { l.replayEvents(ctx, &events) })
		l.guard(func() { l.replaySnapshots(ctx, &snapshots) })
		if err := l.spool.Sync(); err != nil {
			l.log.Error("spool not on disk", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// A cursor is where a replay stands.
type cursor struct {
	kind  spool.Kind
	batch *spool.Batch
	at    int // entries of batch that are done
}

// next returns the entries that are to be replayed now, or none.
func (c *cursor) next(s *spool.Spool) ([][]byte, error) {
	if c.batch != nil && c.at == len(c.batch.Entries) {
		if err := s.Settle(c.batch); err != nil {
			return nil, err
		}
		c.batch, c.at = nil, 0
	}
	if c.batch == nil {
		b, err := s.Next(c.kind)
		if b == nil || err != nil {
			return nil, err
		}
		c.batch, c.at = b, 0
	}
	return c.batch.Entries[c.at:], nil
}

// next is what waits at the cursor; not ok: the spool cannot be read.
func (l *Ledger) next(c *cursor) (entries [][]byte, ok bool) {
	entries, err := c.next(l.spool)
	if err != nil {
		l.log.Error("spool cannot be read", "kind", c.kind.String(), "err", err)
	}
	return entries, err == nil
}

// replayRecords stops at the first record that JetStream does not take.
func (l *Ledger) replayRecords(ctx context.Context, c *cursor) {
	for ctx.Err() == nil {
		entries, ok := l.next(c)
		if !ok {
			return
		}
		if len(entries) == 0 {
			if l.back("records") {
				l.Check()
				for i := range l.work {
					select {
					case l.work[i].back <- struct{}{}:
					default:
					}
				}
			}
			return
		}
		for _, entry := range entries {
			r, err := decodeRecord(entry)
			if err != nil {
				l.log.Error("spooled record makes no sense", "err", err)
				l.record(FateDamaged, 1)
			} else if !l.tryFinish(ctx, r.Record, r.Hold, replayWait, FateReplayed) {
				return
			}
			c.at++
		}
	}
}

// replayEvents publishes a segment's events at once, so that the stream gets
// them in their order, and goes on from the first that it did not take.
func (l *Ledger) replayEvents(ctx context.Context, c *cursor) {
	for ctx.Err() == nil {
		entries, ok := l.next(c)
		if !ok {
			return
		}
		if len(entries) == 0 {
			l.back("events")
			return
		}
		done, err := l.resend(ctx, entries[:min(len(entries), maxEventPending/2)])
		c.at += done
		if err != nil {
			l.away("events", err)
			return
		}
	}
}

// resend publishes events of the spool and returns how many of them are done,
// from the first on.
func (l *Ledger) resend(ctx context.Context, entries [][]byte) (done int, err error) {
	futures := make([]jetstream.PubAckFuture, 0, len(entries)) // nil: cannot be published
	for _, entry := range entries {
		e, bad := decodeEvent(entry)
		var f jetstream.PubAckFuture
		if bad == nil {
			f, err = l.send(e.To, e.ID, e.Data)
		}
		if errors.Is(err, nats.ErrMaxPayload) { // it would stand in the way for ever
			err = nil
		}
		if err != nil {
			break
		}
		futures = append(futures, f)
	}
	for i, f := range futures {
		if f == nil {
			l.event(FateDamaged, 1)
			continue
		}
		if err := acknowledged(ctx, f); err != nil {
			return i, err
		}
		l.event(FateReplayed, 1)
	}
	return len(futures), err
}

// sweep looks for what other nodes left behind: at the start, when told to,
// and every ten minutes. What the node's own spool knows comes first.
func (l *Ledger) sweep(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	indexed := false
	for {
		select {
		case <-timer.C:
		case <-l.swept:
		case <-ctx.Done():
			return
		}
		next := sweepEvery
		if l.spool.Waiting(spool.Records)+l.spool.Waiting(spool.Snapshots) > 0 || l.recordsAway.Load() {
			next = replayEvery
		} else {
			l.guard(func() {
				indexed = indexed || l.reindex(ctx)
				next = l.look(ctx)
			})
		}
		timer.Reset(next)
	}
}

// reindex looks for records that are in no index, once in the life of a node.
func (l *Ledger) reindex(ctx context.Context) (done bool) {
	n, err := l.journal.Reindex(ctx)
	if n > 0 {
		l.log.Info("records entered into the index of their tenants", "count", n)
	}
	if err != nil && ctx.Err() == nil {
		l.log.Warn("records not entered into the index of their tenants", "err", err)
	}
	return err == nil
}

// look is one sweep; it returns when to look again.
func (l *Ledger) look(ctx context.Context) time.Duration {
	s, err := l.journal.Sweep(ctx, time.Now(), l.cfg.Gone)
	l.record(FateSwept, s.Published)
	l.record(FateKnown, s.Known)
	if s.Published+len(s.Left)+s.Unread > 0 {
		l.log.Info("calls left behind", "published", s.Published, "live", len(s.Left), "unread", s.Unread)
	}
	if len(s.Left) > 0 && l.cfg.Left != nil {
		l.cfg.Left(s.Left)
	}
	if err != nil && ctx.Err() == nil {
		l.log.Warn("tombstones not swept", "err", err)
	}
	if err != nil || s.Young > 0 {
		return sweepAgain
	}
	return sweepEvery
}

// spoolObserver says what the spool has lost.
func (l *Ledger) spoolObserver() spool.Observer {
	return spool.Observer{
		Dropped: func(kind spool.Kind, n int) { // records never make room
			if kind == spool.Events {
				l.loseEvents(n, "spool_full", nil)
			}
		},
		Damaged: func(kind spool.Kind, n int) {
			l.log.Error("spool is damaged", "kind", kind.String(), "count", n)
			switch kind {
			case spool.Records:
				l.record(FateDamaged, n)
			case spool.Events:
				l.event(FateDamaged, n)
			}
		},
		Unreadable: func(segment string, err error) {
			l.log.Error("segment of the spool set aside", "segment", segment, "err", err)
		},
	}
}
