package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits of a connection (reference cluster.md 4.7).
const (
	pingInterval  = 2 * time.Second
	pingsOut      = 2
	reconnectWait = 100 * time.Millisecond
	probeInterval = 500 * time.Millisecond
	probeTimeout  = time.Second
	probeFresh    = 2500 * time.Millisecond // Healthy trusts an answer of JetStream this long
	drainTimeout  = 2 * time.Second
)

// ErrUnhealthy wraps every answer of [Conn.Healthy].
var ErrUnhealthy = errors.New("cluster: not healthy")

// Options say which NATS a node joins.
type Options struct {
	Name        string                     // of the node, shown in the server's connection list
	URL         string                     // servers, comma separated; empty: Server
	Credentials string                     // credentials file for URL; empty: none
	Server      nats.InProcessConnProvider // the broker of this process, where URL is empty
	Wait        time.Duration              // longest wait for NATS and JetStream at start
}

// A Conn is a node's way into NATS: three connections, so that neither a large
// read of configuration nor an operator's list delays an INVITE.
type Conn struct {
	hot, stored, control *nats.Conn
	js                   jetstream.JetStream
	log                  *slog.Logger
	ready                chan struct{}
	answered             atomic.Int64 // when JetStream last answered, Unix ns
	wait                 time.Duration
}

// Connect opens the connections. It does not wait for a server: they keep
// trying, and [Conn.Run] reports when NATS and JetStream answer.
func Connect(o Options, log *slog.Logger) (*Conn, error) {
	c := &Conn{log: log, ready: make(chan struct{}), wait: o.Wait}
	for _, at := range []struct {
		conn **nats.Conn
		use  string
	}{{&c.hot, "hot"}, {&c.stored, "store"}, {&c.control, "control"}} {
		nc, err := dial(o, at.use, log)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("connect to NATS (nats.url): %w", err)
		}
		*at.conn = nc
	}
	js, err := jetstream.New(c.stored)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to JetStream: %w", err)
	}
	c.js = js
	return c, nil
}

func dial(o Options, use string, log *slog.Logger) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name(o.Name + " " + use),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // a stale INVITE must not be sent later
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.ReconnectWait(reconnectWait),
		nats.RetryOnFailedConnect(true),
		nats.DrainTimeout(drainTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats connection lost", "use", use, "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("nats connected", "use", use) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("nats reported", "use", use, "subject", subject, "err", err)
		}),
	}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	if o.URL == "" {
		if o.Server == nil {
			return nil, errors.New("no url and no broker in this process (node.roles lacks broker)")
		}
		opts = append(opts, nats.InProcessServer(o.Server))
	}
	return nats.Connect(o.URL, opts...)
}

// Hot is the connection of calls' signalling.
func (c *Conn) Hot() *nats.Conn { return c.hot }

// Control is the connection of the control service and of agents' workers.
func (c *Conn) Control() *nats.Conn { return c.control }

// JetStream speaks over a connection of its own.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Run watches JetStream until ctx ends, then closes the connections. It fails
// when NATS and JetStream have not answered within Options.Wait of its start.
func (c *Conn) Run(ctx context.Context) error {
	defer c.Close()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	start := time.Now()
	for ready := false; ; {
		err := c.probe(ctx)
		switch {
		case err == nil && !ready && c.connected():
			ready = true
			close(c.ready)
		case !ready && time.Since(start) > c.wait:
			return fmt.Errorf("wait for NATS and JetStream (nats.start_wait %v): %w", c.wait, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Ready is closed once NATS and JetStream have answered.
func (c *Conn) Ready() <-chan struct{} { return c.ready }

func (c *Conn) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if _, err := c.js.AccountInfo(ctx); err != nil {
		return err
	}
	c.answered.Store(time.Now().UnixNano())
	return nil
}

func (c *Conn) connected() bool {
	return c.hot.IsConnected() && c.stored.IsConnected() && c.control.IsConnected()
}

// Healthy returns nil when every connection is up and JetStream has answered
// of late. It never blocks, so readiness may ask it; liveness must not, or an
// outage of NATS would restart nodes that carry calls.
func (c *Conn) Healthy() error {
	if !c.connected() {
		return fmt.Errorf("%w: NATS is not connected", ErrUnhealthy)
	}
	if age := time.Since(time.Unix(0, c.answered.Load())); age > probeFresh {
		return fmt.Errorf("%w: JetStream has not answered", ErrUnhealthy)
	}
	return nil
}

// Flush waits until the server has seen all that was published for calls.
func (c *Conn) Flush(ctx context.Context) error { return c.hot.FlushWithContext(ctx) }

// Close ends the connections. It may be called twice.
func (c *Conn) Close() {
	for _, nc := range []*nats.Conn{c.hot, c.stored, c.control} {
		if nc != nil {
			nc.Close()
		}
	}
}
