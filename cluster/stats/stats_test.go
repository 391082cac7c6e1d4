package stats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"patchbay/actors/endpoint"
	"patchbay/cluster/stats"
	"patchbay/cluster/stream"
	"patchbay/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func board(t testing.TB, srv *server.Server) *stats.Board {
	t.Helper()
	js, err := jetstream.New(testkit.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	b, err := stats.Open(t.Context(), js, stream.Terms{Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t testing.TB, b *stats.Board, ids ...stats.ID) map[endpoint.Key]stats.Totals {
	t.Helper()
	all, err := b.Read(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	noon = time.Date(2025, 11, 21, 12, 0, 0, 0, time.UTC)
	one  = stats.ID{Key: "k1", Partition: 3}
	two  = stats.ID{Key: "k2", Partition: 3}
)

func TestManyCallsOfAnEndpointCostOneWrite(t *testing.T) {
	t.Parallel()
	srv := testkit.NATSServer(t)
	b := board(t, srv)
	c := stats.NewCounter(b, "n1", 1, quiet)
	for i := range 1000 {
		c.Call(one, noon.Add(time.Duration(i)*time.Second))
	}
	c.Reject(one)
	c.Reject(two)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil { // nothing new
		t.Fatal(err)
	}
	all := read(t, b, one, two, stats.ID{Key: "k3"})
	want := stats.Totals{Calls: 1000, Rejected: 1, LastCallAt: noon.Add(999 * time.Second)}
	if len(all) != 2 || all["k1"] != want || all["k2"] != (stats.Totals{Rejected: 1}) {
		t.Errorf("got %+v", all)
	}
	js, _ := jetstream.New(testkit.Connect(t, srv))
	s, err := js.Stream(t.Context(), "KV_stats")
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.LastSeq; n != 2 {
		t.Errorf("%d writes", n)
	}
}

func TestDecidersAddUpAndTheLatestCallCounts(t *testing.T) {
	t.Parallel()
	srv := testkit.NATSServer(t)
	b := board(t, srv)
	const nodes, rounds, calls = 4, 5, 25
	var all sync.WaitGroup
	for n := range nodes {
		c := stats.NewCounter(board(t, srv), fmt.Sprint("n", n), 1, quiet)
		all.Go(func() {
			for r := range rounds {
				for i := range calls {
					c.Call(one, noon.Add(time.Duration(n*1000+r*100+i)*time.Second))
				}
				for c.Flush(context.Background()) != nil { // lost races
				}
			}
		})
	}
	all.Wait()
	want := stats.Totals{Calls: nodes * rounds * calls, LastCallAt: noon.Add(3424 * time.Second)}
	if got := read(t, b, one)["k1"]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCountsWaitWhileJetStreamIsAway(t *testing.T) {
	t.Parallel()
	srv := testkit.NATSServer(t)
	b := board(t, srv)
	c := stats.NewCounter(b, "n1", 1, quiet)
	dir := srv.JetStreamConfig().StoreDir
	c.Call(one, noon)
	if err := srv.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); !errors.Is(err, stats.ErrUnavailable) {
		t.Errorf("flushed: %v", err)
	}
	c.Call(one, noon.Add(time.Second))
	c.Call(two, noon)
	if _, err := b.Read(t.Context(), []stats.ID{one}); !errors.Is(err, stats.ErrUnavailable) {
		t.Errorf("read: %v", err)
	}
	if err := srv.EnableJetStream(&server.JetStreamConfig{StoreDir: dir}); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := read(t, b, one, two)
	if all["k1"] != (stats.Totals{Calls: 2, LastCallAt: noon.Add(time.Second)}) || all["k2"].Calls != 1 {
		t.Errorf("got %+v", all)
	}
}

// unheard is JetStream whose first answer is lost: the write lands, its writer
// does not hear of it.
type unheard struct {
	jetstream.JetStream
	lost bool
}

func (u *unheard) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := u.JetStream.PublishMsg(ctx, m, opts...)
	if !u.lost {
		u.lost = true
		return nil, context.DeadlineExceeded
	}
	return ack, err
}

func TestAWriteWhoseAnswerWasLostIsNotAddedTwice(t *testing.T) {
	t.Parallel()
	srv := testkit.NATSServer(t)
	js, err := jetstream.New(testkit.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	b, err := stats.Open(t.Context(), &unheard{JetStream: js}, stream.Terms{Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c := stats.NewCounter(b, "n1", 1, quiet)
	c.Call(one, noon)
	if err := c.Flush(t.Context()); err == nil {
		t.Fatal("the answer was not lost")
	}
	c.Reject(one)
	for range 2 {
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, b, one)["k1"]; got != (stats.Totals{Calls: 1, Rejected: 1, LastCallAt: noon}) {
		t.Errorf("got %+v", got)
	}
}

func TestTheLastCountsAreWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	b := board(t, testkit.NATSServer(t))
	c := stats.NewCounter(b, "n1", 1, quiet)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.Ready()
	c.Call(one, noon)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := read(t, b, one)["k1"]; got.Calls != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestEndpointsBeyondTheRoomAreNotCounted(t *testing.T) {
	t.Parallel()
	b := board(t, testkit.NATSServer(t))
	c := stats.NewCounter(b, "n1", 1, quiet)
	for i := range 1030 {
		c.Call(stats.ID{Key: endpoint.Key(fmt.Sprint("k", i)), Partition: 3}, noon)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := read(t, b, stats.ID{Key: "k1023", Partition: 3}, stats.ID{Key: "k1024", Partition: 3})
	if len(all) != 1 || all["k1023"].Calls != 1 {
		t.Errorf("got %+v", all)
	}
}

func TestTheWireFormatOfTotals(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(stats.Totals{Calls: 2, Rejected: 1, LastCallAt: noon})
	if err != nil || string(text) != `{"calls":2,"rejected":1,"last_call_at":"2025-11-21T12:00:00Z"}` {
		t.Errorf("got %s, %v", text, err)
	}
}

func BenchmarkCall(b *testing.B) {
	c := stats.NewCounter(nil, "n1", 1, quiet)
	b.ReportAllocs()
	for b.Loop() {
		c.Call(one, noon)
	}
}
