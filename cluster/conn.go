package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How JetStream's health is watched. An election of its leaders takes 4 to 9 s
// (docs/operations.md), in which calls go on: where there are several
// brokers, that is no illness yet.
const (
	probeInterval = 500 * time.Millisecond
	probeTimeout  = time.Second
	probeFresh    = 2500 * time.Millisecond // Healthy trusts an answer of JetStream this long
	electionTime  = 15 * time.Second        // likewise, of one of several brokers
	spreadEvery   = 2 * time.Second         // between two tries to bring two connections to two brokers
	waitTold      = 5 * time.Second         // how often a start that waits says why
)

// ErrUnhealthy wraps every answer of [Conn.Healthy].
var ErrUnhealthy = errors.New("cluster: not healthy")

// A Conn is a node's way into NATS: three connections, so that neither a large
// read of configuration nor an operator's list delays an INVITE, and where there
// are several brokers a fourth, at another broker than the first: what must be
// heard in time, a heartbeat, goes and comes by both.
type Conn struct {
	hot, stored, control *nats.Conn
	second               *nats.Conn // nil: there is one broker
	js                   jetstream.JetStream
	opts                 Options
	log                  *slog.Logger
	ready                chan struct{}
	answered             atomic.Pointer[time.Time] // when JetStream last answered; nil: never
	fresh                time.Duration
}

// Connect opens the connections. It does not wait for a server: they keep
// trying, and [Conn.Run] reports when NATS and JetStream answer.
func Connect(o Options, log *slog.Logger) (*Conn, error) {
	c := &Conn{log: log, ready: make(chan struct{}), opts: o, fresh: probeFresh}
	if o.several() {
		c.fresh = electionTime
	}
	wanted := []struct {
		conn **nats.Conn
		use  string
	}{{&c.hot, "hot"}, {&c.stored, "store"}, {&c.control, "control"}, {&c.second, "second"}}
	if o.URL == "" || !o.several() {
		wanted = wanted[:3]
	}
	for _, at := range wanted {
		nc, err := o.dial(at.use, log)
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

// all lists the connections that there are.
func (c *Conn) all() []*nats.Conn {
	return slices.DeleteFunc([]*nats.Conn{c.hot, c.stored, c.control, c.second}, func(nc *nats.Conn) bool { return nc == nil })
}

// Hot is the connection of calls' signalling.
func (c *Conn) Hot() *nats.Conn { return c.hot }

// Control is the connection of the control service and of agents' workers.
func (c *Conn) Control() *nats.Conn { return c.control }

// JetStream speaks over a connection of its own.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Twice lists the connections by which a heartbeat goes and comes: two, at
// different brokers, or one where there is one broker.
func (c *Conn) Twice() []*nats.Conn {
	if c.second == nil {
		return []*nats.Conn{c.hot}
	}
	return []*nats.Conn{c.hot, c.second}
}

// Run watches JetStream until ctx ends, then closes the connections. It fails
// when NATS and JetStream have not answered within Options.Wait of its start.
func (c *Conn) Run(ctx context.Context) error {
	defer c.Close()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	start := time.Now()
	told, spread := start, start
	for ready := false; ; {
		err := c.probe(ctx)
		switch {
		case err == nil && !ready && c.connected():
			ready = true
			close(c.ready)
		case !ready && time.Since(start) > c.opts.Wait:
			return fmt.Errorf("wait for NATS and JetStream (nats.start_wait %v): %w", c.opts.Wait, c.why(err))
		case !ready && time.Since(told) > waitTold:
			told = time.Now()
			c.log.Info("waiting for NATS and JetStream", "reason", c.why(err).Error())
		}
		if time.Since(spread) > spreadEvery {
			spread = time.Now()
			c.keepApart()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// why says what a start waits for.
func (c *Conn) why(err error) error {
	var other error
	for _, nc := range c.all() {
		last := nc.LastError()
		if last == nil || nc.IsConnected() {
			continue
		}
		if told, setting := explained(last); setting { // another's last try may have come too late to be refused
			return told
		}
		if other == nil {
			other = last
		}
	}
	switch {
	case other != nil:
		return other
	case !c.connected():
		return errors.New("no NATS server answers")
	case err == nil:
		return errors.New("not every connection is up")
	default:
		return fmt.Errorf("JetStream does not answer: %w", err)
	}
}

// explained says what to do about an error of two settings that do not fit.
func explained(err error) (told error, setting bool) {
	switch {
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return fmt.Errorf("%w: it asks nobody who comes; if that is meant, say nats.auth none here", err), true
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("%w: it does not know this node's credential: the cluster keys differ, or nats.auth does", err), true
	default:
		return err, false
	}
}

// keepApart moves the second connection off the broker that has the first.
func (c *Conn) keepApart() {
	if c.second == nil || !c.hot.IsConnected() || !c.second.IsConnected() {
		return
	}
	if c.hot.ConnectedServerId() == c.second.ConnectedServerId() {
		if err := c.second.ForceReconnect(); err != nil {
			c.log.Warn("second connection not moved", "err", err)
		}
	}
}

// Ready is closed once NATS and JetStream have answered.
func (c *Conn) Ready() <-chan struct{} { return c.ready }

func (c *Conn) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if c.opts.Blind {
		if err := c.hot.FlushWithContext(ctx); err != nil {
			return err
		}
	} else if _, err := c.js.AccountInfo(ctx); err != nil {
		return err
	}
	now := time.Now()
	c.answered.Store(&now)
	return nil
}

// connected reports whether all that calls need is up; the second connection
// is not among it.
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
	if at := c.answered.Load(); at == nil || time.Since(*at) > c.fresh {
		return fmt.Errorf("%w: JetStream has not answered", ErrUnhealthy)
	}
	return nil
}

// Flush waits until the server has seen all that was published for calls.
func (c *Conn) Flush(ctx context.Context) error { return c.hot.FlushWithContext(ctx) }

// Close ends the connections. It may be called twice.
func (c *Conn) Close() {
	for _, nc := range c.all() {
		nc.Close()
	}
}
