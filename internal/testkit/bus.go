package testkit

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// A Bus is a NATS server at a port of loopback, whose JetStream can go away
// while NATS itself stays.
type Bus struct {
	t   testing.TB
	srv *server.Server
	dir string
	URL string // where clients reach it
}

// NATSBus starts a server. It ends with the test.
func NATSBus(t testing.TB) *Bus {
	t.Helper()
	b := &Bus{t: t, dir: t.TempDir()}
	srv, err := server.NewServer(&server.Options{ServerName: "bus", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: b.dir, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatalf("NATS: %v", err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(natsStart) {
		t.Fatalf("NATS: not ready after %v", natsStart)
	}
	b.srv, b.URL = srv, srv.ClientURL()
	return b
}

// StopJetStream takes JetStream away.
func (b *Bus) StopJetStream() {
	b.t.Helper()
	if err := b.srv.DisableJetStream(); err != nil {
		b.t.Fatalf("stop JetStream: %v", err)
	}
}

// StartJetStream brings it back, with what it had.
func (b *Bus) StartJetStream() {
	b.t.Helper()
	if err := b.srv.EnableJetStream(&server.JetStreamConfig{StoreDir: b.dir}); err != nil {
		b.t.Fatalf("start JetStream: %v", err)
	}
}
