package store_test

import (
	"errors"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

func TestAnAgentsIDIsOfTheTenantThatHasItForLongest(t *testing.T) {
	t.Parallel()
	s := open(t, startBroker(t), store.Config{MaxAgents: 10, MaxEndpoints: 10}, store.Observer{})
	const id = "0d9f0000-0000-4000-8000-000000000001"
	first := map[string]endpoint.Agent{}
	for _, tenant := range []string{"acme", "globex"} {
		_, err := s.CreateAccount(t.Context(), endpoint.Account{V: 1, ID: tenant, Tenant: tenant, Name: tenant}, endpoint.Terms{})
		if err != nil && !errors.Is(err, endpoint.ErrExists) {
			t.Fatal(err)
		}
		a := endpoint.Agent{V: 1, ID: id, Tenant: tenant, Name: "a"}
		if a.Revision, err = s.CreateAgent(t.Context(), a, endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
		first[tenant] = a
	}
	whose := func(want string) {
		t.Helper()
		if got, err := s.AgentTenant(t.Context(), id); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	whose("acme")
	if err := s.DeleteAgent(t.Context(), first["acme"]); err != nil {
		t.Fatal(err)
	}
	whose("globex")
	for _, none := range []string{"", "*", "other"} {
		if _, err := s.AgentTenant(t.Context(), none); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%q: %v", none, err)
		}
	}
}
