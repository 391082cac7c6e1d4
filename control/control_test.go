package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/control"
	"patchbay/internal/testkit"
)

// shelf is a store in memory: the contract of the real one is tested in
// cluster/store, and the whole in e2e.
type shelf struct {
	mu       sync.Mutex
	rev      endpoint.Revision
	accounts map[string]endpoint.Account
	eps      map[string]endpoint.Endpoint
	agents   map[string]endpoint.Agent
	keys     map[string]endpoint.APIKey
	once     map[string]onceLine
	spent    map[string]int
	down     bool // keys that are not here cannot be looked for
	applied  int  // batches
	deletes  int
	conflict bool
	slow     chan struct{}
	kept     keepsake
	behind   bool // ByIDs shows no endpoint
}

func newShelf() *shelf {
	acme := endpoint.Account{V: 1, ID: "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001", Tenant: "acme", Name: "Acme", Revision: 1}
	operator := endpoint.Account{V: 1, ID: "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0000", Tenant: endpoint.OperatorTenant, Name: "Default", Refusal: endpoint.RefuseUniform, Revision: 1}
	return &shelf{eps: map[string]endpoint.Endpoint{}, agents: map[string]endpoint.Agent{}, keys: map[string]endpoint.APIKey{},
		once: map[string]onceLine{}, spent: map[string]int{},
		accounts: map[string]endpoint.Account{acme.Tenant: acme, operator.Tenant: operator}}
}

func (s *shelf) next() endpoint.Revision { s.rev++; return s.rev }

func (s *shelf) CreateEndpoint(_ context.Context, ep endpoint.Endpoint, t endpoint.Terms) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.accept(ep.Tenant, ep.ID, t); err != nil {
		return 0, err
	}
	ep.Revision = s.next()
	s.eps[ep.ID] = ep
	return ep.Revision, nil
}

func (s *shelf) EndpointByID(_ context.Context, tenant, id string) (endpoint.Endpoint, error) {
	if s.slow != nil {
		<-s.slow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ep, ok := s.eps[id]
	if !ok || ep.Tenant != tenant {
		return ep, fmt.Errorf("get %s: %w", id, endpoint.ErrNotFound)
	}
	return ep, nil
}

func (s *shelf) UpdateEndpoint(_ context.Context, ep endpoint.Endpoint) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conflict || s.eps[ep.ID].Revision != ep.Revision {
		return 0, endpoint.ErrConflict
	}
	ep.Revision = s.next()
	s.eps[ep.ID] = ep
	return ep.Revision, nil
}

func (s *shelf) DeleteEndpoint(_ context.Context, ep endpoint.Endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.eps, ep.ID)
	s.deletes++
	return nil
}

func (s *shelf) Endpoints(_ context.Context, tenant, cursor string, limit int) ([]endpoint.Endpoint, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var page []endpoint.Endpoint
	for _, ep := range s.eps {
		if ep.Tenant == tenant && ep.ID > cursor {
			page = append(page, ep)
		}
	}
	slices.SortFunc(page, func(a, b endpoint.Endpoint) int { return strings.Compare(a.ID, b.ID) })
	if len(page) > limit {
		return page[:limit], page[limit-1].ID, nil
	}
	return page, "", nil
}

func (s *shelf) CreateAgent(_ context.Context, a endpoint.Agent, t endpoint.Terms) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.accept(a.Tenant, a.ID, t); err != nil {
		return 0, err
	}
	if _, ok := s.agents[a.ID]; ok {
		return 0, endpoint.ErrExists
	}
	a.Revision = s.next()
	s.agents[a.ID] = a
	return a.Revision, nil
}

func (s *shelf) AgentByID(_ context.Context, tenant, id string) (endpoint.Agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.agents[id]
	if !ok || a.Tenant != tenant {
		return a, endpoint.ErrNotFound
	}
	return a, nil
}

func (s *shelf) UpdateAgent(_ context.Context, a endpoint.Agent) (endpoint.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Revision = s.next()
	s.agents[a.ID] = a
	return a.Revision, nil
}

