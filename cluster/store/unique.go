package store

import (
	"context"
	"encoding/json"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// A uniqueLine says which object has a name alone.
type uniqueLine struct {
	V         int          `json:"v"`
	Tenant    string       `json:"tenant"`
	Noun      subject.Noun `json:"noun"`
	ID        string       `json:"id"`
	Partition uint8        `json:"partition,omitempty"` // of an endpoint
	Key       endpoint.Key `json:"key,omitempty"`       // of an endpoint
}

// An owned object has names that no other may have.
type owned interface{ Unique() []endpoint.Claimed }

// names returns the writes that give an object the names of after and take from
// it those of before (nil: a new object; after nil: one that goes). A name that
// another object has is an *endpoint.Duplicate.
func (s *Store) names(ctx context.Context, it *item, before, after owned) ([]op, error) {
	var ops []op
	had := map[endpoint.Claimed]bool{}
	if before != nil {
		for _, c := range before.Unique() {
			had[c] = true
		}
	}
	if after != nil {
		for _, c := range after.Unique() {
			if had[c] {
				delete(had, c)
				continue
			}
			take, err := s.takeName(ctx, it, c)
			if err != nil {
				return nil, err
			}
			ops = append(ops, take)
		}
	}
	for c := range had {
		have, err := s.getLeader(ctx, subject.KeyUnique(it.tenant, c))
		if err != nil {
			return nil, err
		}
		if !have.gone() {
			ops = append(ops, op{key: have.key, expect: have.rev})
		}
	}
	return ops, nil
}

func (s *Store) takeName(ctx context.Context, it *item, c endpoint.Claimed) (op, error) {
	have, err := s.getLeader(ctx, subject.KeyUnique(it.tenant, c))
	if err != nil {
		return op{}, err
	}
	if !have.gone() {
		return op{}, &endpoint.Duplicate{Field: c.Field}
	}
	return it.name(have)
}

// batchNames is names for one of many objects of a batch, which know what there
// is. taken are the names that the batch has given.
func (s *Store) batchNames(it *item, object stored, have map[string]stored, taken map[string]bool) ([]op, error) {
	if it.names == nil {
		return nil, nil
	}
	had := map[endpoint.Claimed]bool{}
	if !object.gone() {
		before, err := ownedIn(it.noun, object)
		if err != nil || before == nil {
			return nil, err
		}
		for _, c := range before.Unique() {
			had[c] = true
		}
	}
	var ops []op
	for _, c := range it.names.Unique() {
		if had[c] {
			delete(had, c)
			continue
		}
		now := have[subject.KeyUnique(it.tenant, c)]
		if !now.gone() || taken[now.key] {
			return nil, &endpoint.Duplicate{Field: c.Field, ID: it.id}
		}
		taken[now.key] = true
		give, err := it.name(now)
		if err != nil {
			return nil, err
		}
		ops = append(ops, give)
	}
	if len(had) > 0 { // which an import does not do: it would give a name to another line
		return nil, fmt.Errorf("%w: a batch cannot change the server or username of a registration", ErrAddress)
	}
	return ops, nil
}

// name returns the write that gives the item a name that nobody has.
func (it *item) name(have stored) (op, error) {
	line := uniqueLine{V: version, Tenant: it.tenant, Noun: it.noun, ID: it.id, Partition: it.partition, Key: it.address}
	data, err := json.Marshal(line)
	if err != nil {
		return op{}, fmt.Errorf("write %s: %w", have.key, err)
	}
	return op{key: have.key, expect: have.rev, data: data}, nil
}

// ownedIn reads the object that has names of its own, of a noun that has any.
func ownedIn(noun subject.Noun, have stored) (owned, error) {
	switch noun {
	case subject.NounEndpoint:
		return decoded[endpoint.Endpoint](have)
	case subject.NounRegistration:
		return decoded[endpoint.Registration](have)
	case subject.NounApplication:
		return decoded[endpoint.Application](have)
	}
	return nil, nil
}

// decoded reads an object that is there, with the pointer's methods.
func decoded[T object, P interface {
	*T
	owned
}](have stored) (owned, error) {
	e, err := decode[T](have.key, have)
	if err != nil {
		return nil, err
	}
	v, err := of[T](e)
	return P(&v), err
}

// released returns the writes that give back what an object that goes has.
func (s *Store) released(ctx context.Context, it *item, have stored) ([]op, error) {
	before, err := ownedIn(it.noun, have)
	if err != nil || before == nil {
		return nil, err
	}
	if ep, ok := before.(*endpoint.Endpoint); ok {
		it.register = ep.Kind == endpoint.KindRegister
	}
	it.data = nil
	return s.alongside(ctx, it, before, 0)
}

// registers returns the write that adds n to the tenant's registrations, of
// endpoints and those that stand alone; ErrLimit beyond most (0: no limit).
func (s *Store) registers(ctx context.Context, tenant string, n, most int) ([]op, error) {
	have, err := s.getLeader(ctx, subject.KeyCount(tenant, subject.NounRegistration))
	if err != nil {
		return nil, err
	}
	if n > 0 && most > 0 && count(have)+n > most {
		return nil, fmt.Errorf("%w: %d registrations", ErrLimit, most)
	}
	return []op{{key: have.key, expect: have.rev, data: counted(count(have) + n)}}, nil
}

// EndpointByNumber reads the endpoint with a numeric id, as the leader has it
// now.
func (s *Store) EndpointByNumber(ctx context.Context, tenant, numeric string) (endpoint.Endpoint, error) {
	line, err := s.numbered(ctx, tenant, subject.NounEndpoint, numeric)
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	return current[endpoint.Endpoint](ctx, s, subject.KeyEndpoint(line.Key, line.Partition))
}

// numbered finds the tenant's object with a numeric id.
func (s *Store) numbered(ctx context.Context, tenant string, noun subject.Noun, numeric string) (line uniqueLine, err error) {
	raw, err := s.getLeader(ctx, subject.KeyUnique(tenant, endpoint.Claimed{Space: endpoint.SpaceNumeric, Name: numeric}))
	if err != nil {
		return line, fmt.Errorf("find %s %s: %w", noun, numeric, err)
	}
	if !raw.gone() {
		if err := json.Unmarshal(raw.data, &line); err != nil || line.V != version {
			return line, fmt.Errorf("read %s: revision %d is no name of version %d", raw.key, raw.rev, version)
		}
	}
	if line.Tenant != tenant || line.Noun != noun {
		return line, fmt.Errorf("find %s %s: %w", noun, numeric, endpoint.ErrNotFound)
	}
	return line, nil
}
