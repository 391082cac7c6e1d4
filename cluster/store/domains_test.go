package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

// A store that is no Cache would still work, one read for each call.
var _ actors.Cache = (*store.Store)(nil)

// owner makes an account with a label and domains of its own.
func owner(t testing.TB, s *store.Store, tenant, label string, hosts ...string) endpoint.Account {
	t.Helper()
	a := endpoint.Account{V: 1, Tenant: tenant, SIP: endpoint.SipSettings{DomainIdentifier: label, CustomDomains: hosts}}
	var err error
	if a.Revision, err = s.CreateAccount(t.Context(), a, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	return a
}

// at returns the label that a host leads to; "": none.
func at(t testing.TB, s *store.Store, host string) string {
	t.Helper()
	addr := endpoint.HostAddress(host)
	label, err := s.Host(t.Context(), addr.Key(), addr.Partition())
	if err != nil && !errors.Is(err, endpoint.ErrNotFound) {
		t.Fatal(err)
	}
	if cached, known := s.CachedHost(addr.Key(), addr.Partition()); known && cached != label {
		t.Errorf("%s leads to %q, in memory to %q", host, label, cached)
	}
	return label
}

func TestALabelIsOneTenantsForEver(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{})
	run(t, s)
	addr := endpoint.AccountAddress("desk")
	whose := func() string {
		tenant, err := s.Domain(t.Context(), addr.Key(), addr.Partition())
		if cached, known := s.CachedDomain(addr.Key(), addr.Partition()); known && cached != tenant || err != nil && !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%q, in memory %q, %v", tenant, cached, err)
		}
		return tenant
	}
	if got := whose(); got != "" {
		t.Errorf("before: %s", got)
	}
	globex := owner(t, s, "globex", "desk")
	if got := whose(); got != "globex" {
		t.Errorf("got %q", got)
	}
	initech := owner(t, s, "initech", "")
	before := bucketKeys(t, srv)
	initech.Name, initech.SIP.DomainIdentifier, initech.SIP.CustomDomains = "changed", "desk", []string{"pbx.initech.example"}
	var taken *endpoint.Taken
	if _, err := s.UpdateAccount(t.Context(), initech, endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) || !errors.As(err, &taken) || taken.Name != "desk" {
		t.Errorf("a second claim: %v", err)
	}
	if now, err := s.AccountByTenant(t.Context(), "initech"); err != nil || now.Name != "" || !slices.Equal(before, bucketKeys(t, srv)) {
		t.Errorf("a refused claim has left something: %+v, %v, %v", now, err, bucketKeys(t, srv))
	}
	umbrella := endpoint.Account{V: 1, Tenant: "umbrella", SIP: endpoint.SipSettings{DomainIdentifier: "desk"}}
	if _, err := s.CreateAccount(t.Context(), umbrella, endpoint.Terms{}); !errors.As(err, &taken) || !slices.Equal(before, bucketKeys(t, srv)) {
		t.Errorf("a new account with that label: %v, and %v", err, bucketKeys(t, srv))
	}
	if err := s.DeleteAccount(t.Context(), globex); err != nil {
		t.Fatal(err)
	}
	if got := whose(); got != "globex" {
		t.Errorf("after its account has gone the label is %q's", got)
	}
}

