package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"patchbay/config"
	"patchbay/control"
)

// An Observer is told what the gateway served.
type Observer struct {
	// Served: one request, by face, route, method and status.
	Served func(face, route, method string, status int, took time.Duration)
	// Panicked: a panic cost one request of a face.
	Panicked func(face string)
}

// A Front is all faces of one node's listeners, with what they share.
type Front struct {
	cfg   config.HTTP
	log   *slog.Logger
	saw   Observer
	ready func() bool
	all   *http.ServeMux
	hosts map[string]*http.ServeMux // by name: one face alone
	known map[string]bool           // faces that are mounted
}

// NewFront returns a Front without faces. Until ready, which nil always is, they
// are not served.
func NewFront(cfg config.HTTP, log *slog.Logger, saw Observer, ready func() bool) *Front {
	if ready == nil {
		ready = func() bool { return true }
	}
	if saw.Served == nil {
		saw.Served = func(string, string, string, int, time.Duration) {}
	}
	if saw.Panicked == nil {
		saw.Panicked = func(string) {}
	}
	f := &Front{cfg: cfg, log: log, saw: saw, ready: ready, all: http.NewServeMux(), hosts: map[string]*http.ServeMux{}, known: map[string]bool{}}
	f.all.Handle("/", f.wrapped(Face{Name: noFace}, http.HandlerFunc(nowhere)))
	return f
}

// noFace is the label of requests that no face takes.
const noFace = "none"

// ErrRoute says that a face cannot be mounted.
var ErrRoute = errors.New("gateway: cannot be mounted")

// Mount serves a face on all hosts, and alone on those that http.hosts names for
// it. A face that http.faces leaves out is not served.
func (f *Front) Mount(face Face) (err error) {
	if len(f.cfg.Faces) > 0 && !slices.Contains(f.cfg.Faces, face.Name) && !face.Always {
		return nil
	}
	defer func() {
		if p := recover(); p != nil { // http.ServeMux says so
			err = fmt.Errorf("%w: %s: %v", ErrRoute, face.Name, p)
		}
	}()
	f.known[face.Name] = true
	muxes := []*http.ServeMux{f.all}
	for _, line := range f.cfg.Hosts {
		name, host, _ := strings.Cut(line, "=")
		if name != face.Name {
			continue
		}
		own := http.NewServeMux()
		own.Handle("/", f.wrapped(face, http.HandlerFunc(nowhere)))
		f.hosts[strings.ToLower(host)] = own
		muxes = append(muxes, own)
	}
	for _, mux := range muxes {
		for _, pattern := range face.Patterns {
			mux.Handle(pattern, f.wrapped(face, face.Handler))
		}
	}
	return nil
}

// Faces returns the names of what is mounted.
func (f *Front) Faces() []string { return slices.Sorted(maps.Keys(f.known)) }

// nowhere answers what nobody serves.
func nowhere(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, r, http.StatusNotFound, &control.Error{Code: control.CodeNotFound, Message: "no such route; GET /reference lists those of the native API"})
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mux := f.all
	if own, ok := f.hosts[hostOf(r.Host)]; ok {
		mux = own
	}
	asked := control.Asked{RequestID: requestID(r.Header.Get(headerRequestID)), BaseURL: f.baseURL(r)}
	w.Header().Set(headerRequestID, asked.RequestID)
	mux.ServeHTTP(w, r.WithContext(context.WithValue(control.WithAsked(r.Context(), asked), noteKey{}, &note{})))
}

// wrapped is a face behind what all faces share.
func (f *Front) wrapped(face Face, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &recorder{ResponseWriter: w}
		started := time.Now()
		defer f.done(face.Name, out, r, started)
		defer f.contain(face, out, r)
		switch preflight := f.allowOrigin(out, r); {
		case preflight:
			out.WriteHeader(http.StatusNoContent)
		case !face.Always && face.Name != noFace && !f.cfg.PlainKeys && inClear(r):
			face.refuse(out, r, &control.Error{Code: control.CodeForbidden,
				Message: "a key must not travel in clear: use HTTPS (http.tls_listen), or set http.plain_keys where something else encrypts"})
		case face.Name != noFace && !f.ready():
			face.refuse(out, r, &control.Error{Code: control.CodeUnavailable, Message: "the node is starting; try again"})
		default:
			if r.Body != nil && r.Body != http.NoBody {
				r.Body = newBody(out, r.Body)
			}
			h.ServeHTTP(out, r)
		}
	})
}

// contain answers a request that panicked. It logs the kind of panic only: what
// it says may hold a piece of the request.
func (f *Front) contain(face Face, out *recorder, r *http.Request) {
	p := recover()
	switch {
	case p == nil:
		return
	case p == http.ErrAbortHandler:
		panic(p)
	}
	f.saw.Panicked(face.Name)
	f.log.Error("http request panicked", "face", face.Name, "route", r.Pattern, "request_id", control.AskedOf(r.Context()).RequestID, "err", fmt.Sprintf("%T", p))
	if out.status == 0 {
		face.refuse(out, r, &control.Error{Code: control.CodeInternal, Message: "internal error"})
	}
}

// done counts and logs a request: never its path, query or headers, which may
// hold secrets.
func (f *Front) done(face string, out *recorder, r *http.Request, started time.Time) {
	route := r.Pattern
	if method, path, ok := strings.Cut(route, " "); ok && method != "" {
		route = path
	}
	status := out.status
	if status == 0 {
		status = http.StatusOK
	}
	took := time.Since(started)
	f.saw.Served(face, route, methodWord(r.Method), status, took)
	level := slog.LevelInfo
	if r.Method == http.MethodGet && status < http.StatusBadRequest {
		level = slog.LevelDebug // dashboards and agents that wait ask all the time
	}
	f.log.Log(r.Context(), level, "http request", "face", face, "method", methodWord(r.Method), "route", route, "status", status,
		"took", took, "request_id", control.AskedOf(r.Context()).RequestID, "source", sourceOf(r), "tenant", noted(r).tenant)
}

// inClear reports whether a request came over a network without TLS: one that
// came to a loopback address did not.
func inClear(r *http.Request) bool {
	if r.TLS != nil {
		return false
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	at, err := netip.ParseAddrPort(local.String())
	return err != nil || !at.Addr().Unmap().IsLoopback()
}

// baseURL is how the client reached the gateway.
func (f *Front) baseURL(r *http.Request) string {
	switch {
	case f.cfg.PublicURL != "":
		return strings.TrimRight(f.cfg.PublicURL, "/")
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(host)
}

func sourceOf(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return ""
}
