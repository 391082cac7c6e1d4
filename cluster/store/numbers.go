package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// Number implements actors.Store.
func (s *Store) Number(ctx context.Context, key endpoint.Key, partition uint8) (endpoint.Claims, error) {
	return read[endpoint.Claims](ctx, s, subject.KeyNumber(key, partition))
}

// CreateNumber stores a claim on a number and returns its revision. It returns
// endpoint.ErrExists where another claim stands in its way
// ([endpoint.Number.Conflicts]), and ErrLimit when the tenant has as many
// numbers as it may have endpoints, or the number [endpoint.MaxClaims];
// of its terms what CreateEndpoint returns.
func (s *Store) CreateNumber(ctx context.Context, n endpoint.Number, terms endpoint.Terms) (endpoint.Revision, error) {
	n.V, terms = version, endpoint.Terms{Once: terms.Once} // endpoints are counted
	it, err := numberItem(&n)
	if err != nil {
		return 0, err
	}
	indexKey, countKey := subject.KeyIndex(n.Tenant, it.noun, n.ID), subject.KeyCount(n.Tenant, it.noun)
	return s.attempt(ctx, it, func() (uint64, error) {
		have, err := s.leader(ctx, it.key, indexKey, countKey) // before the account is looked at: see create
		if err != nil {
			return 0, err
		}
		more, err := s.accept(ctx, it, terms)
		if err != nil {
			return 0, err
		}
		if !have[1].gone() {
			return 0, endpoint.ErrExists
		}
		if got := count(have[2]); s.cfg.MaxEndpoints > 0 && got >= s.cfg.MaxEndpoints {
			return 0, fmt.Errorf("%w: %d", ErrLimit, s.cfg.MaxEndpoints)
		}
		data, err := claimed(it.key, have[0], &n)
		if err != nil {
			return 0, err
		}
		return s.commit(ctx, append(more,
			op{key: indexKey, expect: have[1].rev, data: it.index},
			op{key: countKey, expect: have[2].rev, data: counted(count(have[2]) + 1)},
			op{key: it.key, expect: have[0].rev, data: data})...)
	})
}

// claimed adds a claim to those that stand.
func claimed(key string, have stored, n *endpoint.Number) ([]byte, error) {
	claims, err := claimsOf(key, have)
	if err != nil {
		return nil, err
	}
	for i := range claims.Numbers {
		if n.Conflicts(&claims.Numbers[i]) {
			return nil, endpoint.ErrExists
		}
	}
	if len(claims.Numbers) >= endpoint.MaxClaims {
		return nil, fmt.Errorf("%w: %d claims", ErrLimit, endpoint.MaxClaims)
	}
	claims.V, claims.Numbers = version, append(slices.Clip(claims.Numbers), *n)
	return json.Marshal(claims)
}

// claimsOf are the claims that stand; none where nothing is stored.
func claimsOf(key string, have stored) (endpoint.Claims, error) {
	e, err := decode[endpoint.Claims](key, have)
	if err != nil {
		return endpoint.Claims{}, err
	}
	claims, err := of[endpoint.Claims](e)
	if errors.Is(err, endpoint.ErrNotFound) {
		return endpoint.Claims{}, nil
	}
	return claims, err
}

// DeleteNumber gives a tenant's claim back.
func (s *Store) DeleteNumber(ctx context.Context, tenant, id string) error {
	key, err := s.numberKey(ctx, tenant, id)
	if err != nil {
		return err
	}
	it := item{tenant: tenant, noun: subject.NounNumber, id: id, key: key}
	indexKey, countKey := subject.KeyIndex(tenant, it.noun, id), subject.KeyCount(tenant, it.noun)
	_, err = s.attempt(ctx, it, func() (uint64, error) {
		have, err := s.leader(ctx, key, indexKey, countKey)
		if err != nil {
			return 0, err
		}
		claims, err := claimsOf(key, have[0])
		if err != nil {
			return 0, err
		}
		rest := slices.DeleteFunc(slices.Clone(claims.Numbers), func(n endpoint.Number) bool { return n.ID == id && n.Tenant == tenant })
		if have[1].gone() || len(rest) == len(claims.Numbers) {
			return 0, endpoint.ErrNotFound
		}
		last := op{key: key, expect: have[0].rev}
		if len(rest) > 0 {
			if last.data, err = json.Marshal(endpoint.Claims{V: version, Numbers: rest}); err != nil {
				return 0, err
			}
		}
		return s.commit(ctx,
			op{key: indexKey, expect: have[1].rev},
			op{key: countKey, expect: have[2].rev, data: counted(count(have[2]) - 1)},
			last)
	})
	return err
}

