package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/store"
	"patchbay/cluster/subject"
)

// benchEndpoints is how many endpoints an account may have by default.
const benchEndpoints = 100_000

// A crowd is a store of one account with benchEndpoints.
type crowd struct {
	*store.Store
	kv jetstream.KeyValue
	js jetstream.JetStream
}

func newCrowd(b *testing.B) *crowd {
	b.Helper()
	srv := startBroker(b)
	c := &crowd{Store: open(b, srv, store.Config{Node: "n1", Decider: true}, store.Observer{}), js: jetStream(b, srv)}
	run(b, c.Store)
	for from := 0; from < benchEndpoints; from += 400 {
		eps := make([]endpoint.Endpoint, 400)
		for i := range eps {
			eps[i] = newEndpoint("acme", from+i)
			eps[i].IP = endpoint.IPPolicy{Mode: endpoint.IPAny}
		}
		if err := c.Apply(b.Context(), "acme", nil, eps, endpoint.Terms{}); err != nil {
			b.Fatal(err)
		}
	}
	var err error
	if c.kv, err = c.js.KeyValue(b.Context(), subject.BucketEndpoints); err != nil {
		b.Fatal(err)
	}
	return c
}

func BenchmarkCatalogue(b *testing.B) {
	c := newCrowd(b)
	find := func(b *testing.B, f endpoint.Filter, w endpoint.Window) {
		if _, err := c.FindEndpoints(b.Context(), "acme", f, w); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			find(b, endpoint.Filter{}, endpoint.Window{Limit: 1})
		}
	})
	b.Run("bare read", func(b *testing.B) {
		for b.Loop() {
			addr := endpoint.SlugAddress(slug(rand.IntN(benchEndpoints)))
			if _, err := c.kv.Get(b.Context(), subject.KeyEndpoint(addr.Key(), addr.Partition())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.EndpointByID(b.Context(), "acme", fmt.Sprintf("acme-%d", rand.IntN(benchEndpoints))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := c.Endpoints(b.Context(), "acme", "", 50); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("filter", func(b *testing.B) {
		for b.Loop() {
			find(b, endpoint.Filter{NameContains: fmt.Sprint(rand.IntN(1000))}, endpoint.Window{Limit: 50, Count: true})
		}
	})
}
