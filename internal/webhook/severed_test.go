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
	number int64         // of the connections that were made
	cut    *atomic.Int64 // those up to this one
}

func (s severed) dead() bool { return s.number <= s.cut.Load() }

func (s severed) Write(b []byte) (int, error) {
	if s.dead() {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s severed) Read(b []byte) (n int, err error) {
	for {
		if n, err = s.Conn.Read(b); err != nil || !s.dead() {
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
	var made, cut atomic.Int64
	c := webhook.NewClient(webhook.Options{Unseal: unseal, Now: time.Now,
		TLS: &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
			return severed{conn, made.Add(1), &cut}, err
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
	err := ask(0, 20*time.Second)
	for n := 1; err != nil && n < 10; n++ { // a busy machine may take longer than a connection may
		err = ask(-n, 20*time.Second)
	}
	if err != nil || proto.Load() != "HTTP/2.0" {
		t.Fatalf("%v over %v", err, proto.Load())
	}
	cut.Store(made.Load())
	for n := range 20 {
		if err = ask(1+n, time.Second+time.Duration(n)*time.Second/4); err == nil { // longer each time: the machine may be busy
			return
		}
	}
	t.Fatalf("questions still go to a connection that has died: %v", err)
}
