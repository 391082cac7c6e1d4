package reference

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	hopSubject = "bench.hop"
	hopWait    = 2 * time.Second
)

// Broker runs a NATS server on an address until ctx ends. With a directory it
// has JetStream there; what it has counted is served over HTTP on the port above
// (/varz).
func Broker(ctx context.Context, address, dir string) error {
	at, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{Host: at.IP.String(), Port: at.Port, HTTPHost: at.IP.String(), HTTPPort: at.Port + 1, NoSigs: true,
		JetStream: dir != "", StoreDir: dir})
	if err != nil {
		return fmt.Errorf("start NATS on %s: %w", address, err)
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	return nil
}

// Respond answers hops through a NATS server until ctx ends.
func Respond(ctx context.Context, url string) error {
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", url, err)
	}
	defer nc.Close()
	if _, err := nc.QueueSubscribe(hopSubject, "bench", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// A Hop asks a responder and waits: what any decision elsewhere takes.
type Hop func(data []byte) error

// InProcess returns a hop to a responder in this process.
func InProcess(ctx context.Context) (Hop, error) {
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	context.AfterFunc(ctx, s.Shutdown)
	if !s.ReadyForConnections(hopWait) {
		return nil, fmt.Errorf("NATS is not ready after %v", hopWait)
	}
	asker, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, err
	}
	answerer, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return nil, err
	}
	_, err = answerer.QueueSubscribe(hopSubject, "bench", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	if err == nil {
		err = answerer.Flush()
	}
	return through(asker), err
}

// Over returns a hop through a NATS server.
func Over(url string) (Hop, error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	return through(nc), nil
}

func through(nc *nats.Conn) Hop {
	return func(data []byte) error {
		_, err := nc.Request(hopSubject, data, hopWait)
		return err
	}
}
