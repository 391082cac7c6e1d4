package webhook_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
	"patchbay/internal/webhook"
)

// TestACertificateThatDoesNotVerifyIsNoWebhook speaks TLS over loopback.
func TestACertificateThatDoesNotVerifyIsNoWebhook(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, `{"reject":{}}`)
	}))
	srv.Config.ErrorLog = nil
	srv.StartTLS()
	defer srv.Close()
	c := webhook.New(dialguard.Guard{AllowLoopback: true}, unseal)
	defer c.Close()
	_, err := c.Ask(t.Context(), question(func(h *endpoint.FallbackHandler) { h.URL, h.TimeoutMs = srv.URL, endpoint.MaxWebhookMs }))
	if got := reasonOf(t, err); got != endpoint.ReasonWebhookFailed || asked.Load() != 0 || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v, asked %d times", err, asked.Load())
	}
}

// TestNoSpellingOfAForbiddenAddressIsDialled counts the connections that a
// server on loopback sees: none.
func TestNoSpellingOfAForbiddenAddressIsDialled(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			seen.Add(1)
			_ = conn.Close()
		}
	}()
	c := webhook.New(dialguard.Guard{}, unseal)
	port := l.Addr().(*net.TCPAddr).Port
	spellings := []string{"127.0.0.1", "127.1", "127.0.0.2", "0.0.0.0", "0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]",
		"[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "2130706433", "0x7f000001",
		"0177.0.0.1", "0x7f.1", "127.0.0.1.", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]",
		"100.100.100.200", "100.64.0.1", "[fe80::1]", "[fc00::1]", "192.0.2.1", "198.18.0.1", "224.0.0.1", "[ff02::1]", "255.255.255.255", "[fec0::1]", "[2001:db8::1]", "[64:ff9b:1::1]", "[::ffff:0:127.0.0.1]", "[5f00::1]", "168.63.129.16", "[fd20:ce::254]"}
	if len(spellings) < 40 {
		t.Errorf("%d spellings, want 40", len(spellings))
	}
	var asks sync.WaitGroup
	for i, host := range spellings {
		asks.Go(func() {
			req := question(func(h *endpoint.FallbackHandler) {
				h.URL = fmt.Sprintf("http://%s:%d/", host, port)
				h.TimeoutMs = 1500
			})
			req.Tenant = fmt.Sprint("t", i)
			if _, err := c.Ask(t.Context(), req); err == nil {
				t.Errorf("%s was asked", host)
			}
		})
	}
	asks.Wait()
	c.Close()
	_ = l.Close()
	<-done
	if n := seen.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestAResolverThatFlipsIsCaught answers a name with a public address when it
// is looked at, and with loopback when it is dialled: the guard looks at what is
// dialled.
func TestAResolverThatFlipsIsCaught(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			seen.Add(1)
			_ = conn.Close()
		}
	}()
	resolver, lookups := flipping(t)
	dialer := dialguard.Guard{}.Dialer(time.Second)
	dialer.Resolver = resolver
	c := webhook.NewClient(webhook.Options{Dial: dialer.DialContext, Unseal: unseal, Now: time.Now})
	url := fmt.Sprintf("http://flip.example:%d/", l.Addr().(*net.TCPAddr).Port)
	if first, err := resolver.LookupNetIP(t.Context(), "ip4", "flip.example"); err != nil || !first[0].Unmap().IsGlobalUnicast() || first[0].Unmap().IsLoopback() {
		t.Fatalf("when it is looked at: %v, %v", first, err)
	}
	for i := range 5 {
		req := question(func(h *endpoint.FallbackHandler) { h.URL = url; h.TimeoutMs = endpoint.MaxWebhookMs })
		req.Tenant = fmt.Sprint("t", i)
		_, err := c.Ask(t.Context(), req)
		if got := reasonOf(t, err); got != endpoint.ReasonWebhookFailed {
			t.Errorf("got %v", err)
		}
	}
	c.Close()
	_ = l.Close()
	<-done
	if seen.Load() != 0 || lookups.Load() < 2 {
		t.Errorf("%d connections after %d look-ups", seen.Load(), lookups.Load())
	}
}

// flipping resolves to 8.8.8.8 the first time and to 127.0.0.1 ever after.
func flipping(t *testing.T) (*net.Resolver, *atomic.Int64) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			addr := netip.MustParseAddr("127.0.0.1")
			if n.Add(1) == 1 {
				addr = netip.MustParseAddr("8.8.8.8")
			}
			_, _ = pc.WriteTo(dnsAnswer(buf[:size], addr), from)
		}
	}()
	t.Cleanup(func() { _ = pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}, &n
}

// dnsAnswer answers an A question, and any other with nothing (RFC 1035 4.1).
func dnsAnswer(query []byte, addr netip.Addr) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5
	reply := append([]byte{}, query[:end]...)
	reply[2], reply[3] = 0x81, 0x80
	reply[6], reply[7] = 0, 0
	reply[8], reply[9], reply[10], reply[11] = 0, 0, 0, 0
	if query[end-3] == 1 { // A
		reply[7] = 1
		ip := addr.As4()
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		reply = append(reply, ip[:]...)
	}
	return reply
}
