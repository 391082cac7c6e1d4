package store

import (
	"context"
	"errors"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// MaxTrunks is how many trunks one tenant may have.
const MaxTrunks = 100

func trunkItem(t *endpoint.Trunk) (item, error) {
	t.V = version
	return newItem(t.Tenant, subject.NounTrunk, t.ID, subject.KeyTrunk(t.Tenant, t.ID), indexLine{}, t)
}

// CreateTrunk stores a new trunk, as CreateEndpoint does an endpoint.
func (s *Store) CreateTrunk(ctx context.Context, t endpoint.Trunk, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := trunkItem(&t)
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, MaxTrunks, endpoint.Terms{Once: terms.Once})
}

// UpdateTrunk replaces the version at t.Revision, as UpdateEndpoint does.
func (s *Store) UpdateTrunk(ctx context.Context, t endpoint.Trunk) (endpoint.Revision, error) {
	it, err := trunkItem(&t)
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, t.Revision)
}

// DeleteTrunk removes the trunk with t's tenant and id if it is at t.Revision
// (0: at any).
func (s *Store) DeleteTrunk(ctx context.Context, t endpoint.Trunk) error {
	_, err := s.remove(ctx, item{tenant: t.Tenant, noun: subject.NounTrunk, id: t.ID, key: subject.KeyTrunk(t.Tenant, t.ID)}, t.Revision)
	return err
}

// TrunkByID reads a trunk as the leader has it now.
func (s *Store) TrunkByID(ctx context.Context, tenant, id string) (endpoint.Trunk, error) {
	return current[endpoint.Trunk](ctx, s, subject.KeyTrunk(tenant, id))
}

// Trunks is Endpoints for trunks.
func (s *Store) Trunks(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.Trunk, string, error) {
	return page[endpoint.Trunk](ctx, s, tenant, subject.NounTrunk, cursor, limit)
}

// Remember keeps what something was that is no object of the bucket, a call,
// under its idempotency key: as a creation would. It returns an
// *endpoint.Repeat or endpoint.ErrReused where the key was used.
func (s *Store) Remember(ctx context.Context, tenant string, once endpoint.Once) error {
	_, err := s.write(ctx, tenant, "once", func() (uint64, error) {
		ops, err := s.once(ctx, tenant, once.ID, once)
		if err != nil || len(ops) == 0 {
			return 0, err
		}
		return s.commit(ctx, ops...)
	})
	return err
}

// OwnsIdentity reports whether a caller's identity is the tenant's: a number
// that leads to an endpoint of it, or a user at the domain of its label.
func (s *Store) OwnsIdentity(ctx context.Context, tenant, label, user string) (bool, error) {
	if digits, ok := endpoint.ParseNumber(user); ok {
		a := endpoint.NumberAddress(digits)
		claims, err := s.Number(ctx, a.Key(), a.Partition())
		if err != nil && !errors.Is(err, endpoint.ErrNotFound) {
			return false, err
		}
		for i := range claims.Numbers {
			if claims.Numbers[i].Tenant == tenant {
				return true, nil
			}
		}
	}
	if label == "" {
		return false, nil
	}
	a := endpoint.UserAddress(label, user)
	ep, err := s.Endpoint(ctx, a.Key(), a.Partition())
	if errors.Is(err, endpoint.ErrNotFound) {
		return false, nil
	}
	return err == nil && ep.Tenant == tenant, err
}
