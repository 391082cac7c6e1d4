// Package desk gives tests of the API's faces what a node gives the faces:
// control's operations over a real store, with a clock that stands still. It
// decides nothing by itself; calls, records and nodes are not there.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/broker"
	"patchbay/cluster/store"
	"patchbay/config"
	"patchbay/control"
	"patchbay/internal/keys"
)

// patience is the longest wait for what must come.
const patience = 30 * time.Second

// Noon is when the clock stands at first.
var Noon = time.Date(2026, 1, 2, 12, 4, 5, 0, time.UTC)

// A Desk is a node's operations, alone.
type Desk struct {
	Ops   *control.Operations
	Kit   control.Kit
	Store *store.Store

	secrets *keys.Cluster
	mu      sync.Mutex
	now     time.Time
}

// New returns a desk. It ends with the test.
func New(t testing.TB) *Desk {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	srv, err := broker.New(broker.Config{Name: "desk", StoreDir: t.TempDir(), MaxStore: 1 << 30, StartWait: patience}, log)
	if err != nil {
		t.Fatal(err)
	}
	run(t, srv)
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Timeout(patience), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	cfg := store.Config{Node: "desk", Decider: true, CacheEntries: 10_000, MaxEndpoints: 10_000, MaxAgents: 1000, ReadTimeout: patience}
	cfg.Streams.Wait = patience
	s, err := store.Open(t.Context(), js, cfg, log, store.Observer{})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	secrets, _, err := keys.EnsureCluster(filepath.Join(t.TempDir(), "cluster.key"))
	if err != nil {
		t.Fatal(err)
	}
	return over(s, secrets)
}

// over makes a desk over a store.
func over(s *store.Store, secrets *keys.Cluster) *Desk {
	log := slog.New(slog.DiscardHandler)
	d := &Desk{Store: s, secrets: secrets, now: Noon}
	d.Ops = &control.Operations{Config: config.Control{RequestTimeout: patience, MaxInFlight: 64}, Store: shelf{s}, Sealer: secrets,
		Host: "sip.example.com", Domain: "sip.example.com", Now: d.Now, Known: s.Account, Translate: translate, Webhooks: s}
	d.Kit = control.Kit{Do: d.Ops.Within, Count: d.Ops.Count, Rate: d.Ops.Rate, Host: d.Ops.Host, Domain: d.Ops.Domain, Now: d.Now, Log: log,
		Verify: func(ctx context.Context, key string) (control.Credential, error) {
			return control.Verify(ctx, s, key, d.Now())
		},
		Told: func(_ context.Context, err error) *control.Error { return d.Ops.Told(err, log) }}
	return d
}

// Another returns a desk over the same store whose clock stands at Noon and
// which has counted nothing.
func (d *Desk) Another() *Desk { return over(d.Store, d.secrets) }

type component interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

func run(t testing.TB, c component) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			t.Errorf("run %T: %v", c, err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	select {
	case <-c.Ready():
	case <-time.After(patience):
		t.Fatalf("%T is not ready", c)
	}
}

// shelf is control's view of the store, as a node has it.
type shelf struct{ *store.Store }

// Account implements control.Store.
func (s shelf) Account(ctx context.Context, tenant string) (endpoint.Account, error) {
	return s.AccountByTenant(ctx, tenant)
}

// translate says in control's words what the store could not do.
func translate(err error) error {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return fmt.Errorf("%w: %w", control.ErrUnavailable, err)
	case errors.Is(err, store.ErrLimit):
		return &control.Error{Code: control.CodeLimit, Message: "the account has as many objects of this kind as it may have"}
	case errors.Is(err, store.ErrDaily):
		return &control.Error{Code: control.CodeLimit, Message: "the account has created as many endpoints today as it may; the day is UTC's"}
	}
	return err
}

// Now is what the clock says.
func (d *Desk) Now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// Pass moves the clock on.
func (d *Desk) Pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// Account makes an account with a domain of its name, and returns its name.
func (d *Desk) Account(t testing.TB, tenant string) string {
	t.Helper()
	now := d.Now()
	_, err := d.Store.CreateAccount(t.Context(), endpoint.Account{V: 1, ID: control.NewUUID(), Tenant: tenant, Name: tenant,
		SIP: endpoint.SipSettings{DomainIdentifier: tenant}, CreatedAt: now, UpdatedAt: now}, endpoint.Terms{})
	if err != nil {
		t.Fatalf("account %s: %v", tenant, err)
	}
	return tenant
}

// Native carries out an operation that must succeed, as the account's owner.
func Native[Out any](t testing.TB, d *Desk, tenant, noun, verb string, in any) Out {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Ops.Do(t.Context(), Owner(tenant), control.Request{Noun: noun, Verb: verb, Body: raw})
	if err != nil {
		t.Fatalf("%s.%s %.300s: %v", noun, verb, raw, err)
	}
	out, ok := got.(Out)
	if !ok {
		t.Fatalf("%s.%s: a reply of type %T", noun, verb, got)
	}
	return out
}

// Owner is the credential of who may do everything in an account, without a key.
func Owner(tenant string) control.Credential {
	return control.Credential{Tenant: tenant, Kind: endpoint.KindOfNative, Scopes: []string{endpoint.ScopeAll}}
}

// Agent makes an agent and returns its id.
func (d *Desk) Agent(t testing.TB, tenant string) string {
	t.Helper()
	return Native[control.AgentView](t, d, tenant, "agent", "create", control.NewAgent{
		Spec: json.RawMessage(`{"name":"bot","webrtc":{"connector":"nats"}}`)}).ID
}

// Key makes an API key and returns its secret.
func (d *Desk) Key(t testing.TB, tenant, kind string, scopes ...string) string {
	t.Helper()
	return Native[control.MadeKey](t, d, tenant, "key", "create", control.NewKey{Name: "k", Kind: kind, Scopes: scopes}).Secret
}

// A Client asks a face.
type Client struct {
	Face    http.Handler
	Headers http.Header // of every request
}

// Ask sends one request; body "": none.
func (c Client) Ask(t testing.TB, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for name, values := range c.Headers {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	c.Face.ServeHTTP(w, r)
	return w
}
