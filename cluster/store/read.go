package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// An object is what the bucket holds.
type object interface {
	endpoint.Endpoint | endpoint.Account | endpoint.Agent | endpoint.Domain | endpoint.Claims | endpoint.APIKey |
		endpoint.Application | endpoint.Registration | endpoint.Throttle | endpoint.Trunk | endpoint.Webhook | endpoint.Webhooks
}

// Endpoint implements actors.Store. The value's slices and maps are shared:
// readers must not change them.
func (s *Store) Endpoint(ctx context.Context, key endpoint.Key, partition uint8) (endpoint.Endpoint, error) {
	return read[endpoint.Endpoint](ctx, s, subject.KeyEndpoint(key, partition))
}

// Account implements actors.Store.
func (s *Store) Account(ctx context.Context, tenant string) (endpoint.Account, error) {
	return read[endpoint.Account](ctx, s, subject.KeyAccount(tenant))
}

// Agent implements actors.Store.
func (s *Store) Agent(ctx context.Context, tenant, id string) (endpoint.Agent, error) {
	return read[endpoint.Agent](ctx, s, subject.KeyAgent(tenant, id))
}

// read answers from memory while the feed is fresh, else from the bucket, and
// from memory again where the bucket cannot be read.
func read[T object](ctx context.Context, s *Store, key string) (T, error) {
	now := time.Now()
	e, known := s.cache.get(key)
	if known && s.trusted(now, &e) {
		s.observeRead(key, "cache", now)
		return of[T](e)
	}
	got, err := fetch[T](ctx, s, key)
	switch {
	case err == nil:
		s.observeRead(key, "store", now)
		return of[T](got)
	case known && s.doubt(now, &e) < serveStale && errors.Is(err, ErrUnavailable):
		s.observeRead(key, "stale", now)
		return of[T](e)
	}
	s.observeRead(key, "error", now)
	var none T
	return none, err
}

// fetch reads key from the bucket: from any replica, or from the leader where
// the replica is behind what this node knows already.
func fetch[T object](ctx context.Context, s *Store, key string) (entry, error) {
	if s.cfg.ReadTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.ReadTimeout)
		defer cancel()
	}
	following := s.feed.following()
	raw, err := s.getDirect(ctx, key)
	if err == nil && raw.rev < s.cache.floor(key) {
		raw, err = s.getLeader(ctx, key)
	}
	if err != nil {
		return entry{}, fmt.Errorf("read %s: %w", key, err)
	}
	e, err := decode[T](key, raw)
	if err != nil {
		return entry{}, err
	}
	if following {
		s.cache.put(e)
	}
	return e, nil
}

// decode makes an entry of what was read.
func decode[T object](key string, raw stored) (entry, error) {
	e := entry{key: key, rev: raw.rev, checked: time.Now()}
	if raw.gone() {
		return e, nil
	}
	var v T
	if err := json.Unmarshal(raw.data, &v); err != nil {
		// The JSON error may quote the value: it holds secrets.
		return entry{}, fmt.Errorf("read %s: revision %d is no object of version 1", key, raw.rev)
	}
	if n := stamp(&v, endpoint.Revision(raw.rev)); n != version {
		return entry{}, fmt.Errorf("read %s: version %d is not spoken here", key, n)
	}
	e.value = &v
	return e, nil
}

// version of every stored object.
const version = 1

// stamp sets the revision, which is not part of the JSON, and returns the
// object's version.
func stamp[T object](v *T, rev endpoint.Revision) int {
	switch v := any(v).(type) {
	case *endpoint.Endpoint:
		v.Revision = rev
		return v.V
	case *endpoint.Account:
		v.Revision = rev
		v.Compile()
		return v.V
	case *endpoint.Agent:
		v.Revision = rev
		return v.V
	case *endpoint.Domain:
		return v.V
	case *endpoint.Claims:
		return v.V
	case *endpoint.APIKey:
		v.Revision = rev
		return v.V
	}
	return stampKept(v, rev)
}

// stampKept is stamp of what nobody decides about calls by.
func stampKept(v any, rev endpoint.Revision) int {
	switch v := v.(type) {
	case *endpoint.Webhook:
		v.Revision = rev
		return v.V
	case *endpoint.Webhooks:
		return v.V
	case *endpoint.Application:
		v.Revision = rev
		return v.V
	case *endpoint.Registration:
		v.Revision = rev
		return v.V
	case *endpoint.Throttle:
		v.Revision = rev
		return v.V
	case *endpoint.Trunk:
		v.Revision = rev
		return v.V
	}
	return 0
}

// of returns the entry's object, or endpoint.ErrNotFound.
func of[T object](e entry) (T, error) {
	v, ok := e.value.(*T)
	if !ok {
		var none T
		return none, fmt.Errorf("get %s: %w", e.key, endpoint.ErrNotFound)
	}
	return *v, nil
}

// doubt is how long ago the entry was last known to be what the bucket holds.
func (s *Store) doubt(now time.Time, e *entry) time.Duration {
	return min(s.feed.age(now), now.Sub(e.checked))
}

// trusted reports whether an entry may be used without reading it again: the
// feed is fresh, or the entry was read a moment ago.
func (s *Store) trusted(now time.Time, e *entry) bool {
	return s.feed.age(now) < feedStale || now.Sub(e.checked) < recheck
}

// CachedEndpoint implements actors.Cache.
func (s *Store) CachedEndpoint(key endpoint.Key, partition uint8) (*endpoint.Endpoint, bool) {
	return cached[endpoint.Endpoint](s, subject.KeyEndpoint(key, partition))
}

// CachedAccount implements actors.Cache.
func (s *Store) CachedAccount(tenant string) (*endpoint.Account, bool) {
	return cached[endpoint.Account](s, subject.KeyAccount(tenant))
}

// CachedAgent implements actors.Cache.
func (s *Store) CachedAgent(tenant, id string) (*endpoint.Agent, bool) {
	return cached[endpoint.Agent](s, subject.KeyAgent(tenant, id))
}

// CachedDomain implements actors.Cache.
func (s *Store) CachedDomain(key endpoint.Key, partition uint8) (string, bool) {
	d, known := cached[endpoint.Domain](s, subject.KeyDomain(key, partition))
	if d == nil {
		return "", known
	}
	return d.Tenant, known
}

// CachedHost implements actors.Cache.
func (s *Store) CachedHost(key endpoint.Key, partition uint8) (string, bool) {
	d, known := cached[endpoint.Domain](s, subject.KeyDomain(key, partition))
	if d == nil {
		return "", known
	}
	return d.Label, known
}

// CachedNumber implements actors.Cache.
func (s *Store) CachedNumber(key endpoint.Key, partition uint8) (*endpoint.Claims, bool) {
	return cached[endpoint.Claims](s, subject.KeyNumber(key, partition))
}

// cached returns what memory holds of key: an object, or nil where it knows
// that there is none.
func cached[T object](s *Store, key string) (v *T, known bool) {
	e, ok := s.cache.get(key)
	if !ok || !s.trusted(time.Now(), &e) {
		return nil, false
	}
	v, _ = e.value.(*T)
	return v, true
}

func (s *Store) observeRead(key, from string, since time.Time) {
	if s.obs.Read != nil {
		kind, _, _ := strings.Cut(key, ".")
		s.obs.Read(kind, from, time.Since(since))
	}
}
