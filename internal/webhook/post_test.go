package webhook_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
	"patchbay/internal/testkit"
	"patchbay/internal/webhook"
)

const signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func occasion(kind endpoint.WebhookKind, url string) webhook.Occasion {
	return webhook.Occasion{Kind: kind, URL: url, Secrets: []string{signing}, ID: "d1", Body: []byte(`{"id":"e1","type":"call.ended"}`)}
}

func TestAnEventIsPostedInTheSchemeOfItsKind(t *testing.T) {
	t.Parallel()
	heads := make(chan http.Header, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.RawQuery != "a=b" || string(body) != string(occasion("", "").Body) {
			t.Errorf("%s %s: %s", r.Method, r.URL, body)
		}
		heads <- r.Header
	}))
	t.Cleanup(srv.Close)
	c := webhook.New(dialguard.Guard{AllowLoopback: true}, unseal)
	t.Cleanup(c.Close)
	for kind, want := range map[endpoint.WebhookKind][]string{
		endpoint.WebhookNative:   {webhook.IDHeader, webhook.SentHeader, webhook.StandardHeader},
		endpoint.WebhookYappr:    {webhook.IDHeader, webhook.SentHeader, webhook.StandardHeader},
		endpoint.WebhookUltravox: {webhook.IDHeader, webhook.TimestampHeader, webhook.SignatureHeader},
	} {
		if r := c.Tell(t.Context(), occasion(kind, srv.URL+"/x?a=b")); r != (webhook.Receipt{Status: 200}) {
			t.Fatalf("%s: %+v", kind, r)
		}
		head := <-heads
		for _, name := range append(want, "Content-Type", "User-Agent") {
			if head.Get(name) == "" {
				t.Errorf("%s: no %s", kind, name)
			}
		}
	}
	unsigned := occasion(endpoint.WebhookNative, srv.URL+"/x?a=b")
	unsigned.Secrets = nil
	if c.Tell(t.Context(), unsigned); (<-heads).Get(webhook.StandardHeader) != "" {
		t.Error("a signature without a secret")
	}
}

func TestWhatIsNoSuccessIsAFailureThatSaysWhy(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/fine", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/long":
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		case "/created":
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(srv.Close)
	open := webhook.New(dialguard.Guard{AllowLoopback: true}, unseal)
	shut := webhook.New(dialguard.Guard{}, unseal)
	t.Cleanup(open.Close)
	for url, want := range map[string]webhook.Receipt{
		srv.URL + "/created":       {Status: 201},
		srv.URL + "/long":          {Status: 200},
		srv.URL + "/broken":        {Status: 500, Failure: "HTTP status 500"},
		srv.URL + "/moved":         {Status: 302, Failure: "HTTP status 302, and redirects are not followed"},
		"http://127.0.0.1:1/x":     {Failure: "it cannot be reached"},
		"http://no.such.invalid/x": {Failure: "its name cannot be looked up"},
		"ftp://x.example/":         {Failure: "its URL is not http(s)://host/path"},
		"http://me:pw@x.example/":  {Failure: "its URL is not http(s)://host/path"},
	} {
		if got := open.Tell(t.Context(), occasion(endpoint.WebhookNative, url)); got != want {
			t.Errorf("%s: %+v, want %+v", url, got, want)
		}
	}
	if got := shut.Tell(t.Context(), occasion(endpoint.WebhookNative, srv.URL)); got.Failure != "its address may not be dialled" {
		t.Errorf("loopback: %+v", got)
	}
}

func TestAReceiverThatHangsIsLeftAfterItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begun := time.Now()
		got := c.Tell(ctx, occasion(endpoint.WebhookNative, "http://hook.example/"))
		if got.Failure != "no reply in time" || time.Since(begun) != 10*time.Second {
			t.Errorf("%+v after %v", got, time.Since(begun))
		}
	})
}

// TestTheExampleTakesWhatIsSignedAndNothingElse runs the receiver of
// docs/webhooks.md.
func TestTheExampleTakesWhatIsSignedAndNothingElse(t *testing.T) {
	t.Parallel()
	python := testkit.Tool(t, "python3")
	const path = "../../examples/webhook-python/receiver.py"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil || !strings.Contains(string(doc), "```python\n"+string(text)+"```\n") {
		t.Errorf("docs/webhooks.md does not show %s: %v", path, err)
	}
	cmd := exec.CommandContext(t.Context(), python, path, "--port", "0")
	cmd.Env = append(os.Environ(), "PATCHBAY_WEBHOOK_SECRET="+signing)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it says nothing")
	}
	_, url, _ := strings.Cut(lines.Text(), "listening on ")
	c := webhook.New(dialguard.Guard{AllowLoopback: true}, unseal)
	t.Cleanup(c.Close)
	forged := occasion(endpoint.WebhookNative, url)
	forged.Secrets = []string{"another"}
	if got := c.Tell(t.Context(), forged); got.Status != 401 {
		t.Errorf("a forged one: %+v", got)
	}
	both := occasion(endpoint.WebhookNative, url)
	both.Secrets = []string{"another", signing}
	for range 2 { // the second is a repetition
		if got := c.Tell(t.Context(), both); got != (webhook.Receipt{Status: 204}) {
			t.Errorf("a good one: %+v", got)
		}
	}
	next := occasion(endpoint.WebhookNative, url)
	next.ID, next.Body = "d2", []byte(`{"id":"e2","type":"call.started"}`)
	c.Tell(t.Context(), next)
	for _, want := range []string{"call.ended e1", "call.started e2"} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("it printed %q, want %q", lines.Text(), want)
		}
	}
}