// Many accounts want one domain at once, each with one that nobody else wants.
func TestOfManyClaimsOnOneDomainOneWinsAndTheOthersLeaveNothing(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	var stores []*store.Store
	for i := range 2 {
		s := open(t, srv, store.Config{Node: fmt.Sprint("n", i), Decider: true}, store.Observer{})
		run(t, s)
		stores = append(stores, s)
	}
	const n = 12
	accounts := make([]endpoint.Account, n)
	for i := range accounts {
		accounts[i] = owner(t, stores[0], fmt.Sprint("t", i), fmt.Sprint("label", i))
		if got := at(t, stores[1], fmt.Sprintf("pbx%d.example", i)); got != "" {
			t.Fatal(got)
		}
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i, a := range accounts {
		wg.Go(func() {
			a.SIP.CustomDomains = []string{fmt.Sprintf("pbx%d.example", i), "wanted.example"}
			for errs[i] = store.ErrUnavailable; errors.Is(errs[i], store.ErrUnavailable); { // lost too many races
				_, errs[i] = stores[i%2].UpdateAccount(t.Context(), a, endpoint.Terms{})
			}
		})
	}
	wg.Wait()
	won := slices.Index(errs, nil)
	for i, err := range errs {
		own, label := at(t, stores[1-i%2], fmt.Sprintf("pbx%d.example", i)), ""
		if i == won {
			label = fmt.Sprint("label", i)
		} else if !errors.Is(err, endpoint.ErrExists) {
			t.Errorf("account %d: %v", i, err)
		}
		for end := time.Now().Add(patience); own != label && time.Now().Before(end); time.Sleep(time.Millisecond) { // until its feed has it
			own = at(t, stores[1-i%2], fmt.Sprintf("pbx%d.example", i))
		}
		if own != label {
			t.Errorf("account %d: %v, and its own domain leads to %q", i, err, own)
		}
	}
	if won < 0 {
		t.Fatal("nobody has it")
	}
	whose := endpoint.HostAddress("wanted.example")
	if label, err := stores[won%2].Host(t.Context(), whose.Key(), whose.Partition()); err != nil || label != fmt.Sprint("label", won) {
		t.Errorf("account %d has it, and it leads to %q, %v", won, label, err)
	}
}

func TestADomainThatIsGivenUpIsAnothersToTake(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	one, two := owner(t, s, "one", "first", "a.example", "b.example"), owner(t, s, "two", "second")
	if at(t, s, "a.example") != "first" || at(t, s, "b.example") != "first" {
		t.Fatal("the domains of a new account lead nowhere")
	}
	one.SIP.CustomDomains = []string{"b.example", "c.example"}
	var err error
	if one.Revision, err = s.UpdateAccount(t.Context(), one, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	if got := at(t, s, "a.example") + at(t, s, "b.example") + at(t, s, "c.example"); got != "firstfirst" {
		t.Errorf("after the change they lead to %s", got)
	}
	stale := one
	stale.Revision, stale.SIP.CustomDomains = one.Revision-1, nil
	if _, err := s.UpdateAccount(t.Context(), stale, endpoint.Terms{}); !errors.Is(err, endpoint.ErrConflict) || at(t, s, "b.example") != "first" {
		t.Errorf("an update of another version: %v; b.example leads to %q", err, at(t, s, "b.example"))
	}
	two.SIP.CustomDomains = []string{"a.example"}
	if two.Revision, err = s.UpdateAccount(t.Context(), two, endpoint.Terms{}); err != nil || at(t, s, "a.example") != "second" {
		t.Errorf("taken by another: %v, leads to %q", err, at(t, s, "a.example"))
	}
	if err := s.DeleteAccount(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if got := at(t, s, "a.example") + at(t, s, "b.example") + at(t, s, "c.example"); got != "second" {
		t.Errorf("after the account has gone they lead to %s", got)
	}
	owner(t, s, "three", "third", "b.example")
	if got := at(t, s, "b.example"); got != "third" {
		t.Errorf("taken after the account has gone, it leads to %q", got)
	}
}

func TestAPartOfAnAccountIsMadeOnceUnderAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := owner(t, s, "one", "")
	terms := endpoint.Terms{Once: endpoint.Once{Key: "k", Body: "b", ID: "p1"}}
	a.Projects = append(a.Projects, endpoint.Project{ID: "p1"})
	rev, err := s.UpdateAccount(t.Context(), a, terms)
	if err != nil {
		t.Fatal(err)
	}
	a.Revision, terms.Once.ID = rev, "p2"
	a.Projects = append(a.Projects, endpoint.Project{ID: "p2"})
	var before *endpoint.Repeat
	if _, err := s.UpdateAccount(t.Context(), a, terms); !errors.As(err, &before) || before.ID != "p1" {
		t.Errorf("again: %v", err)
	}
	terms.Once.Body = "other"
	if _, err := s.UpdateAccount(t.Context(), a, terms); !errors.Is(err, endpoint.ErrReused) {
		t.Errorf("with another request: %v", err)
	}
	if got, err := s.AccountByTenant(t.Context(), "one"); err != nil || len(got.Projects) != 1 || strings.Contains(fmt.Sprint(got.Projects), "p2") {
		t.Errorf("got %+v, %v", got.Projects, err)
	}
}
