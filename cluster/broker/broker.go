// Package broker runs a NATS server with JetStream inside the process.
//
// It decides nothing about calls. It refuses to start where it could not keep
// its word: on a store directory that another process uses, on a port that is
// taken, with a JetStream that does not come up.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"patchbay/internal/dirlock"
)

// Limits of the server (reference cluster.md 12).
const (
	MaxPayload    = 256 << 10 // bytes of one message; an INVITE with SDP has 2 to 4 KiB
	maxMemory     = 64 << 20  // of JetStream's memory streams, which we do not use
	writeDeadline = 5 * time.Second
	syncInterval  = 2 * time.Minute
	healthPoll    = 20 * time.Millisecond
	maxBatch      = 1200 // messages of one atomic batch: an import of 500 objects
)

// Config is what an operator may set of the server.
type Config struct {
	Name       string        // of the server in its cluster, stable over restarts
	Listen     string        // client address; empty: in-process clients only
	StoreDir   string        // of JetStream; one process at a time
	MaxStore   int64         // bytes JetStream may take on disk
	SyncAlways bool          // sync each write to disk before it is acknowledged
	StartWait  time.Duration // longest wait until JetStream is healthy
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
		WriteDeadline:         writeDeadline,
		DisableShortFirstPing: true,
	}
	o.JetStreamLimits.MaxBatchSize = maxBatch
	if cfg.Listen == "" {
		o.DontListen = true
		return o, nil
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("nats.listen %q: %w", cfg.Listen, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("nats.listen %q: port is no number from 0 to 65535", cfg.Listen)
	}
	o.Host, o.Port = host, int(n)
	if n == 0 {
		o.Port = server.RANDOM_PORT
	}
	return o, nil
}

// Run serves until ctx ends, then shuts down and returns nil. It returns early
// with the server's own fatal error, or when JetStream is not healthy within
// StartWait. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	if host, _, err := net.SplitHostPort(s.cfg.Listen); err == nil {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			s.log.Warn("nats listens beyond loopback and asks clients for no credentials", "listen", s.cfg.Listen)
		}
	}
	go s.nats.Start()
	if err := s.waitHealthy(ctx); err != nil {
		return err
	}
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
	tick := time.NewTicker(healthPoll)
	defer tick.Stop()
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
		return s.unhealthy()
	default:
		return errors.New("NATS server is starting")
	}
}

func (s *Server) unhealthy() error {
	// Running first: Healthz and ReadyForConnections take part of their own
	// time when the server is not up.
	if !s.nats.Running() || !s.nats.ReadyForConnections(time.Millisecond) {
		return errors.New("not ready for connections")
	}
	if h := s.nats.Healthz(nil); h.Status != "ok" {
		return fmt.Errorf("JetStream is not healthy: %s", h.Error)
	}
	return nil
}

// InProcessConn gives a client of this process its end of a pipe; it
// implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// ClientURL is where clients connect; meaningful once ready.
func (s *Server) ClientURL() string { return s.nats.ClientURL() }

// Close shuts the server down, waits for it, and gives the store directory
// back. It may be called twice, and without Run.
func (s *Server) Close() {
	s.close.Do(func() {
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
