// Package broker runs a NATS server with JetStream inside the process.
//
// It decides nothing about calls. It refuses to start where it could not keep
// its word: on a store directory that another process uses, on a port that is
// taken, with a JetStream that does not come up.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"patchbay/internal/dirlock"
	"patchbay/internal/keys"
)

// Limits of the server (docs/limits.md).
const (
	MaxPayload    = 256 << 10 // bytes of one message; an INVITE with SDP has 2 to 4 KiB
	maxMemory     = 64 << 20  // of JetStream's memory streams, which we do not use
	writeDeadline = 5 * time.Second
	syncInterval  = 2 * time.Minute
	healthPoll    = 20 * time.Millisecond
	waitTold      = 5 * time.Second // how often a start that waits says why
	asks          = 3               // without a good answer, before the server counts as ill
	maxBatch      = 1200            // messages of one atomic batch: an import of 500 objects

	// maxPending is what may wait for one slow client, bytes, before it loses
	// its connection; it is back at once, and its NATS library has what it
	// subscribed to.
	maxPending = 32 << 20

	maxClients       = 16_384 // connections of nodes, workers and tenants; beyond it refused
	maxSubscriptions = 10_000 // of one connection; beyond it refused

	// Pings find out who is dead or hung: a client within 6 s, a broker within
	// 3 s (the stock 4 min and 90 s lose every message sent there meanwhile).
	clientPing = 2 * time.Second
	routePing  = time.Second
	pingsOut   = 2

	tlsTimeout = 2 * time.Second // of a handshake

	// authTimeout is how long a client may take to say who it is, and a control
	// node to say what it may. It is shorter than clientPing: clients take a ping
	// before they are let in for an error.
	authTimeout = 1900 * time.Millisecond

	// A broker that stops hands its streams' leadership to others, waits, and
	// closes its clients one after the other within the rest.
	leaveTime  = 3 * time.Second
	leaveGrace = 500 * time.Millisecond
)

// Config is what an operator may set of the server.
type Config struct {
	Name       string        // of the server in its cluster, stable over restarts
	Listen     string        // client address; empty: in-process clients only
	Advertise  string        // host:port of it that clients are told; empty: every address of the host
	Cluster    Cluster       // of which the server is one; the zero value: it is alone
	Keys       *keys.Cluster // clients and brokers show credentials made of it; nil: anybody may do everything
	Tenants    bool          // with Keys: clients that show something else are asked about of control nodes
	ClientTLS  *tls.Config   // of the client port; nil: no TLS
	RouteTLS   *tls.Config   // of the route port; nil: no TLS
	StoreDir   string        // of JetStream; one process at a time
	MaxStore   int64         // bytes JetStream may take on disk
	SyncAlways bool          // sync each write to disk before it is acknowledged
	StartWait  time.Duration // longest wait until JetStream is healthy
}

// A Cluster is what a broker knows of the others.
type Cluster struct {
	Name      string
	Listen    string   // route address; empty: no cluster
	Advertise string   // host:port of it that the others are told; empty: every address of the host
	Routes    []string // nats://host:port of all, the server's own or not
	Size      int      // brokers that there are to be
}

// A Server is an embedded NATS server.
type Server struct {
	cfg    Config
	nats   *server.Server
	lock   *dirlock.Lock
	log    *slog.Logger
	failed chan error // the first fatal error of the server
	ready  chan struct{}
	close  sync.Once

	started atomic.Pointer[chan struct{}] // closed once its start has come to its end; nil: it was not begun
}

