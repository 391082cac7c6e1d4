package cluster_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"patchbay/cluster"
	"patchbay/cluster/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the longest wait of a test for something that should happen at
// once.
const patience = 30 * time.Second

// startBroker runs a server for the test, without a port.
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

// connect joins a node to the server.
func connect(t testing.TB, srv *broker.Server) *cluster.Conn {
	t.Helper()
	c, err := cluster.Connect(cluster.Options{Name: "test", Server: srv, Wait: patience}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	return c
}

func newConn(t testing.TB) *cluster.Conn { return connect(t, startBroker(t)) }

// component is anything that runs.
type component interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// run keeps c running until the test ends.
func run(t testing.TB, c component) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run %T: %v", c, err)
		}
	})
	select {
	case <-c.Ready():
	case err := <-done:
		done <- nil
		t.Fatalf("run %T: %v", c, err)
	case <-time.After(patience):
		t.Fatalf("%T is not ready", c)
	}
}

// await waits for a value, at most patience.
func await[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// eventually waits until ok, at most patience.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
