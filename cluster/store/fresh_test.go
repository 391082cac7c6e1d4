package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
)

// sources counts where reads were answered from.
type sources struct{ cache, store, stale, failed atomic.Int32 }

func (s *sources) observer() store.Observer {
	return store.Observer{Read: func(_, from string, _ time.Duration) {
		map[string]*atomic.Int32{"cache": &s.cache, "store": &s.store, "stale": &s.stale, "error": &s.failed}[from].Add(1)
	}}
}

func (s *sources) String() string {
	return fmt.Sprintf("%d from the cache, %d from the store, %d stale, %d failed", s.cache.Load(), s.store.Load(), s.stale.Load(), s.failed.Load())
}

func TestWarmReadsComeFromMemory(t *testing.T) {
	t.Parallel()
	var from sources
	s := open(t, startBroker(t), store.Config{}, from.observer())
	run(t, s)
	for n := 1; ; n += 2 {
		create(t, s, newEndpoint("acme", n))
		began, age, cache, read := time.Now(), s.FeedAge(), from.cache.Load(), from.store.Load()
		for range 10 {
			if _, err := dial(t, s, n); err != nil {
				t.Fatal(err)
			}
			if _, err := dial(t, s, n+1); !errors.Is(err, endpoint.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if from.store.Load()-read == 2 && from.cache.Load()-cache == 18 {
			return
		}
		if age+time.Since(began) < 1500*time.Millisecond || n > 100 { // else the machine was too busy to keep the feed fresh
			t.Fatalf("reads: %v; want 18 and 2 for each two endpoints", &from)
		}
	}
}

func TestAWriteIsKnownToEveryDeciderBeforeItReturns(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	deciders := func() []string { return []string{"n1", "n2"} }
	n1 := open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{})
	n2 := open(t, srv, store.Config{Node: "n2", Decider: true}, store.Observer{})
	var missing atomic.Int32
	control := open(t, srv, store.Config{Node: "c", Deciders: deciders}, store.Observer{
		Synced: func(_ time.Duration, n int) { missing.Add(int32(n)) }})
	control.SyncLonger(patience)
	run(t, n1)
	run(t, n2)
	for i := range 50 {
		for _, n := range []*store.Store{n1, n2} {
			if _, err := dial(t, n, i); !errors.Is(err, endpoint.ErrNotFound) {
				t.Fatal(err)
			}
		}
		ep := create(t, control, newEndpoint("acme", i))
		for _, n := range []*store.Store{n1, n2} {
			if _, err := dial(t, n, i); err != nil {
				t.Fatalf("made, but not known: %v", err)
			}
		}
		if err := control.DeleteEndpoint(t.Context(), ep); err != nil {
			t.Fatal(err)
		}
		for _, n := range []*store.Store{n1, n2} {
			if _, err := dial(t, n, i); !errors.Is(err, endpoint.ErrNotFound) {
				t.Fatalf("deleted, but known: %v", err)
			}
		}
	}
	if missing.Load() != 0 {
		t.Errorf("%d acknowledgements were missing", missing.Load())
	}
}

func TestADeciderThatDoesNotAnswerDelaysAWriteByASecond(t *testing.T) {
	t.Parallel()
	var missing atomic.Int32
	srv := startBroker(t)
	run(t, open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{}))
	control := open(t, srv, store.Config{Deciders: func() []string { return []string{"n1", "dead"} }}, store.Observer{
		Synced: func(_ time.Duration, n int) { missing.Store(int32(n)) }})
	for n := range 5 { // on a busy machine the one that answers may be late, too
		start := time.Now()
		create(t, control, newEndpoint("acme", 1+n))
		if took := time.Since(start); took < time.Second || missing.Load() == 0 {
			t.Errorf("took %v, %d missing; want a second and 1", took, missing.Load())
		}
		if missing.Load() == 1 {
			return
		}
	}
	t.Error("the decider that answers is missed, too")
}

func TestOthersChangesArriveByTheFeed(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	reader := open(t, srv, store.Config{}, store.Observer{}) // does not decide: nobody asks it
	run(t, reader)
	writer := open(t, srv, store.Config{}, store.Observer{})
	ep := create(t, writer, newEndpoint("acme", 1))
	if _, err := dial(t, reader, 1); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		ep.Name = fmt.Sprintf("name %d", i)
		rev, err := writer.UpdateEndpoint(t.Context(), ep)
		if err != nil {
			t.Fatal(err)
		}
		ep.Revision = rev
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			got, err := dial(t, reader, 1)
			if err == nil && got.Name == ep.Name && got.Revision == rev {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %q at %d, %v; want %q at %d", got.Name, got.Revision, err, ep.Name, rev)
			}
		}
	}
}

func TestWithoutAFeedEntriesAreReadAgain(t *testing.T) {
	t.Parallel()
	var from sources
	s := open(t, startBroker(t), store.Config{}, from.observer()) // never runs
	create(t, s, newEndpoint("acme", 1))
	for range 5 {
		if _, err := dial(t, s, 1); err != nil {
			t.Fatal(err)
		}
	}
	if from.cache.Load() != 0 || from.store.Load() != 5 {
		t.Errorf("reads: %v; want all from the store", &from)
	}
}

