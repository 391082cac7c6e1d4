package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/broker"
	"patchbay/cluster/store"
)

// bucketKeys returns every key that holds something.
func bucketKeys(t testing.TB, srv *broker.Server) []string {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "endpoints")
	if err != nil {
		t.Fatal(err)
	}
	lister, err := kv.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for key := range lister.Keys() {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

func newKey(tenant string, n int) endpoint.APIKey {
	k := endpoint.APIKey{Tenant: tenant, Name: fmt.Sprint("key ", n), CreatedAt: time.Now(), APIToken: endpoint.APIToken{
		ID: fmt.Sprintf("%s-%d", tenant, n), Kind: endpoint.KindOfNative, Scopes: []string{endpoint.ScopeAll}}}
	k.SetSecret(fmt.Sprintf("pbk_secret-%s-%d", tenant, n))
	return k
}

func daily(n int) endpoint.Terms { return endpoint.Terms{Day: "20261121", PerDay: n} }

func TestFiftyCreatorsAtOnceMakeAsManyAsTheDayAllows(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	var stores []*store.Store
	for i := range 3 {
		s := open(t, srv, store.Config{Node: fmt.Sprint("n", i), Decider: true}, store.Observer{})
		run(t, s)
		stores = append(stores, s)
	}
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for {
				switch _, err := stores[i%3].CreateEndpoint(t.Context(), newEndpoint("acme", i), daily(20)); {
				case err == nil:
					made.Add(1)
				case errors.Is(err, store.ErrDaily):
					refused.Add(1)
				case errors.Is(err, store.ErrUnavailable): // lost too many races: a client tries again
					continue
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	n, err := stores[0].CountEndpoints(t.Context(), "acme")
	if made.Load() != 20 || refused.Load() != 30 || n != 20 || err != nil {
		t.Errorf("%d made, %d refused, %d there, %v; want 20, 30, 20", made.Load(), refused.Load(), n, err)
	}
	first, _, err := stores[0].Endpoints(t.Context(), "acme", "", 1)
	if err != nil || len(first) != 1 {
		t.Fatal(err)
	}
	if err := stores[0].DeleteEndpoint(t.Context(), first[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := stores[1].CreateEndpoint(t.Context(), newEndpoint("acme", 99), daily(20)); !errors.Is(err, store.ErrDaily) {
		t.Errorf("a deletion gave a creation back: %v", err)
	}
	tomorrow := daily(20)
	tomorrow.Day = "20261122"
	if _, err := stores[1].CreateEndpoint(t.Context(), newEndpoint("acme", 99), tomorrow); err != nil {
		t.Errorf("the next day: %v", err)
	}
	if _, err := stores[2].CreateEndpoint(t.Context(), newEndpoint("other", 100), daily(20)); err != nil {
		t.Errorf("another account: %v", err)
	}
}

func TestAProjectsCreationsCountForItselfAndForItsTenant(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	project := daily(5)
	project.Project, project.ProjectPerDay = "p1", 2
	var got []bool
	for i, terms := range []endpoint.Terms{daily(5), project, project, project, daily(5), daily(5), daily(5)} {
		_, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", i), terms)
		if err != nil && !errors.Is(err, store.ErrDaily) {
			t.Fatal(err)
		}
		got = append(got, err == nil)
	}
	if want := []bool{true, true, true, false, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestACreationThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{})
	run(t, s)
	before := bucketKeys(t, srv)
	terms := daily(20)
	terms.Once = endpoint.Once{Key: "k1", Body: "b1"}
	huge := newEndpoint("acme", 1)
	huge.Name = strings.Repeat("x", 70<<10) // over the largest message of the bucket, and the batch's last
	if _, err := s.CreateEndpoint(t.Context(), huge, terms); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if after := bucketKeys(t, srv); !slices.Equal(before, after) {
		t.Errorf("left behind: %v, before %v", after, before)
	}
	if _, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", 1), terms); err != nil {
		t.Errorf("the same creation once it is small enough: %v", err)
	}
	after := bucketKeys(t, srv)
	huge.ID, huge.Slug = "acme-9", slug(9)
	if err := s.Apply(t.Context(), "acme", nil, []endpoint.Endpoint{huge, newEndpoint("acme", 2)}, endpoint.Terms{}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("in a batch, not as the last: %v", err)
	}
	if now := bucketKeys(t, srv); !slices.Equal(after, now) {
		t.Errorf("that batch left %v, before %v", now, after)
	}
	nobody := newEndpoint("nobody", 2)
	if _, err := s.CreateEndpoint(t.Context(), nobody, endpoint.Terms{}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("an endpoint of an account that does not exist: %v", err)
	}
}

func TestACreationUnderAnIdempotencyKeyHappensOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	once := func(key, body string) endpoint.Terms {
		return endpoint.Terms{Once: endpoint.Once{Key: key, Body: body, Note: "sealed"}}
	}
	var made atomic.Int32
	var wg sync.WaitGroup
	ids := make(chan string, 8)
	for i := range 8 {
		wg.Go(func() {
			_, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", i), once("k", "body"))
			var repeat *endpoint.Repeat
			switch {
			case err == nil:
				made.Add(1)
				ids <- fmt.Sprint("acme-", i)
			case errors.As(err, &repeat) && repeat.Note == "sealed":
				ids <- repeat.ID
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(ids)
	seen := map[string]bool{}
	for id := range ids {
		seen[id] = true
	}
	if made.Load() != 1 || len(seen) != 1 {
		t.Errorf("%d made, answers name %v; want one", made.Load(), seen)
	}
	if _, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", 9), once("k", "other body")); !errors.Is(err, endpoint.ErrReused) {
		t.Errorf("another request under the key: %v", err)
	}
	if _, err := s.CreateEndpoint(t.Context(), newEndpoint("other", 10), once("k", "body")); err != nil {
		t.Errorf("another account's same key: %v", err)
	}
	if err := s.Repeated(t.Context(), "acme", endpoint.Once{Key: "unused", Body: "b"}); err != nil {
		t.Errorf("a key that was not used: %v", err)
	}
}

func TestAKeyIsFoundByItsSecretOnEveryNodeAndRevokedWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	near, far := open(t, srv, store.Config{Node: "n1"}, store.Observer{}), open(t, srv, store.Config{Node: "n2"}, store.Observer{})
	run(t, near)
	run(t, far)
	k := newKey("acme", 1)
	var err error
	if k.Revision, err = near.CreateKey(t.Context(), k, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	digest := endpoint.SecretDigest("pbk_secret-acme-1")
	for range 2 { // from the bucket, then from memory
		got, err := far.KeyByDigest(t.Context(), digest)
		if err != nil || got.Tenant != "acme" || !got.Matches("pbk_secret-acme-1") || !got.Live(time.Now()) {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if _, err := near.KeyByID(t.Context(), "other", k.ID); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another's key: %v", err)
	}
	if took := revoke(t, near, far, &k); took > 2*time.Second && !slices.ContainsFunc([]int{2, 3, 4, 5}, func(n int) bool { // a busy machine may be late once
		other := newKey("acme", n)
		if other.Revision, err = near.CreateKey(t.Context(), other, endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
		took = revoke(t, near, far, &other)
		if err := near.DeleteKey(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		return took <= 2*time.Second
	}) {
		t.Errorf("good at another node %v after it was revoked", took)
	}
	if err := near.DeleteKey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if all, _, err := near.Keys(t.Context(), "acme", "", 10); len(all) != 0 || err != nil {
		t.Errorf("listed after its deletion: %v, %v", all, err)
	}
}

// revoke revokes a key at one node and returns how long it was good at another.
func revoke(t *testing.T, near, far *store.Store, k *endpoint.APIKey) time.Duration {
	t.Helper()
	if _, err := far.KeyByDigest(t.Context(), k.Digest()); err != nil { // it is in memory there
		t.Fatal(err)
	}
	now := time.Now()
	k.RevokedAt = &now
	var err error
	if k.Revision, err = near.UpdateKey(t.Context(), *k); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "it is revoked at another node", func() bool {
		got, err := far.KeyByDigest(t.Context(), k.Digest())
		return err == nil && !got.Live(time.Now())
	})
	return time.Since(now)
}

func TestAnAccountGoesOnlyWhenItIsEmptyAndTakesItsKeys(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{})
	run(t, s)
	before := bucketKeys(t, srv)
	acct := endpoint.Account{Tenant: "globex", Name: "Globex"}
	var err error
	if acct.Revision, err = s.CreateAccount(t.Context(), acct, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	ep := create(t, s, newEndpoint("globex", 1))
	for n := range 3 {
		if _, err := s.CreateKey(t.Context(), newKey("globex", n), endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteAccount(t.Context(), acct); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("with an endpoint in it: %v", err)
	}
	if err := s.DeleteEndpoint(t.Context(), ep); err != nil {
		t.Fatal(err)
	}
	stale := acct
	stale.Revision--
	if err := s.DeleteAccount(t.Context(), stale); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("at another revision: %v", err)
	}
	if err := s.DeleteAccount(t.Context(), acct); err != nil {
		t.Fatal(err)
	}
	after := slices.DeleteFunc(bucketKeys(t, srv), func(k string) bool { return k == "count.default.acct" })
	if !slices.Equal(before, after) {
		t.Errorf("left behind: %v, before %v", after, before)
	}
	if _, err := s.CreateEndpoint(t.Context(), newEndpoint("globex", 2), endpoint.Terms{}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("a creation in an account that is gone: %v", err)
	}
}

// Whoever wins, there is never an endpoint without an account.
func TestACreationAndTheEndOfItsAccountExcludeEachOther(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	one, two := open(t, srv, store.Config{Node: "n1"}, store.Observer{}), open(t, srv, store.Config{Node: "n2"}, store.Observer{})
	for i := range 20 {
		tenant := fmt.Sprint("t", i)
		if _, err := one.CreateAccount(t.Context(), endpoint.Account{Tenant: tenant}, endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
		var created, deleted error
		var wg sync.WaitGroup
		wg.Go(func() {
			if ep := newEndpoint(tenant, i); i%2 == 0 {
				_, created = one.CreateEndpoint(t.Context(), ep, endpoint.Terms{})
			} else {
				created = one.Apply(t.Context(), tenant, nil, []endpoint.Endpoint{ep}, endpoint.Terms{})
			}
		})
		wg.Go(func() { deleted = two.DeleteAccount(t.Context(), endpoint.Account{Tenant: tenant}) })
		wg.Wait()
		if (created == nil) == (deleted == nil) {
			t.Errorf("created: %v, deleted: %v; want one of both", created, deleted)
		}
	}
}

func TestAnAccountThatHasChangedItsKeysOftenGoesAllTheSame(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	account(t, s, "globex")
	const dropped = endpoint.MaxKeys + 1 // their ends stay marked for an hour
	for n := range dropped + 2 {
		k := newKey("globex", n)
		if _, err := s.CreateKey(t.Context(), k, endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
		if n < dropped {
			if err := s.DeleteKey(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.DeleteAccount(t.Context(), endpoint.Account{Tenant: "globex"}); err != nil {
		t.Fatal(err)
	}
	last := newKey("globex", dropped)
	if _, err := s.KeyByDigest(t.Context(), last.Digest()); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("a key of an account that is gone: %v", err)
	}
}
