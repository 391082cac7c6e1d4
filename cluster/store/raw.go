package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"patchbay/cluster/lookup"
)

// stored is one message of the bucket.
type stored struct {
	key  string
	rev  uint64 // 0: there is none and never was, as far as the stream knows
	op   string // KV-Operation, or the reason of the server's own marker
	data []byte
}

// gone reports whether there is no object at the key.
func (s stored) gone() bool { return s.rev == 0 || s.op != "" }

// getDirect reads the last message of key from any replica: not
// read-after-write (ADR-8).
func (s *Store) getDirect(ctx context.Context, key string) (stored, error) {
	return s.get(ctx, key, lookup.Any)
}

// getLeader reads the last message of key from the stream's leader. Where the
// stream has one replica that is all there is, and it answers the faster way.
func (s *Store) getLeader(ctx context.Context, key string) (stored, error) {
	if s.single.Load() {
		if got, err := s.get(ctx, key, lookup.Any); err == nil {
			return got, nil
		}
	}
	return s.get(ctx, key, lookup.Last)
}

func (s *Store) get(ctx context.Context, key string, from func(context.Context, *nats.Conn, string, string) (lookup.Message, bool, error)) (stored, error) {
	m, ok, err := from(ctx, s.nc, s.stream, s.prefix+key)
	switch {
	case err != nil:
		return stored{}, unavailable(err)
	case !ok:
		return stored{key: key}, nil
	}
	return stored{key, m.Sequence, m.Marker, m.Data}, nil
}

// A directQuery asks a replica for several messages at once (ADR-31).
type directQuery struct {
	Seq       uint64
	Batch     int
	Next      string
	MultiLast []string
}

// getMany carries out q and returns the messages in the order of their
// sequences.
func (s *Store) getMany(ctx context.Context, q directQuery) ([]stored, error) {
	found, err := lookup.Many(ctx, s.nc, s.stream, lookup.Query{Sequence: q.Seq, Batch: q.Batch, Next: q.Next, Last: q.MultiLast})
	if err != nil {
		return nil, unavailable(err)
	}
	all := make([]stored, len(found))
	for i, m := range found {
		all[i] = stored{strings.TrimPrefix(m.Subject, s.prefix), m.Sequence, m.Marker, m.Data}
	}
	return all, nil
}

// maxSubjects is how many subjects one query names at most; a server takes
// 1,024.
const maxSubjects = 1000

// newest returns the last message of each key as any replica has it, also of
// keys that have none.
func (s *Store) newest(ctx context.Context, keys []string) (map[string]stored, error) {
	all := make(map[string]stored, len(keys))
	for _, key := range keys {
		all[key] = stored{key: key}
	}
	for part := range slices.Chunk(keys, maxSubjects) {
		subjects := make([]string, len(part))
		for i, key := range part {
			subjects[i] = s.prefix + key
		}
		found, err := s.getMany(ctx, directQuery{Batch: len(subjects), MultiLast: subjects})
		if err != nil {
			return all, err
		}
		for _, raw := range found {
			all[raw.key] = raw
		}
	}
	return all, nil
}

// unavailable marks an error of the transport, so that callers need not know
// NATS. The end of the caller's own context stays visible.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
