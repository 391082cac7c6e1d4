package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
	"patchbay/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bot = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"

const exampleBody = `{"callerId":"+15550100","fromDisplayName":"Bob","fromUri":"sip:+15550100@pbx.example.net","toUri":"sip:sales@acme.sip.example.com","sipHeaders":{"X-Customer-Name":"Bob"}}`

// TestSignatureVectors has values which the vendor's own
// verifier accepts.
func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	if got := webhook.Timestamp(at.In(time.FixedZone("far", 7200))); got != "2026-01-02T03:04:05.000006" {
		t.Fatalf("timestamp %s", got)
	}
	const first, second = "94ab15e1fa7baee9a5b13bdacf03d37733c256441b168d011986987541044ce0", "cbbbce0ab89462b12eab4f573225e74ccb90c03fa4ff7a4777f83db5dc0422ac"
	for _, c := range []struct {
		secrets []string
		want    string
	}{
		{[]string{"whsec_test_1", "whsec_test_2"}, first + "," + second},
		{[]string{"whsec_test_1"}, first},  // before a rotation
		{[]string{"whsec_test_2"}, second}, // and after it
	} {
		if got := webhook.Sign(c.secrets, []byte(exampleBody), webhook.Timestamp(at)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.secrets, got, c.want)
		}
	}
}

// TestRotationLeavesNoGap changes a secret as an owner would: whoever verifies
// with the old one or with the new one is served during the overlap.
func TestRotationLeavesNoGap(t *testing.T) {
	t.Parallel()
	verify := func(header, secret string) bool {
		for _, sum := range strings.Split(header, ",") {
			if sum == webhook.Sign([]string{secret}, []byte("body"), "ts") {
				return true
			}
		}
		return false
	}
	for step, c := range []struct {
		secrets []string
		old     bool
		fresh   bool
	}{{[]string{"old"}, true, false}, {[]string{"old", "new"}, true, true}, {[]string{"new"}, false, true}} {
		header := webhook.Sign(c.secrets, []byte("body"), "ts")
		if verify(header, "old") != c.old || verify(header, "new") != c.fresh {
			t.Errorf("step %d: %s", step, header)
		}
	}
}

func unseal(s endpoint.SecretRef) (string, error) {
	if strings.HasPrefix(string(s), "sealed:") {
		return string(s)[len("sealed:"):], nil
	}
	return "", errors.New("not sealed")
}

// A host is a webhook's server without a network, so that its time is virtual.
type host struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHost() *host { return &host{conns: make(chan net.Conn), done: make(chan struct{})} }

func (h *host) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *host) Close() error { h.once.Do(func() { close(h.done) }); return nil }

func (h *host) Addr() net.Addr { return &net.TCPAddr{} }

func (h *host) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case h.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve runs a webhook in a bubble and returns a client of it.
func serve(t *testing.T, handle http.HandlerFunc) *webhook.Client {
	t.Helper()
	h := newHost()
	srv := &http.Server{Handler: handle}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(h) }()
	c := webhook.NewClient(webhook.Options{Dial: h.dial, Unseal: unseal, Now: time.Now})
	t.Cleanup(func() {
		c.Close()
		_ = srv.Close()
		<-done
	})
	return c
}

func question(change func(*endpoint.FallbackHandler)) actors.FallbackRequest {
	h := endpoint.FallbackHandler{URL: "http://route.acme.example/sip?token=hush", Secrets: []endpoint.SecretRef{"sealed:whsec_1", "sealed:whsec_2"}}
	if change != nil {
		change(&h)
	}
	return actors.FallbackRequest{Call: call.ID(7), Tenant: "acme", Handler: h, Body: []byte(exampleBody)}
}

// reasonOf says what an Ask ended with: a status for the carrier, as the
// contract has it.
func reasonOf(t *testing.T, err error) endpoint.Reason {
	t.Helper()
	var told *actors.WebhookError
	if err != nil && !errors.As(err, &told) {
		t.Fatalf("no WebhookError: %v", err)
	}
	if told == nil {
		return ""
	}
	if strings.Contains(told.Error(), "hush") || strings.Contains(told.Error(), "whsec") {
		t.Errorf("the error tells a secret: %v", told)
	}
	return told.Reason
}

