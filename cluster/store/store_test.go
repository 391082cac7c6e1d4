package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/cluster/broker"
	"patchbay/cluster/store"
	"patchbay/internal/testkit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(testkit.LeakedReplica), goleak.IgnoreAnyFunction(testkit.LeakedClock))
}

const patience = 30 * time.Second

func startBroker(t testing.TB) *broker.Server {
	t.Helper()
	srv, err := broker.New(broker.Config{Name: "test", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience},
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, srv)
	return srv
}

type component interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

func run(t testing.TB, c component) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Errorf("run %T: %v", c, err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	select {
	case <-c.Ready():
	case <-time.After(patience):
		t.Fatalf("%T is not ready", c)
	}
	return stop
}

// open opens the store of one node, without running it.
func open(t testing.TB, srv *broker.Server, cfg store.Config, obs store.Observer) *store.Store {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	cfg.CacheEntries, cfg.Streams.Wait = max(cfg.CacheEntries, 1000), patience
	s, err := store.Open(t.Context(), js, cfg, slog.New(slog.DiscardHandler), obs)
	if err != nil {
		t.Fatal(err)
	}
	accounts(t, js)
	return s
}

// accounts makes the accounts of the tests, past the store and its deciders.
func accounts(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	for _, tenant := range []string{"acme", "other"} {
		_, err := js.Publish(t.Context(), "$KV.endpoints.acct."+tenant, fmt.Appendf(nil, `{"v":1,"tenant":%q}`, tenant),
			jetstream.WithExpectLastSequencePerSubject(0))
		var told *jetstream.APIError
		if err != nil && (!errors.As(err, &told) || told.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence) {
			t.Fatal(err)
		}
	}
}

func newStore(t testing.TB) *store.Store {
	s := open(t, startBroker(t), store.Config{Node: "n1", Decider: true}, store.Observer{})
	run(t, s)
	return s
}

// slug n in the alphabet of slugs.
func slug(n int) endpoint.Slug { return endpoint.Slug(fmt.Sprintf("demo-%024d", n)) }

func newEndpoint(tenant string, n int) endpoint.Endpoint {
	return endpoint.Endpoint{ID: fmt.Sprintf("%s-%d", tenant, n), Tenant: tenant, Kind: endpoint.KindSlug, Slug: slug(n),
		Name: fmt.Sprintf("number %d", n), IsActive: true}
}

func newAgent(tenant string, n int) endpoint.Agent {
	return endpoint.Agent{ID: fmt.Sprintf("%s-%d", tenant, n), Tenant: tenant, Name: fmt.Sprintf("agent %d", n)}
}

