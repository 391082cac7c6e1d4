package testkit

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsStart is the longest wait for an embedded server.
const natsStart = 30 * time.Second

// NATS runs a NATS server with JetStream inside the test and returns a
// connection to it. It listens on no port; both end with the test.
func NATS(t testing.TB) *nats.Conn {
	t.Helper()
	return Connect(t, NATSServer(t))
}

// NATSServer runs a NATS server with JetStream in a directory of the test. It
// ends with the test.
func NATSServer(t testing.TB) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		ServerName: "testkit",
		DontListen: true, // in-process only: no port to clash over
		JetStream:  true,
		StoreDir:   t.TempDir(),
		NoLog:      true,
		NoSigs:     true,
	})
	if err != nil {
		t.Fatalf("embedded NATS: %v", err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(natsStart) {
		t.Fatalf("embedded NATS: not ready after %v", natsStart)
	}
	return srv
}

// Connect returns one more connection to an embedded server. It ends with the
// test, before the server.
func Connect(t testing.TB, srv *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(natsStart))
	if err != nil {
		t.Fatalf("connect to embedded NATS: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Dial returns a connection to servers at their addresses. It ends with the
// test.
func Dial(t testing.TB, urls string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(urls, nats.Timeout(natsStart), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatalf("connect to NATS: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}
