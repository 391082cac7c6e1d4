package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

// device is a user with a password, of the n-th numeric id.
func device(tenant, user string, n int) endpoint.Endpoint {
	ep := newEndpoint(tenant, n)
	ep.Kind, ep.Slug, ep.User, ep.Domain = endpoint.KindCredential, "", user, tenant
	ep.NumericID = fmt.Sprintf("1%014d", n)
	return ep
}

// extension is an endpoint that registers at a PBX.
func extension(tenant, user string, n int) endpoint.Endpoint {
	ep := newEndpoint(tenant, n)
	ep.Kind, ep.Slug = endpoint.KindRegister, ""
	ep.Register = &endpoint.OutRegistration{ID: ep.ID, Username: user, Server: "pbx.example.com"}
	return ep
}

func registration(tenant, user string, n int) endpoint.Registration {
	return endpoint.Registration{Tenant: tenant, OutRegistration: endpoint.OutRegistration{ID: fmt.Sprintf("%s-%d", tenant, n), Username: user, Server: "pbx.example.com"}}
}

// isDuplicate reports that an error names a field that another has.
func isDuplicate(err error, field string) bool {
	var twice *endpoint.Duplicate
	return errors.As(err, &twice) && twice.Field == field && errors.Is(err, endpoint.ErrExists)
}

func TestAUsernameIsTakenWhateverItsCaseUntilItsEndpointGoes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	made := create(t, s, device("acme", "Desk", 1))
	if _, err := s.CreateEndpoint(t.Context(), device("acme", "dESK", 2), endpoint.Terms{}); !isDuplicate(err, "user") {
		t.Errorf("the same in another case: %v", err)
	}
	create(t, s, device("other", "Desk", 3))
	if _, err := s.EndpointByID(t.Context(), "acme", "acme-2"); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("the refused one is there: %v", err)
	}
	made.Name = "renamed"
	rev, err := s.UpdateEndpoint(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteEndpoint(t.Context(), endpoint.Endpoint{Tenant: "acme", ID: made.ID, Revision: rev}); err != nil {
		t.Fatal(err)
	}
	create(t, s, device("acme", "dESK", 2))
}

func TestAnEndpointIsFoundByItsNumericIDInItsOwnAccount(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	made := create(t, s, device("acme", "desk", 1))
	got, err := s.EndpointByNumber(t.Context(), "acme", made.NumericID)
	if err != nil || got.ID != made.ID || got.Revision != made.Revision {
		t.Errorf("got %v, %v", got.ID, err)
	}
	for _, c := range [][2]string{{"other", made.NumericID}, {"acme", "100000000000009"}} {
		if _, err := s.EndpointByNumber(t.Context(), c[0], c[1]); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%v: %v", c, err)
		}
	}
	other := device("other", "desk", 2)
	other.NumericID = made.NumericID
	if _, err := s.CreateEndpoint(t.Context(), other, endpoint.Terms{}); !isDuplicate(err, "numeric_id") {
		t.Errorf("a numeric id of two: %v", err)
	}
	if err := s.DeleteEndpoint(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EndpointByNumber(t.Context(), "acme", made.NumericID); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("after its end: %v", err)
	}
}

func TestOfManyWhoWantOneUsernameOneGetsIt(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	var made, refused atomic.Int32
	var all sync.WaitGroup
	for node := range 2 {
		s := open(t, srv, store.Config{Node: fmt.Sprint("n", node)}, store.Observer{})
		run(t, s)
		for n := range 8 {
			all.Go(func() {
				ep := device("acme", "desk", 100*node+n+1)
				if n%2 == 0 {
					ep.User, ep.Domain = "DESK", "acme-"+fmt.Sprint(100*node+n) // another address, the same name
				}
				switch _, err := s.CreateEndpoint(t.Context(), ep, endpoint.Terms{}); {
				case err == nil:
					made.Add(1)
				case errors.Is(err, endpoint.ErrExists):
					refused.Add(1)
				default:
					t.Errorf("create: %v", err)
				}
			})
		}
	}
	all.Wait()
	if made.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
}

func TestRegistrationsOfEndpointsAndAloneCountTogether(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx, two := t.Context(), endpoint.Terms{Registrations: 2}
	alone := registration("acme", "1001", 1)
	if rev, err := s.CreateRegistration(ctx, alone, two); err != nil {
		t.Fatal(err)
	} else {
		alone.Revision = rev
	}
	if _, err := s.CreateEndpoint(ctx, extension("acme", "1001", 2), two); !isDuplicate(err, "register.username") {
		t.Errorf("one extension twice: %v", err)
	}
	ep := extension("acme", "1002", 2)
	if _, err := s.CreateEndpoint(ctx, ep, two); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRegistration(ctx, registration("acme", "1003", 3), two); !errors.Is(err, store.ErrLimit) {
		t.Errorf("a third: %v", err)
	}
	if _, err := s.CreateEndpoint(ctx, extension("acme", "1003", 3), two); !errors.Is(err, store.ErrLimit) {
		t.Errorf("a third, of an endpoint: %v", err)
	}
	if err := s.DeleteEndpoint(ctx, ep); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRegistration(ctx, registration("other", "1002", 4), two); err != nil {
		t.Errorf("its extension is still taken: %v", err)
	}
	if _, err := s.CreateEndpoint(ctx, extension("acme", "1003", 3), two); err != nil {
		t.Errorf("its place is still taken: %v", err)
	}
}