func create(t testing.TB, s *store.Store, ep endpoint.Endpoint) endpoint.Endpoint {
	t.Helper()
	rev, err := s.CreateEndpoint(t.Context(), ep, endpoint.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	ep.V, ep.Revision = 1, rev
	return ep
}

func dial(t testing.TB, s actors.Store, n int) (endpoint.Endpoint, error) {
	t.Helper()
	addr := endpoint.SlugAddress(slug(n))
	return s.Endpoint(t.Context(), addr.Key(), addr.Partition())
}

func TestAnEndpointIsFoundByItsAddressAndByItsID(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	made := create(t, s, newEndpoint("acme", 1))
	for what, read := range map[string]func() (endpoint.Endpoint, error){
		"by address": func() (endpoint.Endpoint, error) { return dial(t, s, 1) },
		"again":      func() (endpoint.Endpoint, error) { return dial(t, s, 1) },
		"by id":      func() (endpoint.Endpoint, error) { return s.EndpointByID(t.Context(), "acme", "acme-1") },
	} {
		got, err := read()
		if err != nil || got.ID != made.ID || got.Name != made.Name || got.Slug != made.Slug || got.Revision != made.Revision || got.V != 1 {
			t.Errorf("%s: got %+v, %v", what, got, err)
		}
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	create(t, s, newEndpoint("acme", 1))
	_, errs := dial(t, s, 2)
	for what, err := range map[string]error{
		"an address": errs,
		"an id":      second(s.EndpointByID(ctx, "acme", "acme-2")),
		"another's":  second(s.EndpointByID(ctx, "other", "acme-1")),
		"a tenant":   second(s.Account(ctx, "globex")),
		"an agent":   second(s.Agent(ctx, "acme", "a")),
		"a deletion": s.DeleteEndpoint(ctx, newEndpoint("acme", 2)),
		"an update":  second(s.UpdateEndpoint(ctx, newEndpoint("acme", 2))),
		"an agent's": second(s.UpdateAgent(ctx, newAgent("acme", 2))),
		"a goodbye":  s.DeleteAgent(ctx, newAgent("acme", 2)),
	} {
		if !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnAddressAndAnIDAreTakenOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	create(t, s, newEndpoint("acme", 1))
	sameAddress := newEndpoint("other", 1)
	sameID := newEndpoint("acme", 2)
	sameID.ID = "acme-1"
	for what, ep := range map[string]endpoint.Endpoint{"address": sameAddress, "id": sameID} {
		if _, err := s.CreateEndpoint(t.Context(), ep, endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
			t.Errorf("same %s: %v", what, err)
		}
	}
	if n, err := s.CountEndpoints(t.Context(), "acme"); n != 1 || err != nil {
		t.Errorf("%d endpoints, %v; want 1", n, err)
	}
	if page, _, err := s.Endpoints(t.Context(), "other", "", 10); len(page) != 0 || err != nil {
		t.Errorf("a refused creation left %v, %v", page, err)
	}
}

func TestAnUpdateReplacesTheVersionItWasMadeFrom(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ep := create(t, s, newEndpoint("acme", 1))
	stale := ep
	ep.IsActive = false
	rev, err := s.UpdateEndpoint(t.Context(), ep)
	if err != nil || rev <= ep.Revision {
		t.Fatalf("revision %d after %d, %v", rev, ep.Revision, err)
	}
	if got, err := dial(t, s, 1); err != nil || got.IsActive || got.Revision != rev {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.UpdateEndpoint(t.Context(), stale); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("an update of an older version: %v", err)
	}
	if err := s.DeleteEndpoint(t.Context(), stale); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("a deletion of an older version: %v", err)
	}
	moved := ep
	moved.Revision, moved.Slug = rev, slug(9)
	if _, err := s.UpdateEndpoint(t.Context(), moved); !errors.Is(err, store.ErrAddress) {
		t.Errorf("an update that changes the address: %v", err)
	}
}

func TestADeletedEndpointIsGoneAndItsAddressFree(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ep := create(t, s, newEndpoint("acme", 1))
	if err := s.DeleteEndpoint(t.Context(), ep); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, s, 1); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("dialled after its deletion: %v", err)
	}
	if page, _, err := s.Endpoints(t.Context(), "acme", "", 10); len(page) != 0 || err != nil {
		t.Errorf("listed after its deletion: %v, %v", page, err)
	}
	if n, err := s.CountEndpoints(t.Context(), "acme"); n != 0 || err != nil {
		t.Errorf("counted after its deletion: %d, %v", n, err)
	}
	again := create(t, s, newEndpoint("acme", 1))
	if got, err := dial(t, s, 1); err != nil || got.Revision != again.Revision {
		t.Errorf("made again: %+v, %v", got, err)
	}
}

func TestADeletionWithoutARevisionTakesWhateverIsThere(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ep := create(t, s, newEndpoint("acme", 1))
	ep.Revision = 0
	if err := s.DeleteEndpoint(t.Context(), ep); err != nil {
		t.Error(err)
	}
}

