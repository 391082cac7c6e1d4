package store

import (
	"context"
	"encoding/json"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// Domain implements actors.Store.
func (s *Store) Domain(ctx context.Context, key endpoint.Key, partition uint8) (string, error) {
	d, err := read[endpoint.Domain](ctx, s, subject.KeyDomain(key, partition))
	return d.Tenant, err
}

// ClaimDomain makes a label under the base domain the tenant's, for ever: what
// is dialled there must not become somebody else's. To claim it again is no
// error. It returns endpoint.ErrExists if it is another's.
func (s *Store) ClaimDomain(ctx context.Context, tenant, label string) error {
	addr := endpoint.AccountAddress(label)
	data, err := json.Marshal(endpoint.Domain{V: version, Tenant: tenant, Label: label})
	if err != nil {
		return fmt.Errorf("claim domain: %w", err)
	}
	it := item{tenant: tenant, noun: "dom", id: label, key: subject.KeyDomain(addr.Key(), addr.Partition()), data: data}
	_, err = s.attempt(ctx, it, func() (uint64, error) {
		have, err := s.getLeader(ctx, it.key)
		switch {
		case err != nil:
			return 0, err
		case have.gone():
			return s.commit(ctx, op{key: it.key, expect: have.rev, data: it.data})
		}
		e, err := decode[endpoint.Domain](it.key, have)
		if err != nil {
			return 0, err
		}
		if d, err := of[endpoint.Domain](e); err != nil || d.Tenant != tenant {
			return 0, endpoint.ErrExists
		}
		return have.rev, nil
	})
	return err
}
