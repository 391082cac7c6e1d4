package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// errDay is what the fake shelf says when the day is used up; the real one has
// its own, which cmd translates.
var errDay = &control.Error{Code: control.CodeLimit, Message: "the day is used up"}

// accept keeps the terms of a creation, as the store does in its batch.
func (s *shelf) accept(tenant, id string, t endpoint.Terms) error {
	if err := s.repeated(tenant, t.Once); err != nil {
		return err
	}
	of := tenant + t.Day + t.Project
	if t.PerDay > 0 && s.spent[tenant+t.Day] >= t.PerDay || t.ProjectPerDay > 0 && s.spent[of] >= t.ProjectPerDay {
		return errDay
	}
	if t.PerDay > 0 {
		s.spent[tenant+t.Day]++
	}
	if t.ProjectPerDay > 0 {
		s.spent[of]++
	}
	if t.Once.Key != "" {
		s.once[tenant+"."+t.Once.Key] = onceLine{id, t.Once}
	}
	return nil
}

type onceLine struct {
	id   string
	once endpoint.Once
}

func (s *shelf) repeated(tenant string, o endpoint.Once) error {
	line, ok := s.once[tenant+"."+o.Key]
	switch {
	case o.Key == "" || !ok:
		return nil
	case line.once.Body != o.Body:
		return endpoint.ErrReused
	}
	return &endpoint.Repeat{ID: line.id, Note: line.once.Note}
}

func (s *shelf) Repeated(_ context.Context, tenant string, o endpoint.Once) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repeated(tenant, o)
}

func (s *shelf) Account(_ context.Context, tenant string) (endpoint.Account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[tenant]
	if !ok {
		return a, endpoint.ErrNotFound
	}
	return a, nil
}

func (s *shelf) Accounts(_ context.Context, _ string, _ int) ([]endpoint.Account, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []endpoint.Account
	for _, a := range s.accounts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b endpoint.Account) int { return strings.Compare(a.Tenant, b.Tenant) })
	return all, "", nil
}

func (s *shelf) CreateAccount(_ context.Context, a endpoint.Account, t endpoint.Terms) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.accounts[a.Tenant]; ok {
		return 0, endpoint.ErrExists
	}
	if err := s.accept(endpoint.OperatorTenant, a.Tenant, t); err != nil {
		return 0, err
	}
	if err := s.claim(a); err != nil {
		return 0, err
	}
	a.Revision = s.next()
	s.accounts[a.Tenant] = a
	return a.Revision, nil
}

func (s *shelf) UpdateAccount(_ context.Context, a endpoint.Account, t endpoint.Terms) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.repeated(a.Tenant, t.Once); err != nil {
		return 0, err
	}
	if s.accounts[a.Tenant].Revision != a.Revision {
		return 0, endpoint.ErrConflict
	}
	if err := s.claim(a); err != nil {
		return 0, err
	}
	if err := s.accept(a.Tenant, t.Once.ID, t); err != nil {
		return 0, err
	}
	a.Revision++
	s.accounts[a.Tenant] = a
	return a.Revision, nil
}

func (s *shelf) DeleteAccount(_ context.Context, a endpoint.Account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ep := range s.eps {
		if ep.Tenant == a.Tenant {
			return &control.Error{Code: control.CodeConflict, Message: "the account still has endpoints or agents"}
		}
	}
	delete(s.accounts, a.Tenant)
	return nil
}

func (s *shelf) CreateKey(_ context.Context, k endpoint.APIKey, t endpoint.Terms) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.accept(k.Tenant, k.ID, t); err != nil {
		return 0, err
	}
	k.Revision = s.next()
	s.keys[k.ID] = k
	return k.Revision, nil
}

func (s *shelf) KeyByID(_ context.Context, tenant, id string) (endpoint.APIKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[id]
	if !ok || k.Tenant != tenant {
		return k, endpoint.ErrNotFound
	}
	return k, nil
}

func (s *shelf) KeyByDigest(_ context.Context, digest endpoint.Key) (endpoint.APIKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.Digest() == digest {
			return k, nil
		}
	}
	if s.down {
		return endpoint.APIKey{}, errors.New("nobody answers")
	}
	return endpoint.APIKey{}, endpoint.ErrNotFound
}

func (s *shelf) UpdateKey(_ context.Context, k endpoint.APIKey) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.Revision = s.next()
	s.keys[k.ID] = k
	return k.Revision, nil
}

func (s *shelf) DeleteKey(_ context.Context, k endpoint.APIKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, k.ID)
	return nil
}

func (s *shelf) Keys(_ context.Context, tenant, _ string, _ int) ([]endpoint.APIKey, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []endpoint.APIKey
	for _, k := range s.keys {
		if k.Tenant == tenant {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b endpoint.APIKey) int { return int(a.Revision) - int(b.Revision) })
	return all, "", nil
}

func (s *shelf) Apply(_ context.Context, tenant string, agents []endpoint.Agent, eps []endpoint.Endpoint, _ endpoint.Terms) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conflict {
		return endpoint.ErrConflict
	}
	for _, ep := range eps {
		if _, there := s.eps[ep.ID]; there && ep.Revision == 0 {
			return endpoint.ErrExists
		}
	}
	s.applied++
	for _, a := range agents {
		a.Tenant, a.Revision = tenant, s.next()
		s.agents[a.ID] = a
	}
	for _, ep := range eps {
		ep.Tenant, ep.Revision = tenant, s.next()
		s.eps[ep.ID] = ep
	}
	return nil
}

// fences are blocked sources in memory.
type fences struct{ all map[string]endpoint.Block }

func (f fences) PutBlock(_ context.Context, b endpoint.Block) (endpoint.Revision, error) {
	f.all[b.Source.String()] = b
	return 7, nil
}

func (f fences) DeleteBlock(_ context.Context, b endpoint.Block) error {
	if _, ok := f.all[b.Source.String()]; !ok {
		return endpoint.ErrNotFound
	}
	delete(f.all, b.Source.String())
	return nil
}

func (f fences) Blocks(context.Context, string, int) ([]endpoint.Block, string, error) {
	var all []endpoint.Block
	for _, b := range f.all {
		b.Revision = 7
		all = append(all, b)
	}
	return all, "", nil
}

// farm is the nodes of a cluster in memory.
type farm map[string]*control.NodeView

func (f farm) List(context.Context) ([]control.NodeView, error) {
	var all []control.NodeView
	for _, v := range f {
		all = append(all, *v)
	}
	return all, nil
}

func (f farm) Drain(_ context.Context, node string, cancel bool) (control.NodeView, error) {
	v, ok := f[node]
	if !ok {
		return control.NodeView{}, endpoint.ErrNotFound
	}
	v.Draining = !cancel
	return *v, nil
}

func (c calls) Find(_ context.Context, tenant, query string, _ int) ([]control.CallView, error) {
	var out []control.CallView
	for _, v := range c.live {
		if (tenant == "" || v.Tenant == tenant) && (v.CallID == query || v.From.User == query) {
			out = append(out, v)
		}
	}
	return out, nil
}

func (c calls) HangupAll(_ context.Context, sel control.Selection, dry bool) (int, error) {
	n := 0
	for id, v := range c.live {
		if sel.Tenant != "" && v.Tenant != sel.Tenant || sel.Endpoint != "" && v.Endpoint != sel.Endpoint || sel.Node != "" && v.Node != sel.Node {
			continue
		}
		n++
		if !dry {
			delete(c.live, id)
		}
	}
	return n, nil
}
