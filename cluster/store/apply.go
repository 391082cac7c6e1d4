package store

import (
	"context"
	"errors"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// MaxApply is how many objects one batch holds at most, and maxBatch how many
// messages: each new object is two of them, and one more for each name that it
// has alone. A NATS server takes 1,000 unless told otherwise.
const (
	MaxApply = 500
	maxBatch = 1000
)

// Apply creates the objects at revision 0 and replaces the others, all or none.
// All are one tenant's, and no id is there twice. It returns endpoint.ErrExists
// or endpoint.ErrConflict where one of them is not as its revision says, and
// what CreateEndpoint returns of limits and terms. When it returns, every live
// decider knows them, or a second has passed.
func (s *Store) Apply(ctx context.Context, tenant string, agents []endpoint.Agent, eps []endpoint.Endpoint, terms endpoint.Terms) error {
	items, revs, err := batchItems(agents, eps)
	if err != nil {
		return err
	}
	if len(items) > MaxApply {
		return fmt.Errorf("write %d objects of %s: %w: %d at once", len(items), tenant, ErrLimit, MaxApply)
	}
	if len(items) == 0 {
		return nil
	}
	for i := range agents {
		if err := s.hookedAgent(ctx, &agents[i]); err != nil {
			return fmt.Errorf("write %d objects of %s: %w", len(items), tenant, err)
		}
	}
	if err := s.newAgents(ctx, agents...); err != nil {
		return fmt.Errorf("write %d objects of %s: %w", len(items), tenant, err)
	}
	var last uint64
	var ops []op
	last, err = s.write(ctx, tenant, "batch", func() (uint64, error) {
		var err error
		if ops, err = s.assemble(ctx, tenant, items, revs, terms); err != nil {
			return 0, err
		}
		if len(ops) > maxBatch {
			return 0, fmt.Errorf("%w: %d messages at once, want at most %d", ErrLimit, len(ops), maxBatch)
		}
		return s.commit(ctx, ops...)
	})
	if err != nil {
		return fmt.Errorf("write %d objects of %s: %w", len(items), tenant, err)
	}
	for i, o := range ops {
		if _, ok := indexedTenant(o.key); ok {
			s.raise(o.key, last-uint64(len(ops)-1-i))
		}
	}
	s.announce(ctx, ops[len(ops)-len(items):], last) // the objects are the end of the batch
	return nil
}

// assemble returns the writes of a batch. It looks at what any replica has,
// with one request, and only where that stands in the way at the leader's.
func (s *Store) assemble(ctx context.Context, tenant string, items []item, revs []endpoint.Revision, terms endpoint.Terms) ([]op, error) {
	keys := batchKeys(tenant, items, revs)
	have, err := s.newest(ctx, keys)
	if err == nil {
		var ops []op
		if ops, err = s.batch(ctx, tenant, items, revs, terms, have); err == nil {
			return ops, nil
		}
	}
	if errors.Is(err, ErrLimit) || errors.Is(err, ErrDaily) {
		return nil, err
	}
	leads, err := s.leader(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for _, raw := range leads {
		have[raw.key] = raw
	}
	return s.batch(ctx, tenant, items, revs, terms, have)
}

// batchKeys are the keys that say whether a batch may be written.
func batchKeys(tenant string, items []item, revs []endpoint.Revision) []string {
	var keys []string
	for i, it := range items {
		keys = append(keys, it.key)
		if revs[i] == 0 {
			keys = append(keys, subject.KeyIndex(tenant, it.noun, it.id))
		}
		if it.names != nil {
			for _, c := range it.names.Unique() {
				keys = append(keys, subject.KeyUnique(tenant, c))
			}
		}
	}
	return keys
}

// batch returns the writes of all items: terms, index entries, names, counts,
// objects. have is what there is now.
func (s *Store) batch(ctx context.Context, tenant string, items []item, revs []endpoint.Revision, terms endpoint.Terms, have map[string]stored) ([]op, error) {
	made := map[subject.Noun]int{}
	taken := map[string]bool{}
	var ops, objects []op
	for i := range items {
		it := &items[i]
		object, index := have[it.key], have[subject.KeyIndex(tenant, it.noun, it.id)]
		o := op{key: it.key, expect: uint64(revs[i]), data: it.data}
		switch {
		case revs[i] != 0:
			if object.gone() || object.rev != uint64(revs[i]) {
				return nil, fmt.Errorf("%s %s: %w", it.noun, it.id, endpoint.ErrConflict)
			}
		case !object.gone() || !index.gone():
			return nil, fmt.Errorf("%s %s: %w", it.noun, it.id, endpoint.ErrExists)
		default:
			made[it.noun]++
			if it.register {
				made[subject.NounRegistration]++
			}
			o.expect = object.rev
			ops = append(ops, op{key: index.key, expect: index.rev, data: it.index})
		}
		names, err := s.batchNames(it, object, have, taken)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", it.noun, it.id, err)
		}
		ops, objects = append(ops, names...), append(objects, o)
	}
	counts, err := s.counts(ctx, tenant, made, terms)
	if err != nil {
		return nil, err
	}
	account, err := s.getLeader(ctx, subject.KeyAccount(tenant)) // after its counts: see create
	if err == nil && account.gone() {
		err = fmt.Errorf("account %s: %w", tenant, endpoint.ErrNotFound)
	}
	return append(append(ops, counts...), objects...), err
}

// counts returns the writes of the tenant's counts and of its day.
func (s *Store) counts(ctx context.Context, tenant string, made map[subject.Noun]int, terms endpoint.Terms) ([]op, error) {
	var ops []op
	for _, c := range []struct {
		noun  subject.Noun
		limit int
	}{{subject.NounAgent, s.cfg.MaxAgents}, {subject.NounEndpoint, s.cfg.MaxEndpoints}, {subject.NounRegistration, terms.Registrations}} {
		if made[c.noun] == 0 {
			continue
		}
		have, err := s.getLeader(ctx, subject.KeyCount(tenant, c.noun))
		if err != nil {
			return nil, err
		}
		n := count(have) + made[c.noun]
		if c.limit > 0 && n > c.limit {
			return nil, fmt.Errorf("%w: %d", ErrLimit, c.limit)
		}
		ops = append(ops, op{key: have.key, expect: have.rev, data: counted(n)})
	}
	quota, err := s.spend(ctx, tenant, terms, made[subject.NounEndpoint])
	return append(ops, quota...), err
}

func batchItems(agents []endpoint.Agent, eps []endpoint.Endpoint) ([]item, []endpoint.Revision, error) {
	var items []item
	var revs []endpoint.Revision
	for i := range agents {
		it, err := agentItem(&agents[i])
		if err != nil {
			return nil, nil, err
		}
		items, revs = append(items, it), append(revs, agents[i].Revision)
	}
	for i := range eps {
		it, err := endpointItem(&eps[i])
		if err != nil {
			return nil, nil, err
		}
		items, revs = append(items, it), append(revs, eps[i].Revision)
	}
	return items, revs, nil
}
