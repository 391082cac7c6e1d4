package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// ErrNotEmpty says that an account still has objects other than keys.
var ErrNotEmpty = errors.New("store: the account is not empty")

// CreateAccount stores a new account with its claims on domains, or returns
// endpoint.ErrExists, an *endpoint.Taken, or ErrLimit where there are 10,000.
func (s *Store) CreateAccount(ctx context.Context, a endpoint.Account, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := accountItem(&a)
	if err != nil {
		return 0, err
	}
	it.also = func() ([]op, error) { return s.domains(ctx, a.Tenant, endpoint.SipSettings{}, a.SIP) }
	return s.create(ctx, it, maxAccounts, terms)
}

// UpdateAccount replaces the version at a.Revision, as UpdateEndpoint does,
// and changes its claims on domains in the same batch. terms are those of what
// the change creates within the account.
func (s *Store) UpdateAccount(ctx context.Context, a endpoint.Account, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := accountItem(&a)
	if err != nil {
		return 0, err
	}
	var claims []op
	rev, err := s.attempt(ctx, it, func() (uint64, error) {
		once, err := s.once(ctx, a.Tenant, terms.Once.ID, terms.Once)
		if err != nil {
			return 0, err
		}
		before, err := s.accountAt(ctx, it.key, a.Revision)
		if err != nil {
			return 0, err
		}
		if claims, err = s.domains(ctx, a.Tenant, before.SIP, a.SIP); err != nil {
			return 0, err
		}
		return s.commit(ctx, append(append(once, claims...), op{key: it.key, expect: uint64(a.Revision), data: it.data})...)
	})
	if err == nil {
		s.announce(ctx, claims, uint64(rev)-1)
	}
	return rev, err
}

// accountAt reads an account if it is at that revision, else endpoint.ErrConflict
// or ErrNotFound.
func (s *Store) accountAt(ctx context.Context, key string, rev endpoint.Revision) (endpoint.Account, error) {
	have, err := s.getLeader(ctx, key)
	switch {
	case err != nil:
		return endpoint.Account{}, err
	case have.gone():
		return endpoint.Account{}, endpoint.ErrNotFound
	case have.rev != uint64(rev):
		return endpoint.Account{}, endpoint.ErrConflict
	}
	e, err := decode[endpoint.Account](key, have)
	if err != nil {
		return endpoint.Account{}, err
	}
	return of[endpoint.Account](e)
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

// DeleteAccount removes the account with a's tenant, its API keys and its claims
// on domains, if it is at a.Revision (0: at any) and has nothing else, else
// ErrNotEmpty. What somebody creates in it meanwhile loses.
func (s *Store) DeleteAccount(ctx context.Context, a endpoint.Account) error {
	it, err := accountItem(&a)
	if err != nil {
		return err
	}
	it.data = nil
	indexKey, listKey := subject.KeyIndex(it.tenant, it.noun, it.id), subject.KeyCount(it.tenant, it.noun)
	var domains []op
	rev, err := s.attempt(ctx, it, func() (uint64, error) {
		have, err := s.leader(ctx, it.key, indexKey, listKey)
		if err != nil {
			return 0, err
		}
		expect := a.Revision
		if expect == 0 {
			expect = endpoint.Revision(have[0].rev)
		}
		now, err := s.accountAt(ctx, it.key, expect)
		if err != nil {
			return 0, err
		}
		ops, err := s.emptied(ctx, a.Tenant)
		if err == nil {
			domains, err = s.release(ctx, a.Tenant, now.SIP.CustomDomains)
		}
		if err != nil {
			return 0, err
		}
		return s.commit(ctx, append(append(ops, domains...),
			op{key: indexKey, expect: have[1].rev},
			op{key: listKey, expect: have[2].rev, data: counted(count(have[2]) - 1)},
			op{key: it.key, expect: uint64(expect)})...)
	})
	if err == nil {
		s.announce(ctx, domains, uint64(rev)-ownOps)
	}
	return err
}

// emptyOf are the nouns of which an account must have none when it ends.
var emptyOf = []subject.Noun{subject.NounEndpoint, subject.NounAgent, subject.NounNumber, subject.NounApplication,
	subject.NounRegistration, subject.NounThrottle, subject.NounTrunk, subject.NounWebhook}

// emptied returns the removal of an account's keys and of its counts, which
// whoever creates something in it meanwhile would change; ErrNotEmpty where it
// has more than keys.
func (s *Store) emptied(ctx context.Context, tenant string) ([]op, error) {
	var ops []op
	for _, noun := range emptyOf {
		have, err := s.getLeader(ctx, subject.KeyCount(tenant, noun))
		if err != nil {
			return nil, err
		}
		if n := count(have); n > 0 {
			return nil, fmt.Errorf("%w: %d of %s", ErrNotEmpty, n, noun)
		}
		ops = append(ops, op{key: have.key, expect: have.rev})
	}
	keys, err := s.getLeader(ctx, subject.KeyCount(tenant, subject.NounKey))
	if err != nil {
		return nil, err
	}
	gone, err := s.keysOf(ctx, tenant, count(keys))
	return append(append(gone, ops...), op{key: keys.key, expect: keys.rev}), err
}

// keysOf returns the removal of all n API keys of a tenant and of their index
// entries. A replica that does not show them all yet is asked again: a key that
// is left behind would be good for whoever gets the name next.
func (s *Store) keysOf(ctx context.Context, tenant string, n int) ([]op, error) {
	index, err := s.indexed(ctx, subject.IndexOf(tenant, subject.NounKey))
	if err != nil {
		return nil, fmt.Errorf("list keys of %s: %w", tenant, err)
	}
	var ops []op
	for _, raw := range index {
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
	if len(ops) != 2*n {
		return nil, errRace
	}
	return ops, nil
}

// indexed reads a whole part of the index, past the marks of what is gone.
func (s *Store) indexed(ctx context.Context, part string) (all []stored, err error) {
	for from := uint64(1); ; {
		found, err := s.getMany(ctx, directQuery{Seq: from, Batch: endpoint.MaxKeys, Next: s.prefix + part})
		if err != nil || len(found) == 0 {
			return all, err
		}
		from = found[len(found)-1].rev + 1
		all = append(all, slices.DeleteFunc(found, stored.gone)...)
	}
}

// accountItem is an account as one of the operator's objects.
func accountItem(a *endpoint.Account) (item, error) {
	a.V = version
	return newItem(endpoint.OperatorTenant, subject.NounAccount, a.Tenant, subject.KeyAccount(a.Tenant), indexLine{}, a)
}
