package store

import (
	"context"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// MaxApply is how many objects one batch holds at most: each new one is two
// messages of it, and a NATS server takes 1,000 unless told otherwise.
const MaxApply = 500

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
	var last uint64
	var ops []op
	last, err = s.write(ctx, tenant, "batch", func() (uint64, error) {
		var err error
		if ops, err = s.batch(ctx, tenant, items, revs, terms); err != nil {
			return 0, err
		}
		return s.commit(ctx, ops...)
	})
	if err != nil {
		return fmt.Errorf("write %d objects of %s: %w", len(items), tenant, err)
	}
	s.announce(ctx, ops[len(ops)-len(items):], last) // the objects are the end of the batch
	return nil
}

// batch returns the writes of all items: terms, index entries, counts, objects.
func (s *Store) batch(ctx context.Context, tenant string, items []item, revs []endpoint.Revision, terms endpoint.Terms) ([]op, error) {
	made := map[subject.Noun]int{}
	var ops, objects []op
	for i, it := range items {
		o := op{key: it.key, expect: uint64(revs[i]), data: it.data}
		if revs[i] == 0 {
			made[it.noun]++
			have, err := s.leader(ctx, it.key, subject.KeyIndex(tenant, it.noun, it.id))
			if err != nil {
				return nil, err
			}
			if !have[0].gone() || !have[1].gone() {
				return nil, fmt.Errorf("%s %s: %w", it.noun, it.id, endpoint.ErrExists)
			}
			o.expect = have[0].rev
			ops = append(ops, op{key: have[1].key, expect: have[1].rev, data: it.index})
		} else if err := s.stands(ctx, it.key, revs[i]); err != nil {
			return nil, fmt.Errorf("%s %s: %w", it.noun, it.id, err)
		}
		objects = append(objects, o)
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

// stands returns endpoint.ErrConflict unless the object is at the revision.
func (s *Store) stands(ctx context.Context, key string, rev endpoint.Revision) error {
	have, err := s.getLeader(ctx, key)
	if err == nil && (have.gone() || have.rev != uint64(rev)) {
		return endpoint.ErrConflict
	}
	return err
}

// counts returns the writes of the tenant's counts and of its day.
func (s *Store) counts(ctx context.Context, tenant string, made map[subject.Noun]int, terms endpoint.Terms) ([]op, error) {
	var ops []op
	for _, c := range []struct {
		noun  subject.Noun
		limit int
	}{{subject.NounAgent, s.cfg.MaxAgents}, {subject.NounEndpoint, s.cfg.MaxEndpoints}} {
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
