package store_test

import (
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
	"patchbay/internal/testkit"
)

// namesV1 is what the first release with names that one object has alone wrote:
// a device and an application with numeric ids, and a registration.
func namesV1(t *testing.T) map[string][]byte {
	return testkit.Frozen(t, "testdata/v1/names.json", func() map[string][]byte {
		srv := startBroker(t)
		s := open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{})
		run(t, s)
		create(t, s, device("acme", "Desk", 1))
		if _, err := s.CreateApplication(t.Context(), endpoint.Application{Tenant: "acme", ID: "app-1", NumericID: "123456789012345"}, endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateRegistration(t.Context(), registration("acme", "1007", 1), endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
		return testkit.Dump(t, jetStream(t, srv), "KV_endpoints")
	})
}

func TestNamesOfAnEarlierReleaseAreKnown(t *testing.T) {
	t.Parallel()
	s := loaded(t, namesV1(t))
	ctx := t.Context()
	if ep, err := s.EndpointByNumber(ctx, "acme", "100000000000001"); err != nil || ep.User != "Desk" {
		t.Errorf("by its number: %v, %v", ep.User, err)
	}
	if app, err := s.ApplicationByNumber(ctx, "acme", "123456789012345"); err != nil || app.ID != "app-1" {
		t.Errorf("an application by its number: %v, %v", app.ID, err)
	}
	if _, err := s.CreateEndpoint(ctx, device("acme", "desk", 2), endpoint.Terms{}); !isDuplicate(err, "user") {
		t.Errorf("a username of before: %v", err)
	}
	if _, err := s.CreateRegistration(ctx, registration("other", "1007", 2), endpoint.Terms{}); !isDuplicate(err, "username") {
		t.Errorf("an extension of before: %v", err)
	}
}