func TestARegistrationMayMoveToAnotherExtension(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	r := registration("acme", "1001", 1)
	var err error
	if r.Revision, err = s.CreateRegistration(ctx, r, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRegistration(ctx, registration("acme", "1002", 2), endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	r.Username = "1002"
	if _, err := s.UpdateRegistration(ctx, r); !isDuplicate(err, "username") {
		t.Errorf("to a taken one: %v", err)
	}
	r.Username = "1003"
	if r.Revision, err = s.UpdateRegistration(ctx, r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRegistration(ctx, registration("acme", "1001", 3), endpoint.Terms{}); err != nil {
		t.Errorf("the one that it left is still taken: %v", err)
	}
	ep := extension("acme", "1004", 4)
	if ep.Revision, err = s.CreateEndpoint(ctx, ep, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	ep.Register = &endpoint.OutRegistration{ID: ep.ID, Username: "1003", Server: "PBX.example.com"}
	if _, err := s.UpdateEndpoint(ctx, ep); !isDuplicate(err, "register.username") {
		t.Errorf("an endpoint to a taken one: %v", err)
	}
	if _, err := s.UpdateRegistration(ctx, endpoint.Registration{Tenant: "acme", OutRegistration: endpoint.OutRegistration{ID: "none"}}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
}

func TestABatchKeepsNamesToo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	if err := s.Apply(ctx, "acme", nil, []endpoint.Endpoint{device("acme", "desk", 1), device("acme", "Desk", 2)}, endpoint.Terms{}); !isDuplicate(err, "user") {
		t.Errorf("one name twice in a batch: %v", err)
	}
	if err := s.Apply(ctx, "acme", nil, []endpoint.Endpoint{device("acme", "desk", 1), extension("acme", "1001", 2), newEndpoint("acme", 3)},
		endpoint.Terms{Registrations: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(ctx, "acme", nil, []endpoint.Endpoint{device("acme", "DESK", 4)}, endpoint.Terms{}); !isDuplicate(err, "user") {
		t.Errorf("a name of before: %v", err)
	}
	if err := s.Apply(ctx, "acme", nil, []endpoint.Endpoint{extension("acme", "1002", 5)}, endpoint.Terms{Registrations: 1}); !errors.Is(err, store.ErrLimit) {
		t.Errorf("a second registration: %v", err)
	}
	ep, err := s.EndpointByNumber(ctx, "acme", "100000000000001")
	if err != nil {
		t.Fatal(err)
	}
	ep.Name = "changed"
	if err := s.Apply(ctx, "acme", nil, []endpoint.Endpoint{ep}, endpoint.Terms{}); err != nil {
		t.Errorf("a change keeps its name: %v", err)
	}
	var many []endpoint.Endpoint
	for n := range 300 {
		many = append(many, device("acme", fmt.Sprint("u", n), 1000+n))
	}
	if err := s.Apply(ctx, "acme", nil, many, endpoint.Terms{}); !errors.Is(err, store.ErrLimit) {
		t.Errorf("1,200 messages at once: %v", err)
	}
	if err := s.Apply(ctx, "acme", nil, many[:240], endpoint.Terms{}); err != nil {
		t.Errorf("960 messages at once: %v", err)
	}
}

func TestAThrottleIsCountedByAllNodesTogether(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	var nodes []*store.Store
	for n := range 2 {
		s := open(t, srv, store.Config{Node: fmt.Sprint("n", n)}, store.Observer{})
		run(t, s)
		nodes = append(nodes, s)
	}
	throttle := endpoint.Throttle{Tenant: "acme", ID: "t1", Name: "t", Rules: []endpoint.ThrottleRule{{MaxCalls: 5, WindowSeconds: 3600}}}
	if _, err := nodes[0].CreateThrottle(t.Context(), throttle, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	var all sync.WaitGroup
	now := time.Now()
	for n := range 12 {
		all.Go(func() {
			wait, err := nodes[n%2].TakeThrottle(t.Context(), throttle, now)
			switch {
			case err != nil:
				t.Errorf("take: %v", err)
			case wait == 0:
				taken.Add(1)
			case wait > time.Hour:
				t.Errorf("wait %v", wait)
			}
		})
	}
	all.Wait()
	if taken.Load() != 5 {
		t.Errorf("%d taken, want 5", taken.Load())
	}
}
