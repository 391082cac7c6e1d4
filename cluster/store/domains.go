package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// Domain implements actors.Store.
func (s *Store) Domain(ctx context.Context, key endpoint.Key, partition uint8) (string, error) {
	d, err := read[endpoint.Domain](ctx, s, subject.KeyDomain(key, partition))
	return d.Tenant, err
}

// Host implements actors.Store.
func (s *Store) Host(ctx context.Context, key endpoint.Key, partition uint8) (string, error) {
	d, err := read[endpoint.Domain](ctx, s, subject.KeyDomain(key, partition))
	return d.Label, err
}

// domains returns the writes that make the label and the domains of an account
// its own, and that give back the domains it has no more; before are those it
// had. The error is an *endpoint.Taken where one is another account's.
//
// A label is never given back: what is dialled there must not become somebody
// else's.
func (s *Store) domains(ctx context.Context, tenant string, before, after endpoint.SipSettings) (ops []op, err error) {
	var wanted []endpoint.Domain
	label := after.DomainIdentifier
	fresh := label != "" && label != before.DomainIdentifier
	if fresh {
		wanted = append(wanted, endpoint.Domain{V: version, Tenant: tenant, Label: label})
	}
	for _, host := range after.CustomDomains {
		if fresh || !slices.Contains(before.CustomDomains, host) {
			wanted = append(wanted, endpoint.Domain{V: version, Tenant: tenant, Label: label, Host: host})
		}
	}
	for _, d := range wanted {
		o, err := s.claim(ctx, d)
		if err != nil {
			return nil, err
		}
		if o != nil {
			ops = append(ops, *o)
		}
	}
	left := slices.DeleteFunc(slices.Clone(before.CustomDomains), func(host string) bool { return slices.Contains(after.CustomDomains, host) })
	given, err := s.release(ctx, tenant, left)
	return append(ops, given...), err
}

// release returns the writes that give domains back; those that are another's
// are left alone.
func (s *Store) release(ctx context.Context, tenant string, hosts []string) (ops []op, err error) {
	for _, host := range hosts {
		have, d, err := s.claimed(ctx, keyOfHost(host))
		if err != nil {
			return nil, err
		}
		if d != nil && d.Tenant == tenant {
			ops = append(ops, op{key: have.key, expect: have.rev})
		}
	}
	return ops, nil
}

// claim returns the write of a claim; nil: it stands already.
func (s *Store) claim(ctx context.Context, d endpoint.Domain) (*op, error) {
	key, name := keyOfHost(d.Host), d.Host
	if d.Host == "" {
		addr := endpoint.AccountAddress(d.Label)
		key, name = subject.KeyDomain(addr.Key(), addr.Partition()), d.Label
	}
	have, is, err := s.claimed(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case is != nil && is.Tenant != d.Tenant:
		return nil, &endpoint.Taken{Name: name}
	case is != nil && *is == d:
		return nil, nil
	}
	data, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	return &op{key: key, expect: have.rev, data: data}, nil
}

// claimed reads a claim as the leader has it; nil: there is none.
func (s *Store) claimed(ctx context.Context, key string) (stored, *endpoint.Domain, error) {
	have, err := s.getLeader(ctx, key)
	if err != nil {
		return have, nil, err
	}
	e, err := decode[endpoint.Domain](key, have)
	d, _ := e.value.(*endpoint.Domain)
	return have, d, err
}

func keyOfHost(host string) string {
	addr := endpoint.HostAddress(host)
	return subject.KeyDomain(addr.Key(), addr.Partition())
}
