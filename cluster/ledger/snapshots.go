package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"patchbay/cluster/envelope"
	"patchbay/cluster/journal"
	"patchbay/cluster/spool"
)

// A spooledSnapshot is the head of a snapshot as the spool holds it: a line of
// JSON, a line feed, and the snapshot as the bucket has it, unsealed. The spool
// seals it.
type spooledSnapshot struct {
	V    int          `json:"v"`
	Boot uint64       `json:"boot"` // of the start that carried the call
	Hold journal.Hold `json:"hold"`
}

// spoolSnapshot keeps a snapshot for the node's next start. It stays pending,
// too: it is written when JetStream is back.
func (l *Ledger) spoolSnapshot(h *held) {
	head, err := json.Marshal(spooledSnapshot{V: envelope.Version, Boot: l.cfg.Journal.Boot, Hold: h.hold})
	if err != nil {
		return
	}
	text, err := envelope.EncodeSnapshot(h.pending)
	if err == nil {
		err = l.spool.Append(spool.Snapshots, append(append(head, '\n'), text...))
	}
	if err != nil && !errors.Is(err, spool.ErrFull) { // memory has it
		l.log.Warn("snapshot not spooled", "call_id", h.pending.Record.ID, "err", err)
	}
}

// replaySnapshots puts back what an earlier start could not write, so that its
// calls get their record. Those of this start are in memory, and leave the
// spool only once JetStream is back: until then the node may die.
func (l *Ledger) replaySnapshots(ctx context.Context, c *cursor) {
	for ctx.Err() == nil {
		entries, ok := l.next(c)
		if !ok {
			return
		}
		if len(entries) == 0 || l.recordsAway.Load() {
			return
		}
		for _, entry := range entries {
			if err := l.putBack(ctx, entry); errors.Is(err, journal.ErrUnavailable) {
				return
			} else if err != nil {
				l.log.Error("spooled snapshot makes no sense", "err", err)
			}
			c.at++
		}
	}
}

func (l *Ledger) putBack(ctx context.Context, entry []byte) error {
	line, text, _ := bytes.Cut(entry, []byte("\n"))
	var head spooledSnapshot
	if err := json.Unmarshal(line, &head); err != nil || head.V != envelope.Version {
		return fmt.Errorf("decode spooled snapshot: of version %d, this release reads %d", head.V, envelope.Version)
	}
	if head.Boot == l.cfg.Journal.Boot {
		return nil
	}
	s, err := envelope.DecodeSnapshot(text)
	if err != nil {
		return fmt.Errorf("decode spooled snapshot: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, replayWait)
	defer cancel()
	return l.journal.Restore(ctx, s, head.Hold, head.Boot)
}

// Signs that this process was not heard for a while.
const (
	watchEvery = 250 * time.Millisecond
	pausedFor  = time.Second // between two looks at the clock that are 250 ms apart
)

// watch finds out that others may have taken this node for dead: it was paused,
// its connection was lost, or JetStream was away. Then it is looked whose the
// calls are.
func (l *Ledger) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last, reconnects := time.Now(), l.js.Conn().Stats().Reconnects
	for {
		select {
		case <-tick.C:
		case <-l.checked:
			l.lookAll()
			continue
		case <-ctx.Done():
			return
		}
		now, n := time.Now(), l.js.Conn().Stats().Reconnects
		paused := now.Sub(last) > pausedFor || now.Round(0).Sub(last.Round(0)) > pausedFor
		if paused || n != reconnects || !l.recordsAway.Load() && l.unchecked.Swap(false) {
			l.lookAll()
		}
		last, reconnects = now, n
	}
}

func (l *Ledger) lookAll() {
	for i := range l.work {
		select {
		case l.work[i].check <- struct{}{}:
		default:
		}
	}
}
