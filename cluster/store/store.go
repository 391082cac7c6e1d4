// Package store keeps the configuration of endpoints, accounts, their keys and
// agents, and the blocked sources, in one JetStream bucket (design D5).
//
// It decides what is fresh enough to be answered from memory, and when a write
// is known to everybody who decides about calls. It refuses writes that were
// made against another version than the stored one, and never writes anything
// without such a check.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/stream"
	"patchbay/cluster/subject"
)

// Limits of the bucket and its readers.
const (
	maxObject    = 64 << 10                // bytes of one stored object, with its headers
	maxHeader    = 512                     // of them headers, at most
	markerTTL    = time.Hour               // how long the server marks what is gone
	feedStale    = 1500 * time.Millisecond // silence after which entries are read again on use
	recheck      = 250 * time.Millisecond  // a stale feed re-reads one entry at most this often
	serveStale   = 10 * time.Minute        // how long an entry is served while nobody can be read
	probeEvery   = 500 * time.Millisecond
	leaderWait   = time.Second            // for the leader to say how far the stream is
	syncWait     = time.Second            // longest wait for deciders to know a write
	maxRequest   = 2 * time.Second        // of the leader, whatever the caller's context allows
	maxWrite     = 4 * time.Second        // likewise of a write: of one that is given up nobody knows the outcome
	perObject    = 10 * time.Millisecond  // a batch may take longer by, for each of its objects
	turnstiles   = 64                     // writes of one tenant pass one by one through one of these
	maxAttempts  = 16                     // of one write that loses races
	maxSpread    = 500 * time.Millisecond // longest wait between two of them
	maxFloors    = 1 << 16                // keys whose newest known revision is remembered
	maxAccounts  = 10_000                 // of the cluster
	quotaTTL     = 48 * time.Hour         // of a day's count of creations
	onceTTL      = 24 * time.Hour         // of an idempotency key
	missingShare = 8                      // misses take at most 1/8 of the cache's entries
)

// ErrUnavailable says the bucket cannot be read or written now.
var ErrUnavailable = errors.New("store: not available")

// Config is what an operator may set of a Store.
type Config struct {
	Node         string          // name of this node, in its acknowledgements
	Streams      stream.Terms    // on which the bucket is made
	CacheEntries int             // objects kept in memory
	MaxEndpoints int             // endpoints of one tenant; 0: no limit
	MaxAgents    int             // agents of one tenant; 0: no limit
	ReadTimeout  time.Duration   // longest read of one cold object
	Decider      bool            // this node decides: it acknowledges revisions
	Deciders     func() []string // live deciding nodes, whose acknowledgements a write awaits; nil: whoever answers first
}

// An Observer hears how reads and writes went. Nil hooks are skipped.
type Observer struct {
	Read    func(kind string, from string, took time.Duration) // from: cache, store, stale, error; kind: ep, acct, agent
	Write   func(op string, took time.Duration, err error)
	Synced  func(took time.Duration, missing int) // deciders that did not acknowledge in time
	FeedAge func(time.Duration)                   // twice a second
}

// A Store reads from memory and writes to JetStream. It implements
// actors.Cache, and so actors.Store.
type Store struct {
	cfg       Config
	obs       Observer
	log       *slog.Logger
	js        jetstream.JetStream
	nc        *nats.Conn
	stream    string
	prefix    string // of the bucket's subjects
	cache     *cache
	catalogue catalogue
	feed      feed
	turns     [turnstiles]chan struct{}
	single    atomic.Bool // the stream has one replica
	ready     chan struct{}
	cold      chan string // tenants whose listings are to be read ahead
	marked    marked
	syncWait  time.Duration // syncWait, but in tests
}

// Open makes the bucket, brings an existing one up to date or waits for it, as
// cfg.Streams say, and returns its Store. Reads work at once; they are answered
// from memory once Run has caught up.
func Open(ctx context.Context, js jetstream.JetStream, cfg Config, log *slog.Logger, obs Observer) (*Store, error) {
	s := &Store{
		cfg: cfg, obs: obs, log: log, js: js, nc: js.Conn(),
		stream:   "KV_" + subject.BucketEndpoints,
		prefix:   "$KV." + subject.BucketEndpoints + ".",
		cache:    newCache(max(cfg.CacheEntries, 1)),
		ready:    make(chan struct{}),
		cold:     make(chan string, warmQueue),
		syncWait: syncWait,
	}
	for i := range s.turns {
		s.turns[i] = make(chan struct{}, 1)
	}
	return s, Declare(ctx, js, cfg.Streams)
}

// Declare makes the bucket or waits for it: a stream, because a KeyValueConfig
// cannot ask for atomic batches; any KV client can bind to it all the same.
func Declare(ctx context.Context, js jetstream.JetStream, terms stream.Terms) error {
	err := terms.Open(ctx, js, jetstream.StreamConfig{
		Name:                   "KV_" + subject.BucketEndpoints,
		Description:            "Patchbay: endpoints, accounts, agents",
		Subjects:               []string{"$KV." + subject.BucketEndpoints + ".>"},
		MaxMsgsPerSubject:      1,
		Discard:                jetstream.DiscardNew,
		Storage:                jetstream.FileStorage,
		MaxMsgSize:             maxObject,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowDirect:            true,
		AllowMsgTTL:            true,
		AllowAtomicPublish:     true,
		SubjectDeleteMarkerTTL: markerTTL,
	})
	if err != nil {
		return fmt.Errorf("open bucket %s (nats.start_wait %v): %w", subject.BucketEndpoints, terms.Wait, err)
	}
	return nil
}

// Run follows the bucket's changes until ctx ends, and acknowledges revisions
// if the node decides.
func (s *Store) Run(ctx context.Context) error {
	if s.cfg.Decider {
		sub, err := s.nc.Subscribe(subject.SyncAll, s.acknowledge)
		if err != nil {
			return fmt.Errorf("run store: %w", err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	var loops sync.WaitGroup
	loops.Go(func() { s.follow(ctx) })
	loops.Go(func() { s.probe(ctx) })
	loops.Go(func() { s.warmUp(ctx) })
	loops.Wait()
	return nil
}

// raise hears that key has changed at rev.
func (s *Store) raise(key string, rev uint64) {
	s.cache.raise(key, rev) // before the catalogue: see Store.read
	s.catalogue.touch(key, rev)
}

// Ready is closed once changes are followed.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// FeedAge is how long ago the cache was last known to hold nothing outdated.
func (s *Store) FeedAge() time.Duration { return s.feed.age(time.Now()) }