func TestWhileTheStoreIsAwayKnownEndpointsAreServed(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	var from sources
	s := open(t, srv, store.Config{ReadTimeout: patience}, from.observer())
	run(t, s)
	create(t, s, newEndpoint("acme", 1))
	if _, err := dial(t, s, 1); err != nil {
		t.Fatal(err)
	}
	srv.Close()
	for deadline := time.Now().Add(patience); from.stale.Load() == 0; time.Sleep(20 * time.Millisecond) {
		if _, err := dial(t, s, 1); err != nil {
			t.Fatalf("%v after reads: %v", err, &from)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the feed never went stale; reads: %v", &from)
		}
	}
	if age := s.FeedAge(); age < 1500*time.Millisecond {
		t.Errorf("entries were read again at a feed age of %v", age)
	}
	if _, err := dial(t, s, 2); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an endpoint that was never read: %v", err)
	}
	if _, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", 3), endpoint.Terms{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
}

func TestAWarmPolicyIsServedFromMemoryAlone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx := t.Context()
	ep := newEndpoint("acme", 1)
	agent := "acme-1"
	ep.Handler = endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: &agent}
	create(t, s, ep)
	addr := endpoint.SlugAddress(slug(1))
	cached := func() bool {
		_, ep := s.CachedEndpoint(addr.Key(), addr.Partition())
		_, acct := s.CachedAccount("acme")
		_, bot := s.CachedAgent("acme", agent)
		return ep && acct && bot
	}
	if cached() {
		t.Error("cached before anything was read")
	}
	for _, err := range []error{second(dial(t, s, 1)), second(s.Account(ctx, "acme"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if cached() {
		t.Error("cached without the agent")
	}
	if _, err := s.Agent(ctx, "acme", agent); !errors.Is(err, endpoint.ErrNotFound) {
		t.Fatal(err)
	}
	eventually(t, patience, "a policy without an agent is in memory", func() bool { // while the feed is fresh
		got, _ := s.CachedEndpoint(addr.Key(), addr.Partition())
		acct, _ := s.CachedAccount("acme")
		bot, known := s.CachedAgent("acme", agent)
		return got != nil && got.Name == "number 1" && acct != nil && acct.Tenant == "acme" && bot == nil && known
	})
	if _, err := s.CreateAgent(ctx, newAgent("acme", 1), endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	if cached() {
		t.Error("cached after the agent was made")
	}
	unknown := endpoint.SlugAddress(slug(2))
	_, _ = dial(t, s, 2)
	eventually(t, patience, "an endpoint is known not to exist", func() bool {
		ep, ok := s.CachedEndpoint(unknown.Key(), unknown.Partition())
		return ok && ep == nil
	})
}

func TestOtherClientsReadTheBucketAsKV(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{}, store.Observer{})
	ep := create(t, s, newEndpoint("acme", 1))
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
	addr := endpoint.SlugAddress(slug(1))
	key := fmt.Sprintf("ep.%d.%s", addr.Partition(), addr.Key())
	if e, err := kv.Get(t.Context(), key); err != nil || e.Revision() != uint64(ep.Revision) {
		t.Errorf("get: %v, %v", e, err)
	}
	if err := s.DeleteEndpoint(t.Context(), ep); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(t.Context(), key); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("get after the deletion: %v", err)
	}
	keys, err := kv.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key := range keys.Keys() {
		if key != "count.acme.ep" && !strings.HasPrefix(key, "acct.") {
			t.Errorf("the deletion left %s", key)
		}
	}
}

func TestAnotherVersionInTheBucketIsRefused(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{}, store.Observer{})
	create(t, s, newEndpoint("acme", 1))
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	addr := endpoint.SlugAddress(slug(1))
	subj := fmt.Sprintf("$KV.endpoints.ep.%d.%s", addr.Partition(), addr.Key())
	for _, value := range []string{`{"v":2,"slug":"demo-secret"}`, `{"v":"demo-secret"}`, `demo-secret`} {
		if _, err := nc.Request(subj, []byte(value), patience); err != nil {
			t.Fatal(err)
		}
		_, err := dial(t, s, 1)
		if err == nil || errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%s was read: %v", value, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows what was stored: %v", err)
		}
	}
}

func BenchmarkCachedEndpoint(b *testing.B) {
	s := newStore(b)
	create(b, s, newEndpoint("acme", 1))
	addr := endpoint.SlugAddress(slug(1))
	key, partition := addr.Key(), addr.Partition()
	ctx := context.Background()
	if _, err := s.Endpoint(ctx, key, partition); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Endpoint(ctx, key, partition); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkColdEndpoint(b *testing.B) {
	s := open(b, startBroker(b), store.Config{}, store.Observer{}) // no feed: each read is a Direct Get
	create(b, s, newEndpoint("acme", 1))
	addr := endpoint.SlugAddress(slug(1))
	key, partition := addr.Key(), addr.Partition()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Endpoint(ctx, key, partition); err != nil {
			b.Fatal(err)
		}
	}
}
