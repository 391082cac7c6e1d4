package store

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
	"patchbay/cluster/tail"
	"patchbay/internal/prefixset"
)

// settle is how long changes of the list are gathered before the set is made
// anew: a list that is read for the first time, or many blocks at once, cost
// one set and not one each.
const settle = 20 * time.Millisecond

// maxFirstRead is the longest wait for the list before it counts as ready: a
// node without JetStream must still start.
const maxFirstRead = 5 * time.Second

// A Blocklist is an edge's copy of the blocked sources. It follows them with an
// ordered consumer that sees nothing else of the bucket, and keeps what it
// knows while JetStream is away; expired blocks end all the same.
type Blocklist struct {
	js    jetstream.JetStream
	log   *slog.Logger
	set   atomic.Pointer[prefixset.Set]
	ready chan struct{}

	firstRead time.Duration // maxFirstRead, but in tests

	mu     sync.Mutex
	blocks map[string]endpoint.Block // by key, at most MaxBlocks
	full   bool                      // one over the limit was told of
	whole  bool                      // the list has been read to its end once
}

// NewBlocklist returns an empty list that fills once it runs.
func NewBlocklist(js jetstream.JetStream, log *slog.Logger) *Blocklist {
	return &Blocklist{js: js, log: log, ready: make(chan struct{}), firstRead: maxFirstRead, blocks: map[string]endpoint.Block{}}
}

// Contains reports whether a source is turned away. It takes no lock and
// allocates nothing: an edge asks it before it reads a message.
func (l *Blocklist) Contains(a netip.Addr) bool { return l.set.Load().Contains(a) }

// Len is how many blocks are known.
func (l *Blocklist) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.blocks)
}

// Ready is closed once the list was read, or after 5 s.
func (l *Blocklist) Ready() <-chan struct{} { return l.ready }

// Run follows the list until ctx ends.
func (l *Blocklist) Run(ctx context.Context) error {
	late := time.AfterFunc(l.firstRead, l.isReady)
	defer late.Stop()
	changed := make(chan struct{}, 1)
	var maker sync.WaitGroup
	maker.Go(func() { l.compile(ctx, changed) })
	defer maker.Wait()
	for ctx.Err() == nil {
		err := l.follow(ctx, changed)
		if ctx.Err() != nil {
			return nil
		}
		l.log.Warn("feed of blocked sources interrupted", "err", err)
		select {
		case <-time.After(tail.Retry):
		case <-ctx.Done():
		}
	}
	return nil
}

func (l *Blocklist) isReady() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
}

// follow reads the list as it stands and then every change. Keys that the new
// reading does not name have gone meanwhile.
func (l *Blocklist) follow(ctx context.Context, changed chan<- struct{}) error {
	prefix := "$KV." + subject.BucketEndpoints + "."
	seen := map[string]bool{} // nil: the list has been read
	whole := func() {
		l.forgetOthers(seen)
		seen = nil
		poke(changed)
	}
	q := tail.Query{Stream: "KV_" + subject.BucketEndpoints, Filter: prefix + subject.BlockAll}
	return tail.Follow(ctx, l.js, q, func(pending uint64) {
		if pending == 0 {
			whole()
		}
	}, func(m tail.Message) error {
		key := strings.TrimPrefix(m.Subject, prefix)
		l.take(key, m)
		if seen != nil {
			seen[key] = true
			if m.Pending == 0 {
				whole()
			}
		}
		poke(changed)
		return nil
	})
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take learns of one block, or of its end.
func (l *Blocklist) take(key string, m tail.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.blocks, key)
	if lookup.Marker(m.Header) != "" {
		return
	}
	b, err := blockOf(m.Data, m.Sequence)
	switch {
	case err != nil:
		l.log.Warn("block not understood", "err", err)
	case len(l.blocks) >= MaxBlocks:
		if !l.full {
			l.full = true
			l.log.Warn("more sources are blocked than may be; some are let in", "limit", MaxBlocks)
		}
	default:
		l.blocks[key] = b
	}
}

func (l *Blocklist) forgetOthers(seen map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = true
	for key := range l.blocks {
		if !seen[key] {
			delete(l.blocks, key)
		}
	}
}

// compile makes the set anew after changes and when a block expires.
func (l *Blocklist) compile(ctx context.Context, changed <-chan struct{}) {
	expiry := time.NewTimer(time.Hour)
	defer expiry.Stop()
	for {
		select {
		case <-changed:
			select {
			case <-time.After(settle):
			case <-ctx.Done():
			}
		case <-expiry.C:
		case <-ctx.Done():
			return
		}
		next, whole := l.build(time.Now())
		if whole {
			l.isReady()
		}
		expiry.Reset(next)
	}
}

// build makes the set of what is blocked now and returns when to do so again, and
// whether the whole list is in it.
func (l *Blocklist) build(now time.Time) (next time.Duration, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = time.Hour
	prefixes := make([]netip.Prefix, 0, len(l.blocks))
	for key, b := range l.blocks {
		if b.ExpiresAt != nil {
			left := b.ExpiresAt.Sub(now)
			if left <= 0 {
				delete(l.blocks, key)
				continue
			}
			next = min(next, left)
		}
		prefixes = append(prefixes, b.Source)
	}
	l.set.Store(prefixset.New(prefixes))
	return next, l.whole
}
