package stats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
)

// Limits of a Counter.
const (
	flushEvery      = 30 * time.Second
	flushWriters    = 4 // endpoints written at once
	flushWait       = 5 * time.Second
	writeWait       = 2 * time.Second
	writeTries      = 5    // of one endpoint that other deciders write, too
	maxPerPartition = 1024 // endpoints counted in memory; further ones are not until the next flush
)

// A Counter is one deciding node's. Count may be called from any goroutine and
// never waits for another partition's.
type Counter struct {
	board      *Board
	by         string // this process
	log        *slog.Logger
	partitions [endpoint.Partitions]partition
	stamp      atomic.Uint64
	skipped    atomic.Uint64
	ready      chan struct{}
}

type partition struct {
	mu     sync.Mutex
	counts map[endpoint.Key]*count
}

// A count is what is to be added for one endpoint. sent was written without an
// answer under that stamp.
type count struct {
	fresh Totals
	sent  Totals
	stamp uint64 // 0: nothing was sent
}

// NewCounter returns a Counter of the process of that name and start.
func NewCounter(b *Board, node string, boot uint64, log *slog.Logger) *Counter {
	return &Counter{board: b, by: fmt.Sprintf("%s.%x", node, boot), log: log, ready: make(chan struct{})}
}

// Call counts an INVITE that became a call.
func (c *Counter) Call(id ID, at time.Time) { c.add(id, Totals{Calls: 1, LastCallAt: at.UTC()}) }

// Reject counts an INVITE that an endpoint refused.
func (c *Counter) Reject(id ID) { c.add(id, Totals{Rejected: 1}) }

func (c *Counter) add(id ID, t Totals) {
	p := &c.partitions[id.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.counts[id.Key]
	if n == nil {
		if len(p.counts) >= maxPerPartition {
			c.skipped.Add(1)
			return
		}
		if p.counts == nil {
			p.counts = make(map[endpoint.Key]*count)
		}
		n = &count{}
		p.counts[id.Key] = n
	}
	n.fresh = n.fresh.plus(t)
}

// Ready implements lifecycle.Component.
func (c *Counter) Ready() <-chan struct{} { return c.ready }

// Run writes what was counted every 30 s until ctx ends, and once more then,
// for at most 5 s.
func (c *Counter) Run(ctx context.Context) error {
	close(c.ready)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.Flush(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("totals not written; they are kept", "err", err)
			}
		case <-ctx.Done():
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWait)
			defer cancel()
			if err := c.Flush(grace); err != nil {
				c.log.Warn("totals of the last 30 s lost", "err", err)
			}
			return nil
		}
	}
}

// Flush writes what was counted now. What could not be written is kept; the
// error is that of the first, and nothing else is tried after it.
func (c *Counter) Flush(ctx context.Context) error {
	if n := c.skipped.Swap(0); n > 0 {
		c.log.Warn("calls not counted: too many endpoints at once", "count", n)
	}
	work := make(chan job)
	var writers sync.WaitGroup
	var failed atomic.Pointer[error]
	for range flushWriters {
		writers.Go(func() {
			for j := range work {
				if failed.Load() != nil {
					c.keep(j)
					continue
				}
				if err := c.write(ctx, j); err != nil {
					failed.CompareAndSwap(nil, &err)
					c.keep(j)
				}
			}
		})
	}
	for i := range c.partitions {
		p := &c.partitions[i]
		p.mu.Lock()
		counts := p.counts
		p.counts = nil
		p.mu.Unlock()
		for key, n := range counts {
			work <- job{ID{key, uint8(i)}, n}
		}
	}
	close(work)
	writers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// A job is one endpoint's count on its way to the bucket.
type job struct {
	id ID
	n  *count
}

// keep puts a count back, under what was counted meanwhile. It has room: it
// had some before.
func (c *Counter) keep(j job) {
	p := &c.partitions[j.id.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if newer := p.counts[j.id.Key]; newer != nil {
		j.n.fresh = j.n.fresh.plus(newer.fresh)
	}
	if p.counts == nil {
		p.counts = make(map[endpoint.Key]*count)
	}
	p.counts[j.id.Key] = j.n
}

// write adds one endpoint's count to what is there.
func (c *Counter) write(ctx context.Context, j job) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	for range writeTries {
		e, rev, err := c.board.get(ctx, j.id)
		if err != nil {
			return fmt.Errorf("count calls: %w: %w", ErrUnavailable, err)
		}
		n := j.n
		if n.stamp == 0 || e.By != c.by || e.Stamp != n.stamp { // else what was sent has arrived
			n.fresh = n.fresh.plus(n.sent)
		}
		n.sent, n.stamp = Totals{}, 0
		if n.fresh == (Totals{}) {
			return nil
		}
		stamp := c.stamp.Add(1)
		err = c.board.put(ctx, j.id, entry{envelope.Version, e.Totals.plus(n.fresh), c.by, stamp}, rev)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errRace):
			n.fresh, n.sent, n.stamp = Totals{}, n.fresh, stamp
			return fmt.Errorf("count calls: %w: %w", ErrUnavailable, err)
		}
	}
	return fmt.Errorf("count calls: %w: lost %d races", ErrUnavailable, writeTries)
}