func (s *shelf) DeleteAgent(_ context.Context, a endpoint.Agent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.agents, a.ID)
	return nil
}

func (s *shelf) Agents(_ context.Context, tenant, _ string, _ int) ([]endpoint.Agent, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var page []endpoint.Agent
	for _, a := range s.agents {
		if a.Tenant == tenant {
			page = append(page, a)
		}
	}
	return page, "", nil
}

type sealer struct{}

// seals makes each seal another, as real ones are.
var seals atomic.Int64

func (sealer) Seal(secret string) (endpoint.SecretRef, error) {
	return endpoint.SecretRef(fmt.Sprintf("sealed:%d:%s", seals.Add(1), strings.ToUpper(secret))), nil
}

func (sealer) Open(sealed endpoint.SecretRef) (string, error) {
	_, text, _ := strings.Cut(strings.TrimPrefix(string(sealed), "sealed:"), ":")
	return strings.ToLower(text), nil
}

type calls struct{ live map[call.ID]control.CallView }

func (c calls) List(_ context.Context, tenant string, _ int) ([]control.CallView, error) {
	var out []control.CallView
	for _, v := range c.live {
		if v.Tenant == tenant {
			out = append(out, v)
		}
	}
	return out, nil
}

func (c calls) Get(_ context.Context, tenant string, id call.ID) (control.CallView, error) {
	if v, ok := c.live[id]; ok && v.Tenant == tenant {
		return v, nil
	}
	return control.CallView{}, endpoint.ErrNotFound
}

func (c calls) Hangup(ctx context.Context, tenant string, id call.ID) error {
	_, err := c.Get(ctx, tenant, id)
	delete(c.live, id)
	return err
}

func (c calls) Transfer(ctx context.Context, tenant string, id call.ID, t call.Transfer) error {
	v, err := c.Get(ctx, tenant, id)
	if err != nil {
		return err
	}
	v.Transfer = &call.Transferred{To: t.To, Call: t.Other, State: call.TransferPending, By: t.By}
	c.live[id] = v
	return nil
}

// serve runs the service over a real NATS and returns a client of tenant acme.
func serve(t *testing.T, store *shelf, live map[call.ID]control.CallView) control.Client {
	t.Helper()
	nc := testkit.NATS(t)
	ops := &control.Operations{Config: config.Control{RequestTimeout: 30 * time.Second, MaxInFlight: 8}, Store: store,
		Calls: calls{live}, Sealer: sealer{}, Host: "sip.example.com", Now: time.Now}
	s := control.NewService(nc, ops, "test", slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return control.Client{Conn: nc, Tenant: "acme"}
}

func spec(format string, args ...any) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(format, args...))
}

func mustDo[T any](t *testing.T, c control.Client, noun, verb string, in any) T {
	t.Helper()
	var out T
	if err := c.Do(t.Context(), noun, verb, in, &out); err != nil {
		t.Fatalf("%s %s: %v", noun, verb, err)
	}
	return out
}

func refusal(t *testing.T, c control.Client, noun, verb string, in any) *control.Error {
	t.Helper()
	err := c.Do(t.Context(), noun, verb, in, nil)
	var told *control.Error
	if !errors.As(err, &told) {
		t.Fatalf("%s %s: got %v, want a refusal", noun, verb, err)
	}
	return told
}

func natsAgent(t *testing.T, c control.Client) control.AgentView {
	t.Helper()
	return mustDo[control.AgentView](t, c, "agent", "create", control.NewAgent{Spec: spec(`{"name":"echo","webrtc":{"connector":"nats"}}`)})
}

