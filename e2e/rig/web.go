package rig

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// AdminKey is the key that the node's first start made.
func (n *Node) AdminKey(t testing.TB) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(n.Dir, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(key))
}

// A Web is a client of a node's API over HTTPS that trusts the node's own
// authority and nobody else.
type Web struct {
	base, key string
	client    *http.Client
}

// Web returns a client with the node's admin key.
func (n *Node) Web(t testing.TB) *Web {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.Dir, "https", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatal("https/ca.pem holds no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &Web{"https://" + n.HTTPS, n.AdminKey(t), &http.Client{Timeout: httpLimit, Transport: transport}}
}

// An Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Proto  string
}

// Ask sends one request; in is its body as JSON, nil: none. head are name and
// value in turn.
func (w *Web) Ask(t testing.TB, method, path string, in any, head ...string) Answer {
	t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, w.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-Key", w.key)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	resp, err := w.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return Answer{resp.StatusCode, resp.Header, raw, resp.Proto}
}

// Do sends a request that must be answered with a status, and reads the reply;
// out nil: it is not read.
func (w *Web) Do(t testing.TB, method, path string, in any, status int, out any, head ...string) Answer {
	t.Helper()
	a := w.Ask(t, method, path, in, head...)
	if a.Status != status {
		t.Fatalf("%s %s: %d, want %d: %s", method, path, a.Status, status, a.Body)
	}
	if out != nil {
		if err := json.Unmarshal(a.Body, out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
	return a
}
