package web_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"patchbay/config"
	"patchbay/internal/pki"
	"patchbay/internal/web"
)

// both starts a server with both listeners.
func both(t *testing.T, cfg config.HTTP) *web.Server {
	t.Helper()
	pair, err := pki.Own(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(cfg, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	s.Secure(pair.Server())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func TestBothListenersServeTheSameAndTLSSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	s := both(t, config.HTTP{Listen: "127.0.0.1:0", TLS: "127.0.0.1:0", MaxConns: 16, MaxConnsPerIP: 16})
	if code, body := get(t, "http://"+s.Addr().String()+"/livez"); code != 200 || body != "ok\n" {
		t.Errorf("without TLS: %d %q", code, body)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + s.SecureAddr().String() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("with TLS: %s over %s", resp.Status, resp.Proto)
	}
}

func TestASourceHasItsShareOfConnections(t *testing.T) {
	t.Parallel()
	outside := otherAddress(t)
	s := both(t, config.HTTP{Listen: "0.0.0.0:0", TLS: "127.0.0.1:0", MaxConns: 16, MaxConnsPerIP: 2})
	_, port, _ := net.SplitHostPort(s.Addr().String())
	served := func(host string) (net.Conn, bool) {
		t.Helper()
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Write([]byte("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"))
		n, _ := c.Read(make([]byte, 100))
		return c, n > 0
	}
	first, ok := served(outside)
	if _, also := served(outside); !ok || !also {
		t.Fatal("its share is not served")
	}
	if _, ok := served(outside); ok {
		t.Error("a third connection is served")
	}
	for range 3 {
		if _, ok := served("127.0.0.1"); !ok {
			t.Error("loopback is not served")
		}
	}
	_ = first.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, ok := served(outside); ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("its place is not given back")
		}
	}
}

// otherAddress is an address of this machine that is not loopback.
func otherAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address beside loopback")
	return ""
}
