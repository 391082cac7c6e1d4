package control_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"patchbay/actors/endpoint"
)

// routes are the domains and numbers of a shelf.
type routes struct {
	mu      sync.Mutex
	domains map[string]string
	numbers []endpoint.Number
}

var allRoutes sync.Map // of *routes, by *shelf

func (s *shelf) routes() *routes {
	r, _ := allRoutes.LoadOrStore(s, &routes{domains: map[string]string{}})
	return r.(*routes)
}

// claim takes the domains of an account, as the store does in its batch.
func (s *shelf) claim(a endpoint.Account) error {
	r := s.routes()
	r.mu.Lock()
	defer r.mu.Unlock()
	names := a.SIP.CustomDomains
	if a.SIP.DomainIdentifier != "" {
		names = append([]string{a.SIP.DomainIdentifier}, names...)
	}
	for _, name := range names {
		if whose, taken := r.domains[name]; taken && whose != a.Tenant {
			return &endpoint.Taken{Name: name}
		}
	}
	for _, name := range names {
		r.domains[name] = a.Tenant
	}
	return nil
}

func (s *shelf) CreateNumber(_ context.Context, n endpoint.Number, t endpoint.Terms) (endpoint.Revision, error) {
	r := s.routes()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.accept(n.Tenant, n.ID, t); err != nil {
		return 0, err
	}
	for i := range r.numbers {
		if r.numbers[i].Digits == n.Digits && n.Conflicts(&r.numbers[i]) {
			return 0, endpoint.ErrExists
		}
	}
	n.Revision = s.next()
	r.numbers = append(r.numbers, n)
	return n.Revision, nil
}

func (s *shelf) NumberByID(_ context.Context, tenant, id string) (endpoint.Number, error) {
	r := s.routes()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.numbers {
		if n.ID == id && n.Tenant == tenant {
			return n, nil
		}
	}
	return endpoint.Number{}, endpoint.ErrNotFound
}

func (s *shelf) DeleteNumber(ctx context.Context, tenant, id string) error {
	if _, err := s.NumberByID(ctx, tenant, id); err != nil {
		return err
	}
	r := s.routes()
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.numbers[:0]
	for _, n := range r.numbers {
		if n.ID != id || n.Tenant != tenant {
			kept = append(kept, n)
		}
	}
	r.numbers = kept
	return nil
}

func (s *shelf) Numbers(_ context.Context, tenant, _ string, _ int) ([]endpoint.Number, string, error) {
	r := s.routes()
	r.mu.Lock()
	defer r.mu.Unlock()
	var page []endpoint.Number
	for _, n := range r.numbers {
		if n.Tenant == tenant {
			page = append(page, n)
		}
	}
	return page, "", nil
}

func (s *shelf) EndpointByNumber(_ context.Context, tenant, numeric string) (endpoint.Endpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ep := range s.eps {
		if ep.Tenant == tenant && ep.NumericID == numeric {
			return ep, nil
		}
	}
	return endpoint.Endpoint{}, endpoint.ErrNotFound
}

// FindEndpoints goes by the offset alone: cursors are the store's own.
func (s *shelf) FindEndpoints(_ context.Context, tenant string, f endpoint.Filter, w endpoint.Window) (endpoint.Listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []endpoint.Endpoint
	m := f.Matcher()
	for _, ep := range s.eps {
		stored, err := json.Marshal(ep)
		if err != nil {
			return endpoint.Listed{}, err
		}
		brief, err := endpoint.ReadBrief(stored, func(text string) string { return text })
		if err != nil {
			return endpoint.Listed{}, err
		}
		if ep.Tenant == tenant && m.Matches(&brief) {
			all = append(all, ep)
		}
	}
	slices.SortFunc(all, func(a, b endpoint.Endpoint) int { return int(a.Revision) - int(b.Revision) })
	if w.Newest {
		slices.Reverse(all)
	}
	from := min(w.Offset, len(all))
	return endpoint.Listed{Items: all[from:min(from+w.Limit, len(all))], Total: len(all)}, nil
}
