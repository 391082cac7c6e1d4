package control_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"patchbay/actors/endpoint"
)

// A kept is what a shelf holds of one kind, by id.
type kept[T any] struct {
	mu  sync.Mutex
	all map[string]T
}

func (k *kept[T]) put(id string, v T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil {
		k.all = map[string]T{}
	}
	k.all[id] = v
}

func (k *kept[T]) get(id string) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.all[id]
	if !ok {
		return v, endpoint.ErrNotFound
	}
	return v, nil
}

func (k *kept[T]) drop(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, id)
	return nil
}

func (k *kept[T]) page(rev func(T) endpoint.Revision) ([]T, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []T
	for _, v := range k.all {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b T) int { return int(rev(a)) - int(rev(b)) })
	return all, "", nil
}

// keepsake is what a shelf holds that is not decided by.
type keepsake struct {
	apps      kept[endpoint.Application]
	regs      kept[endpoint.Registration]
	throttles kept[endpoint.Throttle]
	counts    kept[endpoint.Throttled]
}

func (s *shelf) number(id string, t *endpoint.Terms) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != nil {
		if err := s.accept("acme", id, endpoint.Terms{Once: t.Once}); err != nil {
			return 0, err
		}
	}
	return s.next(), nil
}

func (s *shelf) CreateApplication(_ context.Context, a endpoint.Application, t endpoint.Terms) (rev endpoint.Revision, err error) {
	if a.Revision, err = s.number(a.ID, &t); err == nil {
		s.kept.apps.put(a.ID, a)
	}
	return a.Revision, err
}

func (s *shelf) ApplicationByID(_ context.Context, _, id string) (endpoint.Application, error) {
	return s.kept.apps.get(id)
}

func (s *shelf) ApplicationByNumber(_ context.Context, _, numeric string) (endpoint.Application, error) {
	all, _, _ := s.kept.apps.page(func(a endpoint.Application) endpoint.Revision { return a.Revision })
	for _, a := range all {
		if a.NumericID == numeric {
			return a, nil
		}
	}
	return endpoint.Application{}, endpoint.ErrNotFound
}

func (s *shelf) UpdateApplication(_ context.Context, a endpoint.Application) (endpoint.Revision, error) {
	a.Revision, _ = s.number(a.ID, nil)
	s.kept.apps.put(a.ID, a)
	return a.Revision, nil
}

func (s *shelf) DeleteApplication(_ context.Context, a endpoint.Application) error {
	return s.kept.apps.drop(a.ID)
}

func (s *shelf) Applications(context.Context, string, string, int) ([]endpoint.Application, string, error) {
	return s.kept.apps.page(func(a endpoint.Application) endpoint.Revision { return a.Revision })
}

func (s *shelf) CreateRegistration(_ context.Context, r endpoint.Registration, t endpoint.Terms) (rev endpoint.Revision, err error) {
	if r.Revision, err = s.number(r.ID, &t); err == nil {
		s.kept.regs.put(r.ID, r)
	}
	return r.Revision, err
}

func (s *shelf) RegistrationByID(_ context.Context, _, id string) (endpoint.Registration, error) {
	return s.kept.regs.get(id)
}

func (s *shelf) UpdateRegistration(_ context.Context, r endpoint.Registration) (endpoint.Revision, error) {
	r.Revision, _ = s.number(r.ID, nil)
	s.kept.regs.put(r.ID, r)
	return r.Revision, nil
}

func (s *shelf) DeleteRegistration(_ context.Context, r endpoint.Registration) error {
	return s.kept.regs.drop(r.ID)
}

func (s *shelf) Registrations(context.Context, string, string, int) ([]endpoint.Registration, string, error) {
	return s.kept.regs.page(func(r endpoint.Registration) endpoint.Revision { return r.Revision })
}

func (s *shelf) CreateThrottle(_ context.Context, v endpoint.Throttle, t endpoint.Terms) (rev endpoint.Revision, err error) {
	if v.Revision, err = s.number(v.ID, &t); err == nil {
		s.kept.throttles.put(v.ID, v)
	}
	return v.Revision, err
}

func (s *shelf) ThrottleByID(_ context.Context, _, id string) (endpoint.Throttle, error) {
	return s.kept.throttles.get(id)
}

func (s *shelf) UpdateThrottle(_ context.Context, v endpoint.Throttle) (endpoint.Revision, error) {
	v.Revision, _ = s.number(v.ID, nil)
	s.kept.throttles.put(v.ID, v)
	return v.Revision, nil
}

func (s *shelf) DeleteThrottle(_ context.Context, v endpoint.Throttle) error {
	return s.kept.throttles.drop(v.ID)
}

func (s *shelf) Throttles(context.Context, string, string, int) ([]endpoint.Throttle, string, error) {
	return s.kept.throttles.page(func(v endpoint.Throttle) endpoint.Revision { return v.Revision })
}

func (s *shelf) TakeThrottle(_ context.Context, v endpoint.Throttle, now time.Time) (time.Duration, error) {
	past, _ := s.kept.counts.get(v.ID)
	next, wait := v.Take(past, now)
	s.kept.counts.put(v.ID, next)
	return wait, nil
}

func (s *shelf) ByIDs(ctx context.Context, tenant string, agents, eps []string) (map[string]endpoint.Agent, map[string]endpoint.Endpoint, error) {
	foundAgents, foundEps := map[string]endpoint.Agent{}, map[string]endpoint.Endpoint{}
	for _, id := range agents {
		if a, err := s.AgentByID(ctx, tenant, id); err == nil {
			foundAgents[id] = a
		}
	}
	for _, id := range eps {
		if ep, err := s.EndpointByID(ctx, tenant, id); err == nil && !s.behind {
			foundEps[id] = ep
		}
	}
	return foundAgents, foundEps, nil
}
