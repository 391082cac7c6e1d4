package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"patchbay/cluster/tail"
)

// A feed knows how far this node has followed the bucket. It is current as of
// a moment when it had seen all that the stream's leader held then: silence of
// the feed alone proves nothing, so the leader is asked.
type feed struct {
	mu      sync.Mutex
	begun   bool
	seen    uint64    // last sequence followed
	target  uint64    // last sequence the leader named
	asked   time.Time // when it did
	current time.Time
}

func (f *feed) begin(at time.Time, seq uint64) {
	f.mu.Lock()
	f.begun = true
	f.mu.Unlock()
	f.follow(seq)
	f.lead(at, seq)
}

// following reports whether changes from now on will be heard of.
func (f *feed) following() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun
}

func (f *feed) follow(seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = max(f.seen, seq)
	f.settle()
}

func (f *feed) lead(at time.Time, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target, f.asked = seq, at
	f.settle()
}

func (f *feed) settle() {
	if f.begun && f.seen >= f.target && f.asked.After(f.current) {
		f.current = f.asked
	}
}

func (f *feed) at() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

func (f *feed) age(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Sub(f.current)
}

// follow runs a consumer, and a new one where the last gave up, from
// the sequence after the last one seen: no change is missed in between.
func (s *Store) follow(ctx context.Context) {
	s.startFeed(ctx)
	for ctx.Err() == nil {
		err := s.consume(ctx)
		if ctx.Err() != nil {
			break
		}
		s.log.Warn("feed of configuration interrupted", "err", err)
		select {
		case <-time.After(tail.Retry):
		case <-ctx.Done():
		}
	}
}

// startFeed begins after what the stream holds now. Until then nothing is
// cached.
func (s *Store) startFeed(ctx context.Context) {
	for {
		at := time.Now()
		last, err := s.lastSequence(ctx)
		if err == nil {
			s.feed.begin(at, last)
			return
		}
		select {
		case <-time.After(tail.Retry):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) consume(ctx context.Context) error {
	q := tail.Query{Stream: s.stream, From: s.feed.at() + 1, Headers: true}
	return tail.Follow(ctx, s.js, q, func(uint64) { s.followed() }, func(m tail.Message) error {
		s.raise(strings.TrimPrefix(m.Subject, s.prefix), m.Sequence)
		s.feed.follow(m.Sequence)
		return nil
	})
}

func (s *Store) followed() {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// probe asks the leader how far the stream is.
func (s *Store) probe(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		at, seen := time.Now(), s.feed.at()
		// A leader that knows less than this node has seen is none, or has lost
		// the stream: nothing is current then.
		if last, err := s.lastSequence(ctx); err == nil && last >= seen {
			s.feed.lead(at, last)
		}
		if s.obs.FeedAge != nil {
			s.obs.FeedAge(s.FeedAge())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) lastSequence(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderWait)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.stream) // answered by the leader
	if err != nil {
		return 0, errors.Join(ErrUnavailable, err)
	}
	s.single.Store(stream.CachedInfo().Config.Replicas == 1)
	return stream.CachedInfo().State.LastSeq, nil
}
