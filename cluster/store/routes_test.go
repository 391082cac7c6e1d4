package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

func newNumber(tenant, digits, trunk string, n int) endpoint.Number {
	num := endpoint.Number{ID: fmt.Sprintf("%s-n%d", tenant, n), Tenant: tenant, Digits: digits, EndpointID: "e1", Key: "k", Partition: 3}
	if trunk != "" {
		num.Trunk = netip.MustParsePrefix(trunk)
	}
	return num
}

func account(t testing.TB, s *store.Store, tenants ...string) {
	t.Helper()
	for _, tenant := range tenants {
		if _, err := s.CreateAccount(t.Context(), endpoint.Account{Tenant: tenant}, endpoint.Terms{}); err != nil && !errors.Is(err, endpoint.ErrExists) {
			t.Fatal(err)
		}
	}
}

func number(t testing.TB, s *store.Store, digits string) (endpoint.Claims, error) {
	t.Helper()
	addr := endpoint.NumberAddress(digits)
	return s.Number(t.Context(), addr.Key(), addr.Partition())
}

func TestANumberIsFoundAsItIsDialled(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	account(t, s, "acme", "other")
	ctx := t.Context()
	if _, err := number(t, s, "15551234567"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	for i, trunk := range []string{"", "203.0.113.0/24"} {
		if _, err := s.CreateNumber(ctx, newNumber("acme", "15551234567", trunk, i), endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	claims, err := number(t, s, "15551234567")
	if err != nil || len(claims.Numbers) != 2 || claims.Find(netip.MustParseAddr("203.0.113.9")).ID != "acme-n1" || claims.Find(netip.MustParseAddr("10.0.0.1")).ID != "acme-n0" {
		t.Errorf("got %+v, %v", claims, err)
	}
	addr := endpoint.NumberAddress("15551234567")
	if cached, known := s.CachedNumber(addr.Key(), addr.Partition()); !known || len(cached.Numbers) != 2 {
		t.Errorf("from memory: %+v, %v", cached, known)
	}
	got, err := s.NumberByID(ctx, "acme", "acme-n1")
	if err != nil || got.Trunk.String() != "203.0.113.0/24" || got.Revision == 0 || got.Key != "k" || got.Partition != 3 {
		t.Errorf("by id: %+v, %v", got, err)
	}
	if _, err := s.NumberByID(ctx, "other", "acme-n1"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another tenant finds it: %v", err)
	}
	if err := s.DeleteNumber(ctx, "other", "acme-n1"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another tenant deletes it: %v", err)
	}
	for i, left := range []int{1, 0} {
		if err := s.DeleteNumber(ctx, "acme", fmt.Sprint("acme-n", i)); err != nil {
			t.Fatal(err)
		}
		claims, err := number(t, s, "15551234567")
		if len(claims.Numbers) != left || (left == 0) != errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("after %d deletions: %+v, %v", i+1, claims, err)
		}
	}
	if err := s.DeleteNumber(ctx, "acme", "acme-n0"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("a second deletion: %v", err)
	}
}

func TestASecondClaimOnANumberIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	account(t, s, "acme", "other")
	ctx := t.Context()
	if _, err := s.CreateNumber(ctx, newNumber("acme", "15551234567", "203.0.113.0/24", 1), endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	for i, n := range []endpoint.Number{
		newNumber("acme", "15551234567", "203.0.113.0/24", 2), newNumber("other", "15551234567", "203.0.113.0/24", 3),
		newNumber("other", "15551234567", "", 4), newNumber("other", "15551234567", "203.0.113.8/29", 5), newNumber("acme", "15559999999", "", 1),
	} {
		if _, err := s.CreateNumber(ctx, n, endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
			t.Errorf("claim %d: %v", i, err)
		}
	}
	if _, err := s.CreateNumber(ctx, newNumber("other", "15551234567", "198.51.100.0/24", 6), endpoint.Terms{}); err != nil {
		t.Errorf("on another trunk: %v", err)
	}
	if page, _, err := s.Numbers(ctx, "other", "", 10); err != nil || len(page) != 1 {
		t.Errorf("a refused claim left something: %+v, %v", page, err)
	}
}

func TestOfManyClaimsOnOneNumberOneWins(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	var won atomic.Int64
	var claimants sync.WaitGroup
	for i := range 20 {
		tenant := fmt.Sprint("t", i%10)
		account(t, s, tenant)
		claimants.Go(func() {
			_, err := s.CreateNumber(ctx, newNumber(tenant, "15551234567", "", i), endpoint.Terms{})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, endpoint.ErrExists):
				t.Error(err)
			}
		})
	}
	claimants.Wait()
	if won.Load() != 1 {
		t.Errorf("%d claims won", won.Load())
	}
}

