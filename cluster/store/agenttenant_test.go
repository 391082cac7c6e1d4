package store_test

import (
	"errors"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

func TestAnAgentsIDIsOneTenants(t *testing.T) {
	t.Parallel()
	s := open(t, startBroker(t), store.Config{MaxAgents: 10, MaxEndpoints: 10}, store.Observer{})
	const id = "0d9f0000-0000-4000-8000-000000000001"
	for _, tenant := range []string{"acme", "globex"} {
		_, err := s.CreateAccount(t.Context(), endpoint.Account{V: 1, ID: tenant, Tenant: tenant, Name: tenant}, endpoint.Terms{})
		if err != nil && !errors.Is(err, endpoint.ErrExists) {
			t.Fatal(err)
		}
	}
	whose := func(want string) {
		t.Helper()
		if got, err := s.AgentTenant(t.Context(), id); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	mine, theirs := endpoint.Agent{V: 1, ID: id, Tenant: "acme", Name: "a"}, endpoint.Agent{V: 1, ID: id, Tenant: "globex", Name: "a"}
	var err error
	if mine.Revision, err = s.CreateAgent(t.Context(), mine, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	whose("acme")
	if _, err := s.CreateAgent(t.Context(), theirs, endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("another tenant's agent of the same id: %v", err)
	}
	if err := s.Apply(t.Context(), "globex", []endpoint.Agent{theirs}, nil, endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("the same, imported: %v", err)
	}
	if err := s.DeleteAgent(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateAgent(t.Context(), theirs, endpoint.Terms{}); err != nil {
		t.Errorf("an id that was given back: %v", err)
	}
	whose("globex")
	for _, none := range []string{"", "*", "other"} {
		if _, err := s.AgentTenant(t.Context(), none); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%q: %v", none, err)
		}
	}
}
