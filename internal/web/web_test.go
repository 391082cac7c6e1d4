package web_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"patchbay/config"
	"patchbay/internal/web"
)

func serve(t *testing.T, prepare func(*web.Server)) string {
	t.Helper()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("m 1\n")) })
	s := web.New(config.HTTP{Listen: "127.0.0.1:0", MaxConns: 16, MaxConnsPerIP: 16}, metrics, slog.New(slog.DiscardHandler))
	prepare(s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + s.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestLivenessIgnoresWhatReadinessMisses(t *testing.T) {
	url := serve(t, func(s *web.Server) {
		s.Require("nats", func() error { return errors.New("not connected") })
		s.Require("jetstream", func() error { return nil })
	})
	if code, body := get(t, url+"/livez"); code != 200 || body != "ok\n" {
		t.Errorf("livez: %d %q", code, body)
	}
	code, body := get(t, url+"/readyz")
	if code != 503 || !strings.Contains(body, `"nats":"not connected"`) || !strings.Contains(body, `"jetstream":"ok"`) {
		t.Errorf("readyz: %d %s", code, body)
	}
}

func TestMetricsAndMountedPathsAreServed(t *testing.T) {
	url := serve(t, func(s *web.Server) {
		s.Mount("POST /v1/thing", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }))
	})
	if code, body := get(t, url+"/metrics"); code != 200 || body != "m 1\n" {
		t.Errorf("metrics: %d %q", code, body)
	}
	if code, _ := get(t, url+"/v1/thing"); code != 405 {
		t.Errorf("GET of a POST path: %d, want 405", code)
	}
}

func TestATakenPortNamesItsSetting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := web.New(config.HTTP{Listen: l.Addr().String(), MaxConns: 16, MaxConnsPerIP: 16}, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("got %v, want an error that names http.listen", err)
	}
}

func TestProfilesAreServedWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	for profiles, want := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		s := web.New(config.HTTP{Listen: "127.0.0.1:0", MaxConns: 16, MaxConnsPerIP: 16, Profiles: profiles}, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		<-s.Ready()
		if code, _ := get(t, "http://"+s.Addr().String()+"/debug/pprof/heap?debug=1"); code != want {
			t.Errorf("%v: %d", profiles, code)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
