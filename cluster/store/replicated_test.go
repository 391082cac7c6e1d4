package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
	"patchbay/cluster/stream"
	"patchbay/internal/testkit"
)

// On three replicas the server refuses a write also while another of the same
// key is under way, with an error of its own (10164).
func TestConcurrentWritesOnThreeReplicasEndAsOnOne(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, NOT TESTED: a cluster of three takes seconds to elect a leader")
	}
	t.Parallel()
	var stores []*store.Store
	servers := testkit.NATSCluster(t)
	for i := range 3 {
		nc, err := nats.Connect(servers.URL(i), nats.Timeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), js, store.Config{Node: fmt.Sprint("n", i), Streams: stream.Terms{Replicas: 3, Wait: 30 * time.Second}, CacheEntries: 1000, Decider: true,
			Deciders: func() []string { return []string{"n0", "n1", "n2"} }}, slog.New(slog.DiscardHandler), store.Observer{})
		if err != nil {
			t.Fatal(err)
		}
		s.SyncLonger(patience)
		run(t, s)
		accounts(t, js)
		stores = append(stores, s)
	}
	const each = 10
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			for n := range each {
				if _, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", i*each+n), endpoint.Terms{}); err != nil {
					t.Errorf("create: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		if n, err := s.CountEndpoints(t.Context(), "acme"); n != 3*each || err != nil {
			t.Errorf("%d endpoints, %v; want %d", n, err, 3*each)
		}
	}
	ep, err := stores[0].EndpointByID(t.Context(), "acme", "acme-0")
	if err != nil {
		t.Fatal(err)
	}
	won := make(chan endpoint.Revision, 8)
	for n := range 8 {
		wg.Go(func() {
			mine := ep
			mine.Name = fmt.Sprint("writer ", n)
			switch rev, err := stores[n%3].UpdateEndpoint(t.Context(), mine); {
			case err == nil:
				won <- rev
			case !errors.Is(err, endpoint.ErrConflict) && !errors.Is(err, store.ErrUnavailable):
				t.Errorf("update: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d of 8 writers of one version won, want 1", len(won))
	}
	for i, s := range stores { // no decider may lag behind a write that has returned
		if err := s.DeleteEndpoint(t.Context(), newEndpoint("acme", i)); err != nil {
			t.Fatal(err)
		}
		for _, reader := range stores {
			if _, err := dial(t, reader, i); !errors.Is(err, endpoint.ErrNotFound) {
				t.Errorf("deleted by node %d: %v", i, err)
			}
		}
	}
}
