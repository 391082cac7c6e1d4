package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// ErrDaily says that a tenant has created as many endpoints today as it may.
var ErrDaily = errors.New("store: the tenant's creations of the day are used up")

// A onceLine is what is remembered of a creation under an idempotency key.
type onceLine struct {
	V    int    `json:"v"`
	Body string `json:"body"`
	ID   string `json:"id"`
	Note string `json:"note,omitempty"`
}

// accept returns what else a creation must write, or why there is none: its
// tenant has no account, its day is used up, or it was made before.
//
// That the account stays there until the creation is committed is the count's
// doing: whoever removes an account takes its counts with it.
func (s *Store) accept(ctx context.Context, it item, terms endpoint.Terms) ([]op, error) {
	once, err := s.once(ctx, it.tenant, it.id, terms.Once)
	if err != nil {
		return nil, err
	}
	if it.noun == subject.NounAccount {
		return once, nil
	}
	account, err := s.getLeader(ctx, subject.KeyAccount(it.tenant))
	if err != nil {
		return nil, err
	}
	if account.gone() {
		return nil, fmt.Errorf("account %s: %w", it.tenant, endpoint.ErrNotFound)
	}
	quota, err := s.spend(ctx, it.tenant, terms, 1)
	return append(once, quota...), err
}

// once returns the write that remembers the creation of id, or the
// *endpoint.Repeat of one that is remembered.
func (s *Store) once(ctx context.Context, tenant, id string, o endpoint.Once) ([]op, error) {
	if o.Key == "" {
		return nil, nil
	}
	key := subject.KeyOnce(tenant, o.Key)
	have, err := s.getLeader(ctx, key)
	if err != nil {
		return nil, err
	}
	if !have.gone() {
		return nil, repeated(have, o)
	}
	line, err := json.Marshal(onceLine{V: version, Body: o.Body, ID: id, Note: o.Note})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", key, err)
	}
	return []op{{key: key, expect: have.rev, data: line, ttl: onceTTL}}, nil
}

func repeated(have stored, o endpoint.Once) error {
	var line onceLine
	if err := json.Unmarshal(have.data, &line); err != nil || line.V != version {
		return fmt.Errorf("read %s: revision %d is no memory of version %d", have.key, have.rev, version)
	}
	if line.Body != o.Body {
		return endpoint.ErrReused
	}
	return &endpoint.Repeat{ID: line.ID, Note: line.Note}
}

// Repeated returns an *endpoint.Repeat if a creation under the key was made, or
// endpoint.ErrReused if another one was; nil if none.
func (s *Store) Repeated(ctx context.Context, tenant string, o endpoint.Once) error {
	_, err := s.once(ctx, tenant, "", o)
	return err
}

// spend returns the writes that take n creations from the tenant's day, and from
// its project's.
func (s *Store) spend(ctx context.Context, tenant string, terms endpoint.Terms, n int) (ops []op, err error) {
	for _, c := range []struct {
		key string
		may int
	}{{subject.KeyQuota(tenant, terms.Day), terms.PerDay}, {subject.KeyProjectQuota(tenant, terms.Day, terms.Project), terms.ProjectPerDay}} {
		if c.may <= 0 || n == 0 {
			continue
		}
		have, err := s.getLeader(ctx, c.key)
		if err != nil {
			return nil, err
		}
		spent := count(have) + n
		if spent > c.may {
			return nil, fmt.Errorf("%w: %d", ErrDaily, c.may)
		}
		ops = append(ops, op{key: c.key, expect: have.rev, data: counted(spent), ttl: quotaTTL})
	}
	return ops, nil
}
