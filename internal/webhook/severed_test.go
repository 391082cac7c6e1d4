package webhook_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/webhook"
)

// A severed connection stays open and silent once it is cut, as where a host has
// gone without a word.
type severed struct {
	net.Conn
	cut *atomic.Bool
}

func (s severed) Write(b []byte) (int, error) {
	if s.cut.Load() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s severed) Read(b []byte) (n int, err error) {
	for {
		if n, err = s.Conn.Read(b); err != nil || !s.cut.Load() {
			return n, err
		}
	}
}

func TestAConnectionThatHasDiedCostsFewQuestions(t *testing.T) {
	t.Parallel()
	var proto atomic.Value
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto.Store(r.Proto)
		_, _ = io.WriteString(w, `{"reject":{}}`)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	var last atomic.Pointer[atomic.Bool]
	c := webhook.NewClient(webhook.Options{Unseal: unseal, Now: time.Now,
		TLS: &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
			cut := new(atomic.Bool)
			last.Store(cut)
			return severed{conn, cut}, err
		}})
	defer c.Close()
	ask := func(tenant int, limit time.Duration) error { // each has a breaker of its own
		req := question(func(h *endpoint.FallbackHandler) {
			h.URL, h.TimeoutMs = "https://example.com/", int(limit.Milliseconds())
		})
		req.Tenant = fmt.Sprint("t", tenant)
		_, err := c.Ask(t.Context(), req)
		return err
	}
	if err := ask(0, 5*time.Second); err != nil || proto.Load() != "HTTP/2.0" {
		t.Fatalf("%v over %v", err, proto.Load())
	}
	last.Load().Store(true)
	var err error
	for n := range 20 {
		if err = ask(1+n, time.Second+time.Duration(n)*time.Second/4); err == nil { // longer each time: the machine may be busy
			return
		}
	}
	t.Fatalf("questions still go to a connection that has died: %v", err)
}
