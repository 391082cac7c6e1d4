package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
	"patchbay/internal/pause"
)

// ErrLimit says a tenant has as many objects of a kind as it may have.
var ErrLimit = errors.New("store: the tenant's limit is reached")

// ErrAddress says that an endpoint's address cannot be stored: its kind has
// none yet, or an update would change it.
var ErrAddress = errors.New("store: address of the endpoint")

// An item is one object on its way into the bucket.
type item struct {
	tenant string
	noun   subject.Noun
	id     string
	key    string // of the object
	index  []byte // of its index entry
	data   []byte // nil: the object goes
	// also returns what else is written with a new object; nil: nothing.
	also func() ([]op, error)

	address   endpoint.Key // of an endpoint
	partition uint8        // likewise
	names     owned        // as it is written; nil: it has none alone
	register  bool         // it counts among the tenant's registrations
}

// ownOps is how many changes are the end of every creation and removal: the
// index entry, the count and the object.
const ownOps = 3

// create writes it, its index entry, its tenant's count and what its terms ask
// for, all or nothing. It returns endpoint.ErrExists if an object has the key
// or the id, ErrLimit when the tenant has limit objects of the noun already (0:
// no limit), ErrDaily when its day is used up, and endpoint.ErrNotFound where
// the tenant has no account.
func (s *Store) create(ctx context.Context, it item, limit int, terms endpoint.Terms) (endpoint.Revision, error) {
	indexKey, countKey := subject.KeyIndex(it.tenant, it.noun, it.id), subject.KeyCount(it.tenant, it.noun)
	var also []op
	rev, err := s.attempt(ctx, it, func() (uint64, error) {
		// The count is read before the account is looked at: an account that ends
		// takes its counts with it, so either it is seen to be gone, or the batch
		// finds another count.
		have, err := s.leader(ctx, it.key, indexKey, countKey)
		if err != nil {
			return 0, err
		}
		more, err := s.accept(ctx, it, terms)
		if err == nil && it.also != nil {
			also, err = it.also()
		}
		if err != nil {
			return 0, err
		}
		if !have[0].gone() || !have[1].gone() {
			return 0, endpoint.ErrExists
		}
		with, err := s.alongside(ctx, &it, nil, terms.Registrations)
		if err != nil {
			return 0, err
		}
		more = append(more, with...)
		n := count(have[2])
		if limit > 0 && n >= limit {
			return 0, fmt.Errorf("%w: %d", ErrLimit, limit)
		}
		return s.commit(ctx, append(append(more, also...),
			op{key: indexKey, expect: have[1].rev, data: it.index},
			op{key: countKey, expect: have[2].rev, data: counted(n + 1)},
			op{key: it.key, expect: have[0].rev, data: it.data})...)
	})
	if err == nil {
		s.raise(indexKey, uint64(rev)-2)
		s.announce(ctx, also, uint64(rev)-ownOps)
	}
	return rev, err
}

// alongside returns the writes that keep an object's names, and the count of the
// tenant's registrations, in step with it: before is what it was (nil: it is
// new; of one that goes, it.data is nil).
func (s *Store) alongside(ctx context.Context, it *item, before owned, registrations int) ([]op, error) {
	var after owned
	if it.data != nil {
		after = it.names
	}
	ops, err := s.names(ctx, it, before, after)
	if err != nil || !it.register || before != nil && after != nil || it.noun == subject.NounRegistration {
		return ops, err
	}
	n := 1
	if it.data == nil {
		n = -1
	}
	counted, err := s.registers(ctx, it.tenant, n, registrations)
	return append(ops, counted...), err
}

// replace writes it over the version at expect, or returns
// endpoint.ErrNotFound or endpoint.ErrConflict. Nothing is at revision 0.
func (s *Store) replace(ctx context.Context, it item, expect endpoint.Revision) (endpoint.Revision, error) {
	return s.attempt(ctx, it, func() (uint64, error) {
		if expect == 0 {
			return 0, s.explain(ctx, it.key, expect)
		}
		with, err := s.renamed(ctx, &it, expect)
		if err != nil {
			return 0, err
		}
		rev, err := s.commit(ctx, append(with, op{key: it.key, expect: uint64(expect), data: it.data})...)
		if !errors.Is(err, errRace) {
			return rev, err
		}
		return 0, s.explain(ctx, it.key, expect)
	})
}

// renamed returns the writes that an update needs beside its own, where the
// object has names that can change.
func (s *Store) renamed(ctx context.Context, it *item, expect endpoint.Revision) ([]op, error) {
	if !it.register {
		return nil, nil
	}
	have, err := s.getLeader(ctx, it.key)
	switch {
	case err != nil:
		return nil, err
	case have.gone() || have.rev != uint64(expect):
		return nil, s.explain(ctx, it.key, expect)
	}
	before, err := ownedIn(it.noun, have)
	if err != nil {
		return nil, err
	}
	return s.alongside(ctx, it, before, 0)
}