func after(d time.Duration, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "text/whatever")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func reject(code string) string { return `{"reject":{"sipRejectCode":` + code + `}}` }

// TestWebhookChaos is the table of what a webhook may do and what that means,
// in virtual time.
func TestWebhookChaos(t *testing.T) {
	agent := `{"startAgentCall":{"agentId":"` + bot + `"}}`
	failed, bad, timeout := endpoint.ReasonWebhookFailed, endpoint.ReasonWebhookReply, endpoint.ReasonWebhookTimeout
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		want   endpoint.Reason
		took   time.Duration
		status int // of a rejection
	}{
		"200 and an agent":        {after(0, 200, agent), "", 0, 0},
		"201 is a success too":    {after(0, 201, agent), "", 0, 0},
		"a reject without a code": {after(0, 200, `{"reject":{}}`), "", 0, 603},
		"reject 400":              {after(0, 200, reject("400")), "", 0, 400},
		"reject 699":              {after(0, 200, reject("699")), "", 0, 699},
		"reject 399":              {after(0, 200, reject("399")), bad, 0, 0},
		"reject 700":              {after(0, 200, reject("700")), bad, 0, 0},
		"204 has no action":       {after(0, 204, ""), bad, 0, 0},
		"500":                     {after(0, 500, agent), failed, 0, 0},
		"404":                     {after(0, 404, agent), failed, 0, 0},
		"4.9 s":                   {after(4900*time.Millisecond, 200, agent), "", 4900 * time.Millisecond, 0},
		"5.1 s":                   {after(5100*time.Millisecond, 200, agent), timeout, 5 * time.Second, 0},
		"two actions":             {after(0, 200, `{"reject":{},"startCall":{}}`), bad, 0, 0},
		"one action twice":        {after(0, 200, `{"reject":{},"reject":{}}`), bad, 0, 0},
		"no JSON":                 {after(0, 200, "<html>"), bad, 0, 0},
		"an unknown wish":         {after(0, 200, `{"startAgentCall":{"agentId":"`+bot+`","voice":"Ada"}}`), bad, 0, 0},
		"10 MB":                   {endless(10 << 20), bad, 0, 0},
		"a body that drips":       {drip(time.Second), timeout, 5 * time.Second, 0},
		"headers without an end":  {hugeHeader, failed, 0, 0},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, failed, 0, 0},
		"a connection that breaks": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, failed, 0, 0},
		"a body that breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"rej`)
			panic(http.ErrAbortHandler)
		}, failed, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				client := serve(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); c.handle(w, r) })
				start := time.Now()
				a, err := client.Ask(t.Context(), question(nil))
				took := time.Since(start)
				if got := reasonOf(t, err); got != c.want {
					t.Errorf("got %q (%v), want %q", got, err, c.want)
				}
				if took < c.took || took > c.took+100*time.Millisecond {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if c.status != 0 && (a.Reject == nil || a.Reject.Status != c.status) {
					t.Errorf("got %+v, want a rejection with %d", a, c.status)
				}
				if n := asked.Load(); n != 1 {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

func endless(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"reject":{"message":"`)
		chunk := strings.Repeat("x", 32<<10)
		for n := 0; n < size; n += len(chunk) {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `"}}`)
	}
}

func drip(every time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"startCall":{"x":"`)
		for range 60 {
			w.(http.Flusher).Flush()
			select {
			case <-time.After(every):
			case <-r.Context().Done():
				return
			}
			if _, err := io.WriteString(w, "x"); err != nil {
				return
			}
		}
	}
}

func hugeHeader(w http.ResponseWriter, _ *http.Request) {
	for i := range 40 {
		w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1024))
	}
	_, _ = io.WriteString(w, `{"reject":{}}`)
}

func TestTheHandlersOwnTimeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, after(time.Second, 200, `{"reject":{}}`))
		start := time.Now()
		_, err := client.Ask(t.Context(), question(func(h *endpoint.FallbackHandler) { h.TimeoutMs = 300 }))
		if got := reasonOf(t, err); got != endpoint.ReasonWebhookTimeout || time.Since(start) != 300*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestTheRequestIsSignedAndNamesItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			at := r.Header.Get("X-Ultravox-Webhook-Timestamp")
			if _, err := time.Parse("2006-01-02T15:04:05.000000", at); err != nil {
				t.Errorf("timestamp: %v", err)
			}
			if got := r.Header.Get("X-Ultravox-Webhook-Signature"); got != webhook.Sign([]string{"whsec_1", "whsec_2"}, body, at) || strings.Count(got, ",") != 1 {
				t.Errorf("signature %s", got)
			}
			if r.Method != "POST" || r.URL.String() != "/sip?token=hush" || r.Host != "route.acme.example" || r.Header.Get("Content-Type") != "application/json" ||
				r.Header.Get("Idempotency-Key") != call.ID(7).String() || string(body) != exampleBody {
				t.Errorf("got %s %s %v: %s", r.Method, r.URL, r.Header, body)
			}
			_, _ = io.WriteString(w, `{"reject":{}}`)
		})
		if _, err := client.Ask(t.Context(), question(nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestATargetThatFailsIsLeftAloneForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var broken atomic.Bool
		broken.Store(true)
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			if broken.Load() {
				w.WriteHeader(500)
				return
			}
			_, _ = io.WriteString(w, `{"reject":{}}`)
		})
		ask := func(change func(*endpoint.FallbackHandler)) endpoint.Reason {
			_, err := client.Ask(t.Context(), question(change))
			return reasonOf(t, err)
		}
		for range 5 {
			if got := ask(nil); got != endpoint.ReasonWebhookFailed {
				t.Fatalf("got %q", got)
			}
		}
		for range 100 {
			if got := ask(nil); got != endpoint.ReasonWebhookSuspended {
				t.Fatalf("got %q", got)
			}
		}
		if n := asked.Load(); n != 5 {
			t.Errorf("asked %d times", n)
		}
		if got := ask(func(h *endpoint.FallbackHandler) { h.URL = "http://route.acme.example/other" }); got != endpoint.ReasonWebhookFailed {
			t.Errorf("another target of the same host: %q", got)
		}
		time.Sleep(15 * time.Second)
		if got := ask(nil); got != endpoint.ReasonWebhookFailed || ask(nil) != endpoint.ReasonWebhookSuspended || asked.Load() != 7 {
			t.Errorf("after a while one request tries: %q, %d", got, asked.Load())
		}
		broken.Store(false)
		time.Sleep(15 * time.Second)
		for range 3 {
			if got := ask(nil); got != "" {
				t.Errorf("once it works again: %q", got)
			}
		}
	})
}

func TestANodeThatStopsBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := serve(t, after(time.Minute, 200, ""))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := client.Ask(ctx, question(nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatCannotBeAskedIsTheOwnersFault(t *testing.T) {
	t.Parallel()
	c := webhook.New(dialguard.Guard{}, unseal)
	defer c.Close()
	for name, change := range map[string]func(*endpoint.FallbackHandler){
		"no URL":                    func(h *endpoint.FallbackHandler) { h.URL = "://" },
		"another scheme":            func(h *endpoint.FallbackHandler) { h.URL = "file:///etc/passwd" },
		"credentials in it":         func(h *endpoint.FallbackHandler) { h.URL = "http://user:hush@route.example/" },
		"a secret that cannot open": func(h *endpoint.FallbackHandler) { h.Secrets = []endpoint.SecretRef{"whsec_plain"} },
	} {
		_, err := c.Ask(t.Context(), question(change))
		if got := reasonOf(t, err); got != endpoint.ReasonWebhookFailed {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
