package store_test

import (
	"errors"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

func newTrunk(tenant, id string) endpoint.Trunk {
	return endpoint.Trunk{V: 1, ID: id, Tenant: tenant, Name: "Carrier", IsActive: true, Addresses: []endpoint.TrunkAddress{{Host: "sbc.example"}}, PasswordEnc: "sealed"}
}

func TestATrunkIsKeptListedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	rev, err := s.CreateTrunk(ctx, newTrunk("acme", "t1"), endpoint.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateTrunk(ctx, newTrunk("acme", "t1"), endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("again: %v", err)
	}
	got, err := s.TrunkByID(ctx, "acme", "t1")
	if err != nil || got.Revision != rev || got.PasswordEnc != "sealed" {
		t.Errorf("read %+v, %v", got, err)
	}
	if _, err := s.TrunkByID(ctx, "other", "t1"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another tenant's: %v", err)
	}
	got.Name = "Renamed"
	if _, err := s.UpdateTrunk(ctx, got); err != nil {
		t.Error(err)
	}
	if _, err := s.UpdateTrunk(ctx, got); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("a stale update: %v", err)
	}
	page, next, err := s.Trunks(ctx, "acme", "", 10)
	if err != nil || next != "" || len(page) != 1 || page[0].Name != "Renamed" {
		t.Errorf("listed %+v, %q, %v", page, next, err)
	}
	acct, err := s.AccountByTenant(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAccount(ctx, acct); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("the account ends with its trunk there: %v", err)
	}
	if err := s.DeleteTrunk(ctx, endpoint.Trunk{Tenant: "acme", ID: "t1"}); err != nil {
		t.Error(err)
	}
	if err := s.DeleteTrunk(ctx, endpoint.Trunk{Tenant: "acme", ID: "t1"}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

func TestACallIsRememberedUnderItsKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	once := endpoint.Once{Key: "k", Body: "digest", ID: "call-1"}
	if err := s.Remember(ctx, "acme", once); err != nil {
		t.Fatal(err)
	}
	var before *endpoint.Repeat
	if err := s.Remember(ctx, "acme", endpoint.Once{Key: "k", Body: "digest", ID: "call-2"}); !errors.As(err, &before) || before.ID != "call-1" {
		t.Errorf("again: %v", err)
	}
	if err := s.Remember(ctx, "acme", endpoint.Once{Key: "k", Body: "other", ID: "call-3"}); !errors.Is(err, endpoint.ErrReused) {
		t.Errorf("another request: %v", err)
	}
	if err := s.Remember(ctx, "other", once); err != nil {
		t.Errorf("another tenant's key: %v", err)
	}
}

func TestAnIdentityIsTheTenantsWhoseEndpointItLeadsTo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	create(t, s, newEndpoint("acme", 1))
	if _, err := s.CreateNumber(ctx, newNumber("acme", "15551234567", "", 1), endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		tenant, user string
		want         bool
	}{{"acme", "+1-555-1234567", true}, {"acme", "15551234567", true}, {"other", "15551234567", false}, {"acme", "15550000000", false}, {"acme", "boss", false}} {
		if got, err := s.OwnsIdentity(ctx, tc.tenant, "", tc.user); err != nil || got != tc.want {
			t.Errorf("%s, %s: %v, %v", tc.tenant, tc.user, got, err)
		}
	}
}
