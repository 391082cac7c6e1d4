package control_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/config"
	"patchbay/control"
	"patchbay/internal/testkit"
)

// A pad is what a log has written.
type pad struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *pad) Write(b []byte) (int, error) { p.mu.Lock(); defer p.mu.Unlock(); return p.text.Write(b) }
func (p *pad) String() string              { p.mu.Lock(); defer p.mu.Unlock(); return p.text.String() }

// What a panic says may hold a piece of the request.
func TestTheLogTellsOfAPanicAndNotWhatItSays(t *testing.T) {
	t.Parallel()
	const secret = "pbk_of_somebody"
	var log pad
	logger := slog.New(slog.NewJSONHandler(&log, nil))

	nc := testkit.NATS(t)
	ops := &control.Operations{Config: config.Control{RequestTimeout: 30 * time.Second, MaxInFlight: 8}, Store: newShelf(), Sealer: sealer{},
		Now: func() time.Time { panic(secret) }}
	s := control.NewService(nc, ops, "test", logger)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	err := control.Client{Conn: nc, Tenant: "acme"}.Do(t.Context(), "key", "create", spec(`{"name":"k","scopes":["*"]}`), nil)
	if err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("over NATS: %v", err)
	}
	cancel()
	<-ended

	mux := http.NewServeMux()
	g := &control.Gateway{Log: logger, Verify: func(context.Context, string) (control.Credential, error) { panic(secret) }}
	g.Routes(mux.Handle)
	r := httptest.NewRequest(http.MethodPost, "/v1/calls/000000000000a/webrtc", strings.NewReader("v=0\r\n"))
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "application/sdp")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError {
		t.Errorf("over HTTP: %d %s", w.Code, w.Body)
	}

	if got := log.String(); strings.Count(got, "panicked") != 2 || strings.Contains(got, secret) {
		t.Errorf("the log:\n%s", got)
	}
}
