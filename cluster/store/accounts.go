package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// ErrNotEmpty says that an account still has endpoints, agents or numbers.
var ErrNotEmpty = errors.New("store: the account is not empty")

// CreateAccount stores a new account, or returns endpoint.ErrExists, or
// ErrLimit where there are 10,000.
func (s *Store) CreateAccount(ctx context.Context, a endpoint.Account, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := accountItem(&a)
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, maxAccounts, terms)
}

// UpdateAccount replaces the version at a.Revision, as UpdateEndpoint does.
func (s *Store) UpdateAccount(ctx context.Context, a endpoint.Account) (endpoint.Revision, error) {
	it, err := accountItem(&a)
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, a.Revision)
}

// AccountByTenant reads an account as the leader has it now.
func (s *Store) AccountByTenant(ctx context.Context, tenant string) (endpoint.Account, error) {
	return current[endpoint.Account](ctx, s, subject.KeyAccount(tenant))
}

// Accounts returns a page of all accounts, as Endpoints does of a tenant's
// endpoints.
func (s *Store) Accounts(ctx context.Context, cursor string, limit int) ([]endpoint.Account, string, error) {
	return page[endpoint.Account](ctx, s, endpoint.OperatorTenant, subject.NounAccount, cursor, limit)
}

// DeleteAccount removes the account with a's tenant and its API keys if it is
// at a.Revision (0: at any) and has no endpoints, agents or numbers, else
// ErrNotEmpty. What somebody creates in it meanwhile loses.
func (s *Store) DeleteAccount(ctx context.Context, a endpoint.Account) error {
	it, err := accountItem(&a)
	if err != nil {
		return err
	}
	it.data = nil
	indexKey, listKey := subject.KeyIndex(it.tenant, it.noun, it.id), subject.KeyCount(it.tenant, it.noun)
	var keys []op
	_, err = s.attempt(ctx, it, func() (uint64, error) {
		have, err := s.leader(ctx, it.key, indexKey, listKey, subject.KeyCount(a.Tenant, subject.NounEndpoint),
			subject.KeyCount(a.Tenant, subject.NounAgent), subject.KeyCount(a.Tenant, subject.NounKey), subject.KeyCount(a.Tenant, subject.NounNumber))
		switch {
		case err != nil:
			return 0, err
		case have[0].gone():
			return 0, endpoint.ErrNotFound
		case a.Revision != 0 && uint64(a.Revision) != have[0].rev:
			return 0, endpoint.ErrConflict
		case count(have[3]) > 0 || count(have[4]) > 0 || count(have[6]) > 0:
			return 0, fmt.Errorf("%w: %d endpoints, %d agents, %d numbers", ErrNotEmpty, count(have[3]), count(have[4]), count(have[6]))
		}
		if keys, err = s.keysOf(ctx, a.Tenant); err != nil {
			return 0, err
		}
		ops := append([]op{}, keys...)
		for _, c := range have[3:] {
			ops = append(ops, op{key: c.key, expect: c.rev})
		}
		return s.commit(ctx, append(ops,
			op{key: indexKey, expect: have[1].rev},
			op{key: listKey, expect: have[2].rev, data: counted(count(have[2]) - 1)},
			op{key: it.key, expect: have[0].rev})...)
	})
	return err
}

// keysOf returns the removal of all API keys of a tenant and of their index
// entries.
func (s *Store) keysOf(ctx context.Context, tenant string) ([]op, error) {
	index, err := s.getMany(ctx, directQuery{Seq: 1, Batch: endpoint.MaxKeys + 1, Next: s.prefix + subject.IndexOf(tenant, subject.NounKey)})
	if err != nil {
		return nil, fmt.Errorf("list keys of %s: %w", tenant, err)
	}
	var ops []op
	for _, raw := range index {
		if raw.gone() {
			continue
		}
		key, err := target(raw, tenant, subject.NounKey)
		if err != nil {
			return nil, err
		}
		have, err := s.getLeader(ctx, key)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op{key: raw.key, expect: raw.rev}, op{key: key, expect: have.rev})
	}
	return ops, nil
}

// accountItem is an account as one of the operator's objects.
func accountItem(a *endpoint.Account) (item, error) {
	a.V = version
	data, err := json.Marshal(a)
	if err != nil {
		return item{}, fmt.Errorf("write account %s: %w", a.Tenant, err)
	}
	index, err := json.Marshal(indexLine{V: version})
	if err != nil {
		return item{}, fmt.Errorf("write account %s: %w", a.Tenant, err)
	}
	return item{tenant: endpoint.OperatorTenant, noun: subject.NounAccount, id: a.Tenant,
		key: subject.KeyAccount(a.Tenant), index: index, data: data}, nil
}
