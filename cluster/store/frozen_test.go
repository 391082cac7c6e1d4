package store_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/broker"
	"patchbay/cluster/store"
	"patchbay/internal/golden"
	"patchbay/internal/testkit"
)

// bucketV1 is the bucket endpoints as the first release wrote it: one object of
// each kind, and what is kept beside them.
func bucketV1(t *testing.T) map[string][]byte {
	return testkit.Frozen(t, "testdata/v1/bucket.json", func() map[string][]byte {
		srv := startBroker(t)
		s := open(t, srv, store.Config{Node: "n1", Decider: true}, store.Observer{})
		run(t, s)
		ctx, made := t.Context(), time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
		agent := newAgent("acme", 1)
		ep := newEndpoint("acme", 1)
		ep.IP, ep.CreatedAt = endpoint.IPPolicy{Mode: endpoint.IPAny}, made
		ep.Handler = endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: &agent.ID}
		key := newKey("acme", 1)
		account := endpoint.Account{V: 1, ID: "id-1", Tenant: "globex", Name: "Globex", Refusal: endpoint.RefuseExplicit, CreatedAt: made,
			SIP: endpoint.SipSettings{Domain: "globex.sip.example", DomainIdentifier: "globex"}}
		for what, err := range map[string]error{
			"account":  second(s.CreateAccount(ctx, account, endpoint.Terms{})),
			"agent":    second(s.CreateAgent(ctx, agent, endpoint.Terms{})),
			"endpoint": second(s.CreateEndpoint(ctx, ep, endpoint.Terms{Day: "20261121", PerDay: 20, Once: endpoint.Once{Key: "once-1", Body: "digest", Note: "sealed"}})),
			"key":      second(s.CreateKey(ctx, key, endpoint.Terms{})),
			"block":    second(s.PutBlock(ctx, endpoint.Block{Source: netip.MustParsePrefix("203.0.113.0/28"), Reason: "scanner", CreatedAt: made})),
		} {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if _, err := s.CreateNumber(ctx, newNumber("acme", "15551234567", "", 1), endpoint.Terms{}); err != nil {
			t.Fatal(err)
		}
		return testkit.Dump(t, jetStream(t, srv), "KV_endpoints")
	})
}

func jetStream(t testing.TB, srv *broker.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// loaded is a store that finds those entries.
func loaded(t *testing.T, bucket map[string][]byte) *store.Store {
	t.Helper()
	srv := startBroker(t)
	s := open(t, srv, store.Config{Node: "n1", Decider: true, MaxEndpoints: 2}, store.Observer{})
	bucket = maps.Clone(bucket)
	maps.DeleteFunc(bucket, func(key string, _ []byte) bool {
		return strings.HasSuffix(key, ".acct.acme") || strings.HasSuffix(key, ".acct.other")
	})
	testkit.Load(t, jetStream(t, srv), bucket)
	run(t, s)
	return s
}

// reads are the ways to the objects of bucketV1.
func reads(t *testing.T, s *store.Store) map[string]func() (any, error) {
	ctx := t.Context()
	addr := endpoint.SlugAddress(slug(1))
	of := func(v any, err error) (any, error) { return v, err }
	return map[string]func() (any, error){
		"ep.":         func() (any, error) { return of(s.EndpointByID(ctx, "acme", "acme-1")) },
		"ep. cached":  func() (any, error) { return of(s.Endpoint(ctx, addr.Key(), addr.Partition())) },
		"agent.":      func() (any, error) { return of(s.AgentByID(ctx, "acme", "acme-1")) },
		"acct.globex": func() (any, error) { return of(s.AccountByTenant(ctx, "globex")) },
		"key.":        func() (any, error) { k := newKey("acme", 1); return of(s.KeyByDigest(ctx, k.Digest())) },
		"num.":        func() (any, error) { return of(number(t, s, "15551234567")) },
	}
}

// TestTheBucketOfRelease1IsRead is about a store that an earlier release has
// filled.
func TestTheBucketOfRelease1IsRead(t *testing.T) {
	t.Parallel()
	bucket := bucketV1(t)
	s := loaded(t, bucket)
	for what, read := range reads(t, s) {
		prefix, _, _ := strings.Cut(what, " ")
		got, err := read()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		golden.Covers(t, what, entryOf(t, bucket, prefix), again)
	}
	if page, _, err := s.Endpoints(t.Context(), "acme", "", 10); err != nil || len(page) != 1 {
		t.Errorf("by its index: %d endpoints, %v", len(page), err)
	}
	if page, _, err := s.Blocks(t.Context(), "", 10); err != nil || len(page) != 1 || page[0].Reason != "scanner" {
		t.Errorf("blocks: %+v, %v", page, err)
	}
	create(t, s, newEndpoint("acme", 2))
	if _, err := s.CreateEndpoint(t.Context(), newEndpoint("acme", 3), endpoint.Terms{}); err == nil {
		t.Error("a third endpoint: the count of before is not known")
	}
}

// entryOf is the one entry whose key begins so.
func entryOf(t *testing.T, bucket map[string][]byte, prefix string) []byte {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(bucket)) {
		if strings.HasPrefix(key, "$KV.endpoints."+prefix) {
			return bucket[key]
		}
	}
	t.Fatalf("no entry %s*", prefix)
	return nil
}

func TestObjectsOfALaterMajorVersionAreRefusedByTheirNumber(t *testing.T) {
	t.Parallel()
	bucket := maps.Clone(bucketV1(t))
	for key, data := range bucket {
		if !strings.Contains(key, ".idx.") && !strings.Contains(key, ".count.") {
			bucket[key] = bytes.Replace(data, []byte(`"v":1`), []byte(`"v":2`), 1)
		}
	}
	s := loaded(t, bucket)
	for what, read := range reads(t, s) {
		if got, err := read(); err == nil || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
}

func TestFieldsOfLaterReleasesInTheBucketAreIgnored(t *testing.T) {
	t.Parallel()
	bucket := maps.Clone(bucketV1(t))
	for key, data := range bucket {
		bucket[key] = bytes.Replace(data, []byte(`"v":1`), []byte(`"v":1,"of_a_later_release":{"a":[1]}`), 1)
	}
	s := loaded(t, bucket)
	for what, read := range reads(t, s) {
		if _, err := read(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
