package main_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"

	"patchbay/actors"
	"patchbay/actors/call"
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

// robots are agents: they answer at once, but for callers whose name begins
// with ring.
type robots struct{}

func (robots) Open(req actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	post(call.Event{Kind: call.AgentChosen, Agent: "robot"})
	if !strings.HasPrefix(req.Invitation.From.User, "ring") {
		post(call.Event{Kind: call.AgentJoined, Agent: "robot", Answer: &call.Answer{Addr: netip.MustParseAddrPort("198.51.100.1:20000"),
			Codec: call.Codec{Name: "PCMU", ClockRate: 8000}, Direction: call.SendRecv}})
	}
	return quiet{}
}

// Reserve has no port for calls that we place.
func (robots) Reserve(_ actors.BridgeRequest, post func(call.Event)) actors.Bridge {
	post(call.Event{Kind: call.AgentFailed, Status: 503, Cause: call.CauseNoPorts})
	return quiet{}
}

func (robots) Farewell(actors.Farewell) {}

type quiet struct{}

func (quiet) Notify(string, call.Event) {}
func (quiet) Ask(actors.Asked)          {}
func (quiet) Join(call.Answer)          {}
func (quiet) Update(call.Agreement)     {}
func (quiet) Press(string)              {}
func (quiet) Answered()                 {}
func (quiet) Snapshot() json.RawMessage { return nil }
func (quiet) Early()                    {}
func (quiet) Quality() call.Quality     { return call.Quality{} }
func (quiet) Close(call.Cause)          {}
