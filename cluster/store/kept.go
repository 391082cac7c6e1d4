package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/subject"
)

// Limits of what the APIs keep beside endpoints and agents.
const (
	MaxApplications = 10_000 // of one tenant
	MaxThrottles    = 100    // of one tenant
)

func applicationItem(a *endpoint.Application) (item, error) {
	a.V = version
	it, err := newItem(a.Tenant, subject.NounApplication, a.ID, subject.KeyApplication(a.Tenant, a.ID), indexLine{}, a)
	it.names = a
	return it, err
}

// CreateApplication stores a new application, as CreateEndpoint does an endpoint.
func (s *Store) CreateApplication(ctx context.Context, a endpoint.Application, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := applicationItem(&a)
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, MaxApplications, endpoint.Terms{Once: terms.Once})
}

// UpdateApplication replaces the version at a.Revision, as UpdateEndpoint does.
func (s *Store) UpdateApplication(ctx context.Context, a endpoint.Application) (endpoint.Revision, error) {
	it, err := applicationItem(&a)
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, a.Revision)
}

// DeleteApplication removes the application with a's tenant and id if it is at
// a.Revision (0: at any).
func (s *Store) DeleteApplication(ctx context.Context, a endpoint.Application) error {
	it, err := applicationItem(&a)
	if err == nil {
		_, err = s.remove(ctx, it, a.Revision)
	}
	return err
}

// ApplicationByID reads an application as the leader has it now.
func (s *Store) ApplicationByID(ctx context.Context, tenant, id string) (endpoint.Application, error) {
	return current[endpoint.Application](ctx, s, subject.KeyApplication(tenant, id))
}

// ApplicationByNumber reads the application with a numeric id.
func (s *Store) ApplicationByNumber(ctx context.Context, tenant, numeric string) (endpoint.Application, error) {
	line, err := s.numbered(ctx, tenant, subject.NounApplication, numeric)
	if err != nil {
		return endpoint.Application{}, err
	}
	return s.ApplicationByID(ctx, tenant, line.ID)
}

// Applications is Endpoints for applications.
func (s *Store) Applications(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.Application, string, error) {
	return page[endpoint.Application](ctx, s, tenant, subject.NounApplication, cursor, limit)
}

func registrationItem(r *endpoint.Registration) (item, error) {
	r.V = version
	it, err := newItem(r.Tenant, subject.NounRegistration, r.ID, subject.KeyRegistration(r.Tenant, r.ID), indexLine{}, r)
	it.names, it.register = r, true
	return it, err
}

// CreateRegistration stores a new registration, as CreateEndpoint does an
// endpoint; ErrLimit where the tenant has terms.Registrations, those of its
// endpoints among them.
func (s *Store) CreateRegistration(ctx context.Context, r endpoint.Registration, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := registrationItem(&r)
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, terms.Registrations, endpoint.Terms{Once: terms.Once})
}

// UpdateRegistration replaces the version at r.Revision, as UpdateEndpoint does.
func (s *Store) UpdateRegistration(ctx context.Context, r endpoint.Registration) (endpoint.Revision, error) {
	it, err := registrationItem(&r)
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, r.Revision)
}

// DeleteRegistration removes the registration with r's tenant and id if it is at
// r.Revision (0: at any).
func (s *Store) DeleteRegistration(ctx context.Context, r endpoint.Registration) error {
	it, err := registrationItem(&r)
	if err == nil {
		_, err = s.remove(ctx, it, r.Revision)
	}
	return err
}

// RegistrationByID reads a registration as the leader has it now.
func (s *Store) RegistrationByID(ctx context.Context, tenant, id string) (endpoint.Registration, error) {
	return current[endpoint.Registration](ctx, s, subject.KeyRegistration(tenant, id))
}

// Registrations is Endpoints for registrations that stand alone.
func (s *Store) Registrations(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.Registration, string, error) {
	return page[endpoint.Registration](ctx, s, tenant, subject.NounRegistration, cursor, limit)
}

func throttleItem(t *endpoint.Throttle) (item, error) {
	t.V = version
	return newItem(t.Tenant, subject.NounThrottle, t.ID, subject.KeyThrottle(t.Tenant, t.ID), indexLine{}, t)
}

// CreateThrottle stores a new throttle, as CreateEndpoint does an endpoint.
func (s *Store) CreateThrottle(ctx context.Context, t endpoint.Throttle, terms endpoint.Terms) (endpoint.Revision, error) {
	it, err := throttleItem(&t)
	if err != nil {
		return 0, err
	}
	return s.create(ctx, it, MaxThrottles, endpoint.Terms{Once: terms.Once})
}

// UpdateThrottle replaces the version at t.Revision, as UpdateEndpoint does.
func (s *Store) UpdateThrottle(ctx context.Context, t endpoint.Throttle) (endpoint.Revision, error) {
	it, err := throttleItem(&t)
	if err != nil {
		return 0, err
	}
	return s.replace(ctx, it, t.Revision)
}

// DeleteThrottle removes the throttle with t's tenant and id if it is at
// t.Revision (0: at any). What was counted under it is forgotten by itself.
func (s *Store) DeleteThrottle(ctx context.Context, t endpoint.Throttle) error {
	it, err := throttleItem(&t)
	if err == nil {
		_, err = s.remove(ctx, it, t.Revision)
	}
	return err
}

// ThrottleByID reads a throttle as the leader has it now.
func (s *Store) ThrottleByID(ctx context.Context, tenant, id string) (endpoint.Throttle, error) {
	return current[endpoint.Throttle](ctx, s, subject.KeyThrottle(tenant, id))
}

// Throttles is Endpoints for throttles.
func (s *Store) Throttles(ctx context.Context, tenant, cursor string, limit int) ([]endpoint.Throttle, string, error) {
	return page[endpoint.Throttle](ctx, s, tenant, subject.NounThrottle, cursor, limit)
}

// TakeThrottle counts one more call under a throttle, or returns how long it is
// until one is allowed. All nodes count together.
func (s *Store) TakeThrottle(ctx context.Context, t endpoint.Throttle, now time.Time) (wait time.Duration, err error) {
	key := subject.KeyThrottled(t.Tenant, t.ID)
	_, err = s.write(ctx, t.Tenant, "throttled", func() (uint64, error) {
		have, err := s.getLeader(ctx, key)
		if err != nil {
			return 0, err
		}
		var past, next endpoint.Throttled
		if !have.gone() {
			if err := json.Unmarshal(have.data, &past); err != nil || past.V != version {
				return 0, fmt.Errorf("read %s: revision %d is no count of version %d", key, have.rev, version)
			}
		}
		if next, wait = t.Take(past, now); wait > 0 {
			return 0, nil
		}
		data, err := json.Marshal(next)
		if err != nil {
			return 0, err
		}
		return s.commit(ctx, op{key: key, expect: have.rev, data: data, ttl: t.Longest() + time.Second})
	})
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	return wait, nil
}