// New takes the store directory and prepares a server. An error says which
// setting is at fault.
func New(cfg Config, log *slog.Logger) (*Server, error) {
	opts, err := options(cfg)
	if err != nil {
		return nil, err
	}
	lock, err := dirlock.Take(cfg.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("open JetStream store %s (node.data_dir): %w", cfg.StoreDir, err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		lock.Release()
		return nil, fmt.Errorf("prepare NATS server %s: %w", cfg.Name, err)
	}
	s := &Server{cfg: cfg, nats: srv, lock: lock, log: log, failed: make(chan error, 1), ready: make(chan struct{})}
	srv.SetLoggerV2(&logger{log: log, fatal: s.fail, listen: cfg.Listen}, false, false, false)
	return s, nil
}

func options(cfg Config) (*server.Options, error) {
	o := &server.Options{
		ServerName: cfg.Name,
		NoSigs:     true, // else the server traps SIGTERM and exits the process
		JetStream:  true,
		StoreDir:   cfg.StoreDir,

		SyncAlways:            cfg.SyncAlways,
		SyncInterval:          syncInterval,
		JetStreamMaxStore:     cfg.MaxStore,
		JetStreamMaxMemory:    maxMemory,
		MaxPayload:            MaxPayload,
		MaxPending:            maxPending,
		MaxConn:               maxClients,
		MaxSubs:               maxSubscriptions,
		WriteDeadline:         writeDeadline,
		PingInterval:          clientPing,
		MaxPingsOut:           pingsOut,
		DisableShortFirstPing: true,
		LameDuckDuration:      leaveTime,
		LameDuckGracePeriod:   leaveGrace,
	}
	o.JetStreamLimits.MaxBatchSize = maxBatch
	if err := cluster(o, cfg); err != nil {
		return nil, err
	}
	if err := guarded(o, cfg); err != nil {
		return nil, err
	}
	if cfg.Listen == "" {
		o.DontListen = true
		return o, nil
	}
	host, port, err := listenAt("nats.listen", cfg.Listen)
	o.Host, o.Port, o.ClientAdvertise = host, port, cfg.Advertise
	return o, err
}

// cluster makes the server one of several.
func cluster(o *server.Options, cfg Config) error {
	c := cfg.Cluster
	if c.Listen == "" {
		return nil
	}
	host, port, err := listenAt("nats.cluster_listen", c.Listen)
	if err != nil {
		return err
	}
	o.Cluster = server.ClusterOpts{Name: c.Name, Host: host, Port: port, Advertise: c.Advertise,
		PingInterval: routePing, MaxPingsOut: pingsOut, WriteDeadline: writeDeadline}
	for _, route := range c.Routes {
		u, err := url.Parse(route)
		if err != nil || u.Host == "" {
			return errors.New("nats.routes: one is not nats://host:port")
		}
		o.Routes = append(o.Routes, u)
	}
	if cfg.RouteTLS != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = cfg.RouteTLS, tlsTimeout.Seconds()
	}
	return nil
}

// guarded makes the server ask who comes, and speak TLS.
func guarded(o *server.Options, cfg Config) error {
	if cfg.ClientTLS != nil {
		o.TLSConfig, o.TLS, o.TLSTimeout = cfg.ClientTLS, true, tlsTimeout.Seconds()
	}
	if cfg.Keys == nil {
		return nil
	}
	g, err := newGuard(cfg.Keys)
	if err != nil {
		return err
	}
	if cfg.Tenants {
		if err := g.delegate(o); err != nil {
			return err
		}
	} else {
		o.CustomClientAuthentication, o.AlwaysEnableNonce = g, true
	}
	if cfg.Cluster.Listen == "" {
		return nil
	}
	words := routePasswords(cfg.Keys)
	o.CustomRouterAuthentication = routeGuard{words}
	o.Cluster.Username, o.Cluster.Password = routeUser, words[0]
	for _, route := range o.Routes {
		route.User = url.UserPassword(routeUser, words[0])
	}
	return nil
}

// listenAt reads the address of a listener; port 0 is any free one.
func listenAt(setting, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%s %q: %w", setting, address, err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%s %q: port is no number from 0 to 65535", setting, address)
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}

