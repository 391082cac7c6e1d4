// Package web is a node's own HTTP listeners, with TLS and without: health,
// metrics, and whatever the roles of the node mount on them.
//
// It decides nothing about calls. Liveness speaks for this process alone, so
// that an outage of NATS restarts no node; readiness speaks for what the node
// needs to serve.
package web

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"patchbay/config"
)

// Limits of the listener.
const (
	maxHeaderBytes = 32 << 10
	readTimeout    = 10 * time.Second // of a head, and of a body that nobody has begun to read
	writeTimeout   = 30 * time.Second // of one piece of a reply
	idleTimeout    = 2 * time.Minute
)

// A Check reports why a part of the node cannot serve; nil when it can. It
// must not block.
type Check func() error

// A Server is the listeners.
type Server struct {
	cfg    config.HTTP
	log    *slog.Logger
	mux    *http.ServeMux
	checks []check
	ready  chan struct{}
	secure *tls.Config // nil: there is no listener with TLS
	addrs  [2]net.Addr // without TLS, with it
}

type check struct {
	name string
	fn   Check
}

// New returns a Server that exposes metrics. Mount and Require before Run.
func New(cfg config.HTTP, metrics http.Handler, log *slog.Logger) *Server {
	s := &Server{cfg: cfg, log: log, mux: http.NewServeMux(), ready: make(chan struct{})}
	s.mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", metrics)
	if cfg.Profiles {
		profiles(s.mux)
	}
	return s
}

// profiles serves what the runtime knows of the process, for
// `go tool pprof http://node/debug/pprof/heap`. Names of functions and command
// line flags are in it, so it is served on request only.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
}

// Mount serves pattern, in the syntax of [http.ServeMux].
func (s *Server) Mount(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Require makes readiness depend on a check.
func (s *Server) Require(name string, fn Check) { s.checks = append(s.checks, check{name, fn}) }

// Ready implements lifecycle.Component.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is where the server listens without TLS, once it is ready; nil when it
// does not.
func (s *Server) Addr() net.Addr { return s.addrs[0] }

// SecureAddr is where it listens with TLS, once it is ready; nil when it does
// not.
func (s *Server) SecureAddr() net.Addr { return s.addrs[1] }

// Secure opens a listener with TLS at http.tls_listen, too.
func (s *Server) Secure(c *tls.Config) { s.secure = c }

// Run serves until ctx ends. A taken address is an error that names its setting.
func (s *Server) Run(ctx context.Context) error {
	plain, secure := s.server(nil), s.server(s.secure) // one server does not speak HTTP/2 when it serves both
	defer func() { _, _ = plain.Close(), secure.Close() }()
	ended := make(chan error, 2)
	for i, l := range []struct {
		setting, at string
		serve       func(net.Listener) error
		open        bool
	}{
		{"http.listen", s.cfg.Listen, plain.Serve, s.cfg.Listen != ""},
		{"http.tls_listen", s.cfg.TLS, func(l net.Listener) error { return secure.ServeTLS(l, "", "") }, s.cfg.TLS != "" && s.secure != nil},
	} {
		if !l.open {
			continue
		}
		listener, err := net.Listen("tcp", l.at)
		if err != nil {
			var errno syscall.Errno
			if errors.As(err, &errno) {
				err = errno // the rest says the address again
			}
			return fmt.Errorf("listen %s (%s): %w", l.at, l.setting, err)
		}
		s.addrs[i] = listener.Addr()
		listener = netutil.LimitListener(fairly(listener, s.cfg.MaxConnsPerIP), s.cfg.MaxConns)
		go func() { ended <- fmt.Errorf("serve %s %s: %w", l.setting, l.at, l.serve(listener)) }()
	}
	close(s.ready)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, srv := range []*http.Server{plain, secure} {
		if err := srv.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return nil
}

// server is one listener's, with TLS or without.
func (s *Server) server(c *tls.Config) *http.Server {
	return &http.Server{Handler: hurried(s.mux), ReadHeaderTimeout: readTimeout, IdleTimeout: idleTimeout, TLSConfig: c,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	state := make(map[string]string, len(s.checks))
	code := http.StatusOK
	for _, c := range s.checks {
		state[c.name] = "ok"
		if err := c.fn(); err != nil {
			state[c.name] = err.Error()
			code = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(state)
}