func TestAnEndpointLivesFromCreateToDelete(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil)
	agent := natsAgent(t, c)
	made := mustDo[control.EndpointView](t, c, "endpoint", "create", control.NewEndpoint{SlugPrefix: "night-desk", AgentID: agent.ID,
		Spec: spec(`{"name":"Night desk","ip":{"mode":"list","entries":[{"raw":"198.51.100.7/28"}]},"max_concurrent_calls":3}`)})
	if _, err := endpoint.ParseSlug(made.Slug); err != nil || !strings.HasPrefix(made.Slug, "night-desk-") {
		t.Errorf("slug: %v", err)
	}
	if made.SIPURI != "sip:"+made.Slug+"@sip.example.com" || made.Revision == 0 || len(made.Key) != 26 {
		t.Errorf("view: uri ends in %q, revision %d, key %q", made.SIPURI[strings.IndexByte(made.SIPURI, '@'):], made.Revision, made.Key)
	}
	changed := mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: made.ID, Revision: made.Revision,
		Patch: spec(`{"is_active":false,"max_concurrent_calls":null}`)})
	if changed.IsActive || changed.MaxConcurrentCalls != nil || changed.Slug != made.Slug || changed.IP.Entries[0].Raw != "198.51.100.7/28" {
		t.Errorf("update: %+v", changed.EndpointSpec)
	}
	if e := refusal(t, c, "endpoint", "update", control.Change{ID: made.ID, Revision: made.Revision, Patch: spec(`{"name":"x"}`)}); e.Code != control.CodeConflict {
		t.Errorf("update at an old revision: %v", e)
	}
	mustDo[control.Deleted](t, c, "endpoint", "delete", control.ID{ID: made.ID})
	if e := refusal(t, c, "endpoint", "get", control.ID{ID: made.ID}); e.Code != control.CodeNotFound {
		t.Errorf("get after delete: %v", e)
	}
}

func TestEveryMistakeIsToldAtOnceWithItsField(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	e := refusal(t, c, "endpoint", "create", control.NewEndpoint{Spec: spec(
		`{"name":"","ip":{"mode":"list","entries":[{"raw":"nonsense"}]},"max_concurrent_calls":0,"handler":{"active":"magic"}}`)})
	var fields []string
	for _, p := range e.Problems {
		fields = append(fields, p.Field)
	}
	for _, want := range []string{"name", "ip.entries[0].raw", "max_concurrent_calls", "handler.active"} {
		if !slices.Contains(fields, want) {
			t.Errorf("no problem names %s: %v", want, fields)
		}
	}
}

func TestRequestsOfTheWrongShapeNameTheField(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	for name, tc := range map[string]struct {
		noun, verb string
		in         any
		field      string
	}{
		"unknown field":     {"endpoint", "create", spec(`{"slug":"mine"}`), "slug"},
		"unknown in spec":   {"endpoint", "create", spec(`{"spec":{"colour":"red"}}`), "colour"},
		"wrong type":        {"endpoint", "create", spec(`{"spec":{"is_active":"yes"}}`), "is_active"},
		"missing id":        {"endpoint", "get", spec(`{}`), "id"},
		"bad prefix":        {"endpoint", "create", spec(`{"slug_prefix":"Nope!"}`), "slug_prefix"},
		"foreign agent":     {"endpoint", "create", spec(`{"agent_id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0009"}`), "handler.agent_id"},
		"limit over 200":    {"endpoint", "list", spec(`{"limit":201}`), "limit"},
		"no call id":        {"call", "get", spec(`{"id":"zzz"}`), "id"},
		"agent w/o channel": {"agent", "create", spec(`{"spec":{"name":"x"}}`), "webrtc.connector"},
	} {
		e := refusal(t, c, tc.noun, tc.verb, tc.in)
		if e.Code != control.CodeInvalid || len(e.Problems) == 0 || e.Problems[0].Field != tc.field {
			t.Errorf("%s: got %+v, want field %s", name, e, tc.field)
		}
	}
}