// Run serves until ctx ends, then shuts down and returns nil. It returns early
// with the server's own fatal error, or when JetStream is not healthy within
// StartWait. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	if host, _, err := net.SplitHostPort(s.cfg.Listen); err == nil {
		if ip := net.ParseIP(host); s.cfg.Keys == nil && (ip == nil || !ip.IsLoopback()) {
			s.log.Warn("nats listens beyond loopback and asks clients for no credentials", "listen", s.cfg.Listen)
		}
	}
	started := make(chan struct{})
	s.started.Store(&started)
	go func() {
		defer close(started)
		s.nats.Start()
	}()
	if err := s.waitHealthy(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	leave, err := s.watchDoor(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	defer leave()
	close(s.ready)
	s.log.Info("nats server ready", "listen", s.nats.ClientURL(), "store", s.cfg.StoreDir)
	select {
	case err := <-s.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (s *Server) waitHealthy(ctx context.Context) error {
	tick, told := time.NewTicker(healthPoll), time.NewTicker(waitTold)
	defer tick.Stop()
	defer told.Stop()
	late := time.NewTimer(s.cfg.StartWait)
	defer late.Stop()
	for {
		select {
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return nil
		case <-late.C:
			return fmt.Errorf("NATS server %s: %w within nats.start_wait %v", s.cfg.Name, s.unhealthy(), s.cfg.StartWait)
		case <-told.C:
			if err := s.unhealthy(); err != nil {
				s.log.Info("nats server waits", "reason", err.Error())
			}
		case <-tick.C:
			if s.unhealthy() == nil {
				return nil
			}
		}
	}
}

// Ready is closed once clients are served and JetStream is healthy.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Healthy returns nil while JetStream serves. It is cheap and does not block on
// the network.
func (s *Server) Healthy() error {
	select {
	case <-s.ready:
	default:
		return errors.New("NATS server is starting")
	}
	var err error
	for range asks { // it has a millisecond for each answer, which a busy machine may keep from it
		if err = s.unhealthy(); err == nil {
			break
		}
	}
	return err
}

func (s *Server) unhealthy() error {
	// Running first: Healthz and ReadyForConnections take part of their own
	// time when the server is not up.
	if !s.nats.Running() || !s.nats.ReadyForConnections(time.Millisecond) {
		return errors.New("not ready for connections")
	}
	here, all := s.brokers(), s.cfg.Cluster.Size
	if 2*here <= all {
		return fmt.Errorf("waiting for JetStream quorum: %d of %d brokers", here, all)
	}
	h := s.nats.Healthz(nil)
	switch {
	case h.Status == "ok":
		return nil
	case here < all:
		return fmt.Errorf("waiting for JetStream: %d of %d brokers (the first start of a cluster needs all): %s", here, all, h.Error)
	default:
		return fmt.Errorf("JetStream is not healthy: %s", h.Error)
	}
}

// brokers is how many servers of the cluster are joined, this one included.
func (s *Server) brokers() int {
	if s.cfg.Cluster.Listen == "" {
		return 1
	}
	seen := map[string]bool{}
	if all, err := s.nats.Routez(nil); err == nil {
		for _, r := range all.Routes {
			seen[r.RemoteID] = true
		}
	}
	return len(seen) + 1
}

// InProcessConn gives a client of this process its end of a pipe; it
// implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// ClientURL is where clients connect; meaningful once ready.
func (s *Server) ClientURL() string { return s.nats.ClientURL() }

// Close shuts the server down, waits for it, and gives the store directory
// back. Where other brokers are there, they get its leaderships and its clients
// first, which takes up to 5 s. It may be called twice, and without Run.
func (s *Server) Close() {
	s.close.Do(func() {
		if s.Healthy() == nil && s.brokers() > 1 {
			s.nats.LameDuckShutdown()
		}
		if started := s.started.Load(); started != nil {
			<-*started // what is begun after the end would go on in the store
		}
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		s.lock.Release()
	})
}

func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default: // the first one is the cause
	}
}
