package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/broker"
	"patchbay/cluster/store"
	"patchbay/cluster/subject"
)

func blocklist(t testing.TB, srv *broker.Server) *store.Blocklist {
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
	l := store.NewBlocklist(js, slog.New(slog.DiscardHandler))
	l.WaitLonger(patience) // a busy machine may take longer than an edge would wait
	run(t, l)
	return l
}

func newBlock(source string, life time.Duration) endpoint.Block {
	b := endpoint.Block{Source: netip.MustParsePrefix(source), Reason: "scanner", CreatedAt: time.Now()}
	if life > 0 {
		end := b.CreatedAt.Add(life)
		b.ExpiresAt = &end
	}
	return b
}

func eventually(t testing.TB, within time.Duration, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

func TestABlockReachesEveryEdgeAndEndsThere(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{Node: "n1"}, store.Observer{})
	run(t, s)
	bad, good, short := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.77"), netip.MustParseAddr("2001:db8::1")
	if _, err := s.PutBlock(t.Context(), newBlock("203.0.113.0/28", 0)); err != nil {
		t.Fatal(err)
	}
	l := blocklist(t, srv)
	if !l.Contains(bad) || l.Contains(good) || l.Contains(short) {
		t.Errorf("once ready: bad %v, good %v, other %v", l.Contains(bad), l.Contains(good), l.Contains(short))
	}
	if _, err := s.PutBlock(t.Context(), newBlock("2001:db8::/32", 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the second block holds", func() bool { return l.Contains(short) })
	eventually(t, patience, "it expires", func() bool { return !l.Contains(short) })
	if err := s.DeleteBlock(t.Context(), newBlock("203.0.113.0/29", 0)); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("a part of a block: %v", err)
	}
	if err := s.DeleteBlock(t.Context(), newBlock("203.0.113.0/28", 0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the first block is taken back", func() bool { return !l.Contains(bad) })
	eventually(t, patience, "the bucket has forgotten both", func() bool {
		all, _, err := s.Blocks(t.Context(), "", 10)
		return err == nil && len(all) == 0 && l.Len() == 0
	})
}

func TestBlocksAreListedInPages(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for i := range 7 {
		if _, err := s.PutBlock(t.Context(), newBlock(fmt.Sprintf("198.51.100.%d/32", i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.PutBlock(t.Context(), newBlock("198.51.100.0/32", 0)); err != nil { // again: now the newest
		t.Fatal(err)
	}
	var got []string
	for cursor, pages := "", 0; pages < 10; pages++ {
		page, next, err := s.Blocks(t.Context(), cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page {
			got = append(got, b.Source.Addr().String())
		}
		if cursor = next; next == "" {
			break
		}
	}
	if len(got) != 7 || got[0] != "198.51.100.1" || got[6] != "198.51.100.0" {
		t.Errorf("got %v", got)
	}
}

func TestABatchIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	s := open(t, srv, store.Config{Node: "n1", Decider: true, MaxEndpoints: 450}, store.Observer{})
	run(t, s)
	var eps []endpoint.Endpoint
	for i := range 440 {
		eps = append(eps, newEndpoint("acme", i))
	}
	agents := []endpoint.Agent{newAgent("acme", 1), newAgent("acme", 2)}
	before := bucketKeys(t, srv)
	other := newEndpoint("other", 7) // has the address of one of them
	create(t, s, other)
	if err := s.Apply(t.Context(), "acme", agents, eps, daily(500)); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("with a taken address: %v", err)
	}
	if got := len(bucketKeys(t, srv)); got != len(before)+3 { // the other's own object, index entry and count
		t.Errorf("%d keys after a refused batch, want %d", got, len(before)+3)
	}
	if err := s.DeleteEndpoint(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), "acme", agents, eps, daily(439)); !errors.Is(err, store.ErrDaily) {
		t.Errorf("over the day: %v", err)
	}
	if err := s.Apply(t.Context(), "acme", agents, eps, daily(500)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountEndpoints(t.Context(), "acme"); n != 440 || err != nil {
		t.Errorf("%d endpoints, %v; want 440", n, err)
	}
	got, err := s.EndpointByID(t.Context(), "acme", "acme-100")
	if err != nil {
		t.Fatal(err)
	}
	stale := got
	got.Name = "renamed"
	if err := s.Apply(t.Context(), "acme", nil, []endpoint.Endpoint{got, newEndpoint("acme", 900)}, endpoint.Terms{}); err != nil {
		t.Fatal(err)
	}
	if now, err := dial(t, s, 100); err != nil || now.Name != "renamed" {
		t.Errorf("after a batch that renames: %v, %v", now.Name, err)
	}
	if err := s.Apply(t.Context(), "acme", nil, []endpoint.Endpoint{stale, newEndpoint("acme", 901)}, endpoint.Terms{}); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("with an outdated revision: %v", err)
	}
	if _, err := dial(t, s, 901); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("the rest of that batch: %v", err)
	}
	if err := s.Apply(t.Context(), "acme", nil, eps[:11], endpoint.Terms{}); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("made again: %v", err)
	}
}

// An edge takes no call before it knows every source that is blocked, however
// long the list is.
func TestABlocklistIsReadyOnceItWasReadToItsEnd(t *testing.T) {
	t.Parallel()
	srv := startBroker(t)
	open(t, srv, store.Config{Node: "n1"}, store.Observer{})
	js := jetStream(t, srv)
	const many = 2000
	source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}) }
	for i := range many {
		b, err := json.Marshal(endpoint.Block{V: 1, Source: netip.PrefixFrom(source(i), 32), CreatedAt: time.Now()})
		if err == nil {
			_, err = js.PublishAsync("$KV.endpoints."+subject.KeyBlock(netip.PrefixFrom(source(i), 32)), b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("not written")
	}
	l := blocklist(t, srv)
	missing := 0
	for i := range many {
		if !l.Contains(source(i)) {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d sources are let in by a list that is ready", missing, many)
	}
}
