package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// MaxBlocks is how many sources may be blocked at once.
const MaxBlocks = 10_000

// PutBlock stores a blocked source, over the one of the same range if there is
// one. The bucket forgets it when it expires. ErrLimit where there are
// MaxBlocks; two that are made at once may go one over.
func (s *Store) PutBlock(ctx context.Context, b endpoint.Block) (endpoint.Revision, error) {
	b.V = version
	key := subject.KeyBlock(b.Source)
	data, err := json.Marshal(b)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	var ttl time.Duration
	if b.ExpiresAt != nil {
		ttl = b.ExpiresAt.Sub(b.CreatedAt)
	}
	rev, err := s.write(ctx, endpoint.OperatorTenant, "block", func() (uint64, error) {
		have, err := s.getLeader(ctx, key)
		if err != nil {
			return 0, err
		}
		if have.gone() {
			if err := s.roomForBlock(ctx); err != nil {
				return 0, err
			}
		}
		return s.commit(ctx, op{key: key, expect: have.rev, data: data, ttl: ttl})
	})
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	return endpoint.Revision(rev), nil
}

// roomForBlock counts the blocks as the stream's leader has them, those that
// are marked as gone within the hour among them.
func (s *Store) roomForBlock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxRequest)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.stream)
	if err != nil {
		return unavailable(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.prefix+subject.BlockAll))
	if err != nil {
		return unavailable(err)
	}
	if len(info.State.Subjects) >= MaxBlocks {
		return fmt.Errorf("%w: %d blocks", ErrLimit, MaxBlocks)
	}
	return nil
}

// DeleteBlock removes the block of b's source, or returns endpoint.ErrNotFound.
func (s *Store) DeleteBlock(ctx context.Context, b endpoint.Block) error {
	key := subject.KeyBlock(b.Source)
	_, err := s.write(ctx, endpoint.OperatorTenant, "block", func() (uint64, error) {
		have, err := s.getLeader(ctx, key)
		switch {
		case err != nil:
			return 0, err
		case have.gone():
			return 0, endpoint.ErrNotFound
		}
		return s.commit(ctx, op{key: key, expect: have.rev})
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// Blocks returns a page of the blocked sources, in the order in which they were
// last set.
func (s *Store) Blocks(ctx context.Context, cursor string, limit int) ([]endpoint.Block, string, error) {
	from, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), MaxPage)
	var out []endpoint.Block
	for len(out) < limit {
		want := limit - len(out)
		found, err := s.getMany(ctx, directQuery{Seq: from, Batch: want + 1, Next: s.prefix + subject.BlockAll})
		if err != nil {
			return nil, "", fmt.Errorf("list blocks: %w", err)
		}
		more := len(found) > want
		if more {
			from, found = found[want].rev, found[:want]
		}
		for _, raw := range found {
			if raw.gone() {
				continue
			}
			b, err := blockOf(raw.data, raw.rev)
			if err != nil {
				return nil, "", err
			}
			// One that is set again meanwhile is met again, as it is by then.
			out = slices.DeleteFunc(out, func(o endpoint.Block) bool { return o.Source == b.Source })
			out = append(out, b)
		}
		if !more {
			return out, "", nil
		}
	}
	return out, strconv.FormatUint(from, 36), nil
}

func blockOf(data []byte, rev uint64) (endpoint.Block, error) {
	var b endpoint.Block
	if err := json.Unmarshal(data, &b); err != nil || b.V != version {
		return b, fmt.Errorf("read a block: revision %d is none of version %d", rev, version)
	}
	b.Revision = endpoint.Revision(rev)
	return b, nil
}