// NumberByID reads a tenant's claim by its id, as the leader has it now.
func (s *Store) NumberByID(ctx context.Context, tenant, id string) (endpoint.Number, error) {
	key, err := s.numberKey(ctx, tenant, id)
	if err != nil {
		return endpoint.Number{}, err
	}
	raw, err := s.getLeader(ctx, key)
	if err != nil {
		return endpoint.Number{}, fmt.Errorf("read %s: %w", key, err)
	}
	n, ok, err := pick(raw, key, tenant, id)
	if err == nil && !ok {
		err = fmt.Errorf("find number %s: %w", id, endpoint.ErrNotFound)
	}
	return n, err
}

// Numbers is Endpoints for numbers.
func (s *Store) Numbers(ctx context.Context, tenant, cursor string, limit int) (out []endpoint.Number, next string, err error) {
	next, err = s.walk(ctx, tenant, subject.NounNumber, cursor, limit, func(index []stored) (int, error) {
		before := len(out)
		err := s.numbers(ctx, tenant, index, func(n endpoint.Number) { out = append(out, n) })
		return len(out) - before, err
	})
	return out, next, err
}

// numbers reads the claims that index entries stand for, in their order.
func (s *Store) numbers(ctx context.Context, tenant string, index []stored, take func(endpoint.Number)) error {
	var keys, ids, subjects []string
	for _, raw := range index {
		if raw.gone() {
			continue
		}
		key, err := numberOf(raw)
		if err != nil {
			return err
		}
		keys, ids = append(keys, key), append(ids, idOf(raw))
		if at := s.prefix + key; !slices.Contains(subjects, at) {
			subjects = append(subjects, at)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := s.getMany(ctx, directQuery{Batch: len(subjects), MultiLast: subjects})
	if err != nil {
		return err
	}
	for i, key := range keys {
		at := slices.IndexFunc(found, func(raw stored) bool { return raw.key == key })
		if at < 0 {
			continue
		}
		n, ok, err := pick(found[at], key, tenant, ids[i])
		if err != nil {
			return err
		}
		if ok {
			take(n)
		}
	}
	return nil
}

// pick returns one claim of those stored at a key.
func pick(raw stored, key, tenant, id string) (endpoint.Number, bool, error) {
	claims, err := claimsOf(key, raw)
	i := slices.IndexFunc(claims.Numbers, func(n endpoint.Number) bool { return n.ID == id && n.Tenant == tenant })
	if err != nil || i < 0 {
		return endpoint.Number{}, false, err
	}
	n := claims.Numbers[i]
	n.Revision = endpoint.Revision(raw.rev)
	return n, true, nil
}

// numberKey returns the key at which the claim with the id stands.
func (s *Store) numberKey(ctx context.Context, tenant, id string) (string, error) {
	if !speakable(id) {
		return "", fmt.Errorf("find number: %w", endpoint.ErrNotFound)
	}
	raw, err := s.getLeader(ctx, subject.KeyIndex(tenant, subject.NounNumber, id))
	if err != nil {
		return "", fmt.Errorf("find number %s: %w", id, err)
	}
	if raw.gone() {
		return "", fmt.Errorf("find number %s: %w", id, endpoint.ErrNotFound)
	}
	return numberOf(raw)
}

func numberOf(raw stored) (string, error) {
	var l indexLine
	if err := json.Unmarshal(raw.data, &l); err != nil || l.V != version {
		return "", fmt.Errorf("read %s: revision %d is no index entry of version %d", raw.key, raw.rev, version)
	}
	return subject.KeyNumber(l.Key, l.Partition), nil
}

func idOf(raw stored) string { return raw.key[strings.LastIndexByte(raw.key, '.')+1:] }

func numberItem(n *endpoint.Number) (item, error) {
	addr := endpoint.NumberAddress(n.Digits)
	index, err := json.Marshal(indexLine{V: version, Partition: addr.Partition(), Key: addr.Key()})
	if err != nil {
		return item{}, fmt.Errorf("write number %s: %w", n.ID, err)
	}
	return item{tenant: n.Tenant, noun: subject.NounNumber, id: n.ID, key: subject.KeyNumber(addr.Key(), addr.Partition()), index: index}, nil
}