func TestAListShowsEachObjectOfTheTenantOnceInOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const n = 25
	for i := range n {
		create(t, s, newEndpoint("acme", i))
		create(t, s, newEndpoint("other", 100+i))
		if _, err := s.CreateAgent(t.Context(), newAgent("acme", i), endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < n; i += 2 { // updates must not move, deletions not shift what is left
		ep, err := s.EndpointByID(t.Context(), "acme", fmt.Sprintf("acme-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			err = s.DeleteEndpoint(t.Context(), ep)
		} else {
			_, err = s.UpdateEndpoint(t.Context(), ep)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var want, got []string
	for i := range n {
		if i%4 != 0 {
			want = append(want, fmt.Sprintf("number %d", i))
		}
	}
	for cursor, pages := "", 0; ; pages++ {
		page, next, err := s.Endpoints(t.Context(), "acme", cursor, 4)
		if err != nil || len(page) > 4 || pages > n {
			t.Fatalf("page of %d, %v", len(page), err)
		}
		for _, ep := range page {
			got = append(got, ep.Name)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	agents, next, err := s.Agents(t.Context(), "acme", "", 200)
	if err != nil || len(agents) != n || next != "" || agents[7].Name != "agent 7" || agents[7].Revision == 0 {
		t.Errorf("%d agents, next %q, %v", len(agents), next, err)
	}
	if _, _, err := s.Endpoints(t.Context(), "acme", "§", 4); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func TestATenantHasAsManyObjectsAsItMay(t *testing.T) {
	t.Parallel()
	s := open(t, startBroker(t), store.Config{MaxEndpoints: 5, MaxAgents: 1}, store.Observer{})
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch _, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", i), endpoint.Terms{}); {
			case err == nil:
				made.Add(1)
			case errors.Is(err, store.ErrLimit):
				refused.Add(1)
			case !errors.Is(err, store.ErrUnavailable): // lost too many races
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n, err := s.CountEndpoints(t.Context(), "acme")
	if err != nil || n != int(made.Load()) || n > 5 {
		t.Errorf("%d made, %d refused, %d counted, %v; want at most 5", made.Load(), refused.Load(), n, err)
	}
	create(t, s, newEndpoint("other", 100))
	for i, want := range []error{nil, store.ErrLimit} {
		if _, err := s.CreateAgent(t.Context(), newAgent("acme", i), endpoint.Terms{}); !errors.Is(err, want) {
			t.Errorf("agent %d: %v, want %v", i, err, want)
		}
	}
}

func TestAccountsAndAgentsAreKeptAsEndpointsAre(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	acct := endpoint.Account{ID: "1", Tenant: "globex", Name: "Globex", Refusal: endpoint.RefuseExplicit}
	rev, err := s.CreateAccount(ctx, acct, endpoint.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateAccount(ctx, acct, endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	acct.Name, acct.Revision = "Globex Ltd", rev
	if _, err := s.UpdateAccount(ctx, acct, endpoint.Terms{}); err != nil {
		t.Error(err)
	}
	if _, err := s.UpdateAccount(ctx, acct, endpoint.Terms{}); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("updated from an older version: %v", err)
	}
	if got, err := s.Account(ctx, "globex"); err != nil || got.Name != "Globex Ltd" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := s.AccountByTenant(ctx, "globex"); err != nil || got.Name != "Globex Ltd" {
		t.Errorf("got %+v, %v", got, err)
	}

	a := newAgent("acme", 1)
	if a.Revision, err = s.CreateAgent(ctx, a, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	a.Name = "Alice"
	if a.Revision, err = s.UpdateAgent(ctx, a); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Agent(ctx, "acme", a.ID); err != nil || got.Name != "Alice" {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := s.DeleteAgent(ctx, a); err != nil {
		t.Error(err)
	}
	if _, err := s.AgentByID(ctx, "acme", a.ID); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("deleted agent: %v", err)
	}
}

func TestAKindWithoutAnAddressIsRefused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ep := newEndpoint("acme", 1)
	ep.Kind, ep.User = endpoint.KindCredential, "alice"
	if _, err := s.CreateEndpoint(t.Context(), ep, endpoint.Terms{}); !errors.Is(err, store.ErrAddress) {
		t.Errorf("got %v", err)
	}
}
