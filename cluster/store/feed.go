package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Settings of the feed (reference cluster.md 0.4: kv.Watch stayed silent for
// 19 s after its server died; an ordered consumer with a short heartbeat came
// back with the leader).
const (
	feedHeartbeat = time.Second
	feedExpiry    = 5 * time.Second
	feedRetry     = 100 * time.Millisecond
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

// follow runs the ordered consumer, and a new one where the last gave up, from
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
		case <-time.After(feedRetry):
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
		case <-time.After(feedRetry):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) consume(ctx context.Context) error {
	cons, err := s.js.OrderedConsumer(ctx, s.stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   s.feed.at() + 1,
		HeadersOnly:   true,
	})
	if err != nil {
		return fmt.Errorf("create consumer: %w", err)
	}
	msgs, err := cons.Messages(jetstream.PullHeartbeat(feedHeartbeat), jetstream.PullExpiry(feedExpiry))
	if err != nil {
		return fmt.Errorf("start consumer: %w", err)
	}
	defer msgs.Stop()
	s.followed()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		key := strings.TrimPrefix(m.Subject(), s.prefix)
		s.cache.raise(key, meta.Sequence.Stream)
		s.feed.follow(meta.Sequence.Stream)
	}
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
	ctx, cancel := context.WithTimeout(ctx, feedHeartbeat)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.stream) // answered by the leader
	if err != nil {
		return 0, errors.Join(ErrUnavailable, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}