// remove marks it as gone if it is at expect (0: whatever is there), with its
// index entry, and takes it off the tenant's count.
func (s *Store) remove(ctx context.Context, it item, expect endpoint.Revision) (endpoint.Revision, error) {
	indexKey, countKey := subject.KeyIndex(it.tenant, it.noun, it.id), subject.KeyCount(it.tenant, it.noun)
	return s.attempt(ctx, it, func() (uint64, error) {
		have, err := s.leader(ctx, it.key, indexKey, countKey)
		switch {
		case err != nil:
			return 0, err
		case have[0].gone():
			return 0, endpoint.ErrNotFound
		case expect != 0 && uint64(expect) != have[0].rev:
			return 0, endpoint.ErrConflict
		}
		with, err := s.released(ctx, &it, have[0])
		if err != nil {
			return 0, err
		}
		return s.commit(ctx, append(with,
			op{key: indexKey, expect: have[1].rev},
			op{key: countKey, expect: have[2].rev, data: counted(count(have[2]) - 1)},
			op{key: it.key, expect: have[0].rev})...)
	})
}

// attempt repeats try while it loses races, then makes the revision known to
// everybody who decides.
func (s *Store) attempt(ctx context.Context, it item, try func() (uint64, error)) (endpoint.Revision, error) {
	rev, err := s.write(ctx, it.tenant, it.noun, try)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", it.key, err)
	}
	s.raise(it.key, rev)
	s.sync(ctx, change{it.key, rev})
	return endpoint.Revision(rev), nil
}

// announce makes changes of a batch known to everybody who decides, the last of
// which is at revision last. All of them together take syncWait at most.
func (s *Store) announce(ctx context.Context, ops []op, last uint64) {
	changes := make([]change, len(ops))
	for i, o := range ops {
		changes[i] = change{o.key, last - uint64(len(ops)-1-i)}
		s.raise(o.key, changes[i].rev)
	}
	s.sync(ctx, changes...)
}

// write repeats try while it loses races, in the tenant's turn.
func (s *Store) write(ctx context.Context, tenant string, noun subject.Noun, try func() (uint64, error)) (uint64, error) {
	start := time.Now()
	leave, err := s.enter(ctx, tenant)
	if err != nil {
		return 0, err
	}
	defer leave()
	began := time.Now()
	rev, err := try()
	took := time.Since(began)
	for n := 1; n < maxAttempts && errors.Is(err, errRace); n++ {
		if !pause.For(ctx, rand.N(spread(n, took))) {
			break
		}
		rev, err = try()
	}
	if errors.Is(err, errRace) {
		err = fmt.Errorf("%w: too many writes of the same tenant at once", ErrUnavailable)
	}
	if s.obs.Write != nil {
		s.obs.Write(string(noun), time.Since(start), err)
	}
	return rev, err
}

// spread is how long a write that lost its nth race waits at most. It doubles,
// from what one attempt took: writers of other nodes that keep in step would lose
// to one another each time.
func spread(n int, took time.Duration) time.Duration {
	return min(max(took, time.Millisecond)<<min(n, 8), maxSpread)
}

// enter waits for the tenant's turn: writes of one node need not race each
// other for the tenant's count.
func (s *Store) enter(ctx context.Context, tenant string) (leave func(), err error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(tenant))
	turn := s.turns[h.Sum32()%turnstiles]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// explain says why a write at expect was refused: errRace if the key is there
// at expect after all.
func (s *Store) explain(ctx context.Context, key string, expect endpoint.Revision) error {
	now, err := s.getLeader(ctx, key)
	switch {
	case err != nil:
		return err
	case now.rev == uint64(expect) && !now.gone():
		return errRace
	case now.gone():
		return endpoint.ErrNotFound
	default:
		return endpoint.ErrConflict
	}
}

// leader reads keys from the leader, in order.
func (s *Store) leader(ctx context.Context, keys ...string) ([]stored, error) {
	all := make([]stored, len(keys))
	for i, key := range keys {
		var err error
		if all[i], err = s.getLeader(ctx, key); err != nil {
			return nil, err
		}
	}
	return all, nil
}

type countLine struct {
	V int `json:"v"`
	N int `json:"n"`
}

// count reads a tenant's count; none yet is none.
func count(s stored) int {
	var l countLine
	if s.gone() || json.Unmarshal(s.data, &l) != nil {
		return 0
	}
	return l.N
}

func counted(n int) []byte {
	b, _ := json.Marshal(countLine{V: version, N: max(n, 0)}) // two numbers cannot fail
	return b
}

func (s *Store) count(ctx context.Context, tenant string, noun subject.Noun) (int, error) {
	got, err := s.getLeader(ctx, subject.KeyCount(tenant, noun))
	if err != nil {
		return 0, fmt.Errorf("count of %s: %w", tenant, err)
	}
	return count(got), nil
}
