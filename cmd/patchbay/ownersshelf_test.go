package main_test

import (
	"context"
	"sync"

	"patchbay/actors/endpoint"
)

// A shelf is the store: one account with one agent. Every number leads to one
// endpoint.
type shelf struct {
	mu        sync.Mutex
	endpoints map[endpoint.Key]endpoint.Endpoint
	numbers   endpoint.Address
}

// put adds an open endpoint, after change.
func (s *shelf) put(slug string, change func(*endpoint.Endpoint)) endpoint.Address {
	bot := "bot"
	ep := endpoint.Endpoint{ID: slug, Tenant: "acme", IsActive: true, IP: endpoint.IPPolicy{Mode: endpoint.IPAny},
		Handler: endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: &bot}}
	if change != nil {
		change(&ep)
	}
	address := endpoint.SlugAddress(endpoint.Slug(slug))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints[address.Key()] = ep
	return address
}

// Host knows no account's own domain.
func (s *shelf) Host(context.Context, endpoint.Key, uint8) (string, error) {
	return "", endpoint.ErrNotFound
}

func (s *shelf) Endpoint(_ context.Context, key endpoint.Key, _ uint8) (endpoint.Endpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ep, ok := s.endpoints[key]; ok {
		return ep, nil
	}
	return endpoint.Endpoint{}, endpoint.ErrNotFound
}

func (s *shelf) Account(context.Context, string) (endpoint.Account, error) {
	return endpoint.Account{Tenant: "acme"}, nil
}

func (s *shelf) Agent(context.Context, string, string) (endpoint.Agent, error) {
	return endpoint.Agent{ID: "bot", IsActive: true}, nil
}

func (s *shelf) Domain(context.Context, endpoint.Key, uint8) (string, error) {
	return "", endpoint.ErrNotFound
}

func (s *shelf) Number(context.Context, endpoint.Key, uint8) (endpoint.Claims, error) {
	if s.numbers == "" {
		return endpoint.Claims{}, endpoint.ErrNotFound
	}
	return endpoint.Claims{V: 1, Numbers: []endpoint.Number{{V: 1, Tenant: "acme", Key: s.numbers.Key(), Partition: s.numbers.Partition()}}}, nil
}
