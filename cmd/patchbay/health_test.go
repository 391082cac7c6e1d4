package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// health runs the command against a node that listens at listen.
func health(t *testing.T, listen string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"health", "--http-listen", listen, "--limit", "1m"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestHealthIsWhatTheNodeSaysOfItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	n := b.node
	at := n.cfg.HTTP.Listen
	for _, args := range [][]string{nil, {"--live"}} {
		b.until("a node that serves is healthy", func() bool { // its JetStream may be slow for a moment
			out, err := health(t, at, args...)
			return err == nil && strings.Contains(out, "ok")
		})
	}
	n.act("drain")
	if out, err := health(t, at); !errors.Is(err, errSilent) || !strings.Contains(out, "draining") {
		t.Errorf("health of a node that drains: %q, %v", out, err)
	}
	if out, err := health(t, at, "--live"); err != nil || out != "ok\n" {
		t.Errorf("a node that drains is not alive: %q, %v", out, err)
	}
}

func TestHealthIsAskedWhereTheNodeListens(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", ":9000": "127.0.0.1:9000",
		"[::]:8080": "[::1]:8080", "192.0.2.1:8080": "192.0.2.1:8080", "localhost:8080": "localhost:8080",
	} {
		if got, err := healthAddress(listen); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", listen, got, err, want)
		}
	}
	for _, listen := range []string{"", "127.0.0.1:0"} {
		if got, err := healthAddress(listen); !errors.Is(err, errUsage) {
			t.Errorf("%q: %q, %v; want a usage error", listen, got, err)
		}
	}
}

func TestANodeThatDoesNotAnswerIsNotHealthy(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := askHealth(ctx, new(bytes.Buffer), silent.URL); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a node that does not answer: %v", err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if err := askHealth(t.Context(), new(bytes.Buffer), gone.URL); err == nil {
		t.Error("nobody listens, and the node is healthy")
	}
}