func TestNumbersAreListedPageByPage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	account(t, s, "acme")
	ctx := t.Context()
	for i := range 7 {
		digits, trunk := fmt.Sprintf("1555000%04d", i/2), fmt.Sprintf("203.0.%d.0/24", i) // two trunks a number
		if _, err := s.CreateNumber(ctx, newNumber("acme", digits, trunk, i), endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteNumber(ctx, "acme", "acme-n3"); err != nil {
		t.Fatal(err)
	}
	var seen []string
	cursor := ""
	for {
		page, next, err := s.Numbers(ctx, "acme", cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page {
			seen = append(seen, n.ID)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if fmt.Sprint(seen) != "[acme-n0 acme-n1 acme-n2 acme-n4 acme-n5 acme-n6]" {
		t.Errorf("listed %v", seen)
	}
}

func TestATenantsNumbersAreLimited(t *testing.T) {
	t.Parallel()
	s := open(t, startBroker(t), store.Config{MaxEndpoints: 2}, store.Observer{})
	account(t, s, "acme")
	for i, want := range []error{nil, nil, store.ErrLimit} {
		if _, err := s.CreateNumber(t.Context(), newNumber("acme", fmt.Sprint("100", i), "", i), endpoint.Terms{}); !errors.Is(err, want) {
			t.Errorf("number %d: %v", i, err)
		}
	}
	if err := s.DeleteAccount(t.Context(), endpoint.Account{Tenant: "acme"}); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("an account with numbers was removed: %v", err)
	}
}

func TestAUserAtADomainIsFoundByItsAddress(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	account(t, s, "acme")
	ep := endpoint.Endpoint{ID: "u1", Tenant: "acme", Kind: endpoint.KindAddress, User: "Sales", Domain: "acme", Name: "sales", IsActive: true}
	if _, err := s.CreateEndpoint(t.Context(), ep, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	addr := endpoint.UserAddress("acme", "Sales")
	if got, err := s.Endpoint(t.Context(), addr.Key(), addr.Partition()); err != nil || got.ID != "u1" {
		t.Errorf("got %+v, %v", got, err)
	}
	ep.ID = "u2"
	if _, err := s.CreateEndpoint(t.Context(), ep, endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("the same user again: %v", err)
	}
}

func TestAnAccountIsReadWithItsRulesCompiled(t *testing.T) {
	s := newStore(t)
	a := endpoint.Account{Tenant: "ruled", SIP: endpoint.SipSettings{Rules: []endpoint.RouteRule{{AgentID: "a1", ToUserPattern: "^sales$"}}}}
	if _, err := s.CreateAccount(t.Context(), a, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Account(t.Context(), "ruled")
	if err != nil {
		t.Fatal(err)
	}
	inv := endpoint.Invite{ToUser: "sales"}
	allocations := 1.0
	for range 10 { // those of the broker are counted with them
		allocations = min(allocations, testing.AllocsPerRun(1000, func() { got.Route(&inv) }))
	}
	if allocations != 0 || got.Route(&inv).Agent != "a1" {
		t.Errorf("%v allocations for %+v", allocations, got.Route(&inv))
	}
}