func TestATenantSeesNothingOfAnother(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), map[call.ID]control.CallView{7: {ID: 7, Tenant: "acme"}})
	made := mustDo[control.EndpointView](t, c, "endpoint", "create", control.NewEndpoint{})
	agent := natsAgent(t, c)
	other := control.Client{Conn: c.Conn, Tenant: "globex"}
	for _, try := range []struct {
		noun, verb string
		in         any
	}{
		{"endpoint", "get", control.ID{ID: made.ID}},
		{"endpoint", "update", control.Change{ID: made.ID, Patch: spec(`{"name":"mine now"}`)}},
		{"endpoint", "delete", control.ID{ID: made.ID}},
		{"agent", "get", control.ID{ID: agent.ID}},
		{"agent", "delete", control.ID{ID: agent.ID}},
		{"call", "get", control.ID{ID: call.ID(7).String()}},
		{"call", "hangup", control.ID{ID: call.ID(7).String()}},
		{"call", "transfer", control.CallTransfer{ID: call.ID(7).String(), To: "+15551234"}},
	} {
		if e := refusal(t, other, try.noun, try.verb, try.in); e.Code != control.CodeNotFound {
			t.Errorf("%s %s: %v, want not_found", try.noun, try.verb, e)
		}
	}
	if page := mustDo[control.Page[control.EndpointView]](t, other, "endpoint", "list", control.PageRequest{}); len(page.Items) != 0 {
		t.Errorf("a stranger lists %d endpoints", len(page.Items))
	}
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	for range 5 {
		mustDo[control.EndpointView](t, c, "endpoint", "create", control.NewEndpoint{})
	}
	seen := map[string]bool{}
	cursor, pages := "", 0
	for {
		page := mustDo[control.Page[control.EndpointView]](t, c, "endpoint", "list", control.PageRequest{Limit: 2, Cursor: cursor})
		for _, ep := range page.Items {
			seen[ep.ID] = true
		}
		pages++
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(seen) != 5 || pages != 3 {
		t.Errorf("%d endpoints on %d pages, want 5 on 3", len(seen), pages)
	}
}

func TestASecretGoesInSealedAndNeverComesOut(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil)
	made := mustDo[json.RawMessage](t, c, "agent", "create", control.NewAgent{Spec: spec(
		`{"name":"bot","webrtc":{"connector":"http","url":"https://bot.example.com/offer","auth_type":"bearer","auth_secret":"hush-hush"}}`)})
	if strings.Contains(string(made), "hush") || !strings.Contains(string(made), `"secret_set":true`) {
		t.Errorf("reply: %s", made)
	}
	var view control.AgentView
	_ = json.Unmarshal(made, &view)
	first := store.agents[view.ID].WebRTC.AuthSecret
	if got, _ := (sealer{}).Open(first); got != "hush-hush" || strings.Contains(string(first), "hush") {
		t.Errorf("stored %q", got)
	}
	mustDo[control.AgentView](t, c, "agent", "update", control.Change{ID: view.ID, Patch: spec(`{"name":"other"}`)})
	if got := store.agents[view.ID].WebRTC.AuthSecret; got != first {
		t.Errorf("after another change: %q", got)
	}
}

func TestARefusalStyleIsSetOnTheAccount(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	got := mustDo[control.AccountView](t, c, "account", "update", control.AccountChange{Patch: spec(`{"refusal":"explicit"}`)})
	if got.Refusal != endpoint.RefuseExplicit || got.Name != "Acme" {
		t.Errorf("got %+v", got)
	}
	if e := refusal(t, c, "account", "update", control.AccountChange{Patch: spec(`{"refusal":"rude"}`)}); e.Problems[0].Field != "refusal" {
		t.Errorf("got %v", e)
	}
}

func TestASlowRequestHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil)
	made := mustDo[control.EndpointView](t, c, "endpoint", "create", control.NewEndpoint{})
	store.slow = make(chan struct{})
	slow := make(chan error, 1)
	go func() {
		slow <- c.Do(context.WithoutCancel(t.Context()), "endpoint", "get", control.ID{ID: made.ID}, nil)
	}()
	mustDo[control.Page[control.EndpointView]](t, c, "endpoint", "list", control.PageRequest{})
	close(store.slow)
	if err := <-slow; err != nil {
		t.Error(err)
	}
}

func TestWithoutAServiceTheClientSaysSo(t *testing.T) {
	t.Parallel()
	c := control.Client{Conn: testkit.NATS(t), Tenant: "acme"}
	if e := refusal(t, c, "endpoint", "list", control.PageRequest{}); e.Code != control.CodeUnavailable {
		t.Errorf("got %v", e)
	}
}
