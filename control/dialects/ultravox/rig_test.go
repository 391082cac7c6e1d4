package ultravox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/dialects/ultravox"
	"patchbay/internal/golden"
	"patchbay/internal/testkit/desk"
)

// Agents of the accounts acme and other.
const (
	sales   = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"
	support = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0002"
	foreign = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0009"
)

// A rig is the face over a node's operations and a real store, with calls,
// records and a dialler of the test's own.
type rig struct {
	*desk.Desk
	desk.Client
	ops  *control.Operations
	live *live
	past *past
	sent *dialled
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Desk: desk.New(t), live: &live{}, past: &past{}, sent: &dialled{}}
	r.ops = r.Ops
	r.Ops.Calls, r.Ops.Records, r.Ops.Dialler, r.Ops.Identities = r.live, r.past, r.sent, identities{"+15550100", "frontdesk"}
	r.Ops.Webhooks = r.Store
	for _, a := range []struct{ tenant, id, name string }{{"acme", sales, "Sales"}, {"acme", support, "Support"}, {"other", foreign, "Foreign"}} {
		if a.id != support {
			r.Account(t, a.tenant)
		}
		desk.Native[control.AgentView](t, r.Desk, a.tenant, "agent", "create", control.NewAgent{ID: a.id,
			Spec: json.RawMessage(`{"name":"` + a.name + `","webrtc":{"connector":"nats"}}`)})
	}
	r.Face = ultravox.New(r.Kit, func(_ context.Context, tenant, agent string) string {
		return map[string]string{sales: "Sales", support: "Support"}[agent]
	})
	r.as(t, "acme", endpoint.ScopeAll)
	return r
}

// as asks with a new key from now on.
func (r *rig) as(t *testing.T, tenant string, scopes ...string) {
	t.Helper()
	r.Headers = http.Header{"X-Api-Key": {r.Key(t, tenant, endpoint.KindOfUltravox, scopes...)}}
}

// identities are callers that the account acme may be.
type identities []string

func (i identities) Owns(_ context.Context, tenant, _, user string) (bool, error) {
	return tenant == "acme" && slices.Contains(i, user), nil
}

// live are the calls that are up.
type live struct {
	mu    sync.Mutex
	calls []control.CallView
	ended []call.ID
}

func (l *live) List(_ context.Context, tenant string, _ int) ([]control.CallView, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.calls), func(v control.CallView) bool { return v.Tenant != tenant }), nil
}

func (l *live) Get(ctx context.Context, tenant string, id call.ID) (control.CallView, error) {
	all, _ := l.List(ctx, tenant, 0)
	for _, v := range all {
		if v.ID == id {
			return v, nil
		}
	}
	return control.CallView{}, endpoint.ErrNotFound
}

func (l *live) Hangup(ctx context.Context, tenant string, id call.ID) error {
	_, err := l.Get(ctx, tenant, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, id)
	return err
}

func (l *live) Transfer(ctx context.Context, tenant string, id call.ID, _ call.Transfer) error {
	_, err := l.Get(ctx, tenant, id)
	return err
}

func (l *live) Find(context.Context, string, string, int) ([]control.CallView, error) {
	return nil, nil
}

func (l *live) HangupAll(context.Context, control.Selection, bool) (int, error) { return 0, nil }

// past are the records.
type past struct{ records []call.Record }

func (p *past) Get(_ context.Context, tenant string, id call.ID) (call.Record, error) {
	for _, r := range p.records {
		if r.ID == id && r.Tenant == tenant {
			return r, nil
		}
	}
	return call.Record{}, endpoint.ErrNotFound
}

func (p *past) List(_ context.Context, tenant string, q control.RecordQuery) (page []call.Record, next call.ID, err error) {
	found := q.After == 0
	for _, r := range p.records {
		switch {
		case r.Tenant != tenant:
		case !found:
			found = r.ID == q.After
		case len(page) == q.Limit:
			return page, page[len(page)-1].ID, nil
		default:
			page = append(page, r)
		}
	}
	return page, 0, nil
}

// dialled are the calls that were placed; full: there is no room for one.
type dialled struct {
	mu   sync.Mutex
	jobs []actors.Job
	full error
}

func (d *dialled) Place(_ context.Context, job actors.Job, _ []actors.Cap) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		return "", d.full
	}
	d.jobs = append(d.jobs, job)
	return "pb-1", nil
}

func (d *dialled) Claim(actors.Job, string, []actors.Cap) error { return nil }

func (d *dialled) Remember(context.Context, string, endpoint.Once) error { return nil }

var (
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	cursors = regexp.MustCompile(`cursor=[A-Za-z0-9_-]{20,}`)
	secrets = regexp.MustCompile(`whsec_[A-Za-z0-9+/=_-]{40,}`)
)

// A script is a run of requests against one account, whose texts are golden.
type script struct {
	*rig
	t     *testing.T
	known map[string]string // ids that are random, by what stands for them
}

// row is one request; uv names the part of the contract that it shows: see rows.
type row struct{ uv, name, method, path, body string }

// ask sends a row and compares request and reply with its file. It returns the
// reply.
func (s *script) ask(r row, status int) []byte {
	s.t.Helper()
	path := r.path
	for id, shown := range s.known {
		path = strings.ReplaceAll(path, shown, id)
	}
	w := s.Ask(s.t, r.method, path, r.body)
	if w.Code != status {
		s.t.Errorf("%s: %d %s, want %d", r.name, w.Code, w.Body, status)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s %s\n%s\n\n%d\n", r.uv, r.method, r.path, indented(r.body), w.Code)
	for _, name := range []string{"Allow", "Content-Type", "Retry-After"} {
		if v := w.Header().Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	b.WriteString(indented(w.Body.String()) + "\n")
	golden.Compare(s.t, "testdata/"+r.name+".txt", []byte(s.steady(b.String())))
	return w.Body.Bytes()
}

// steady replaces what is random.
func (s *script) steady(text string) string {
	text = cursors.ReplaceAllString(secrets.ReplaceAllString(text, "<generated>"), "cursor=<cursor>")
	return uuids.ReplaceAllStringFunc(text, func(id string) string {
		if slices.Contains([]string{sales, support, foreign}, id) || strings.HasSuffix(id, "-000000000000") && id[:2] == "9a" {
			return id
		}
		if s.known[id] == "" {
			s.known[id] = fmt.Sprintf("<id-%d>", len(s.known)+1)
		}
		return s.known[id]
	})
}

func indented(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(strings.TrimSpace(text)), "", "  ") != nil {
		return text
	}
	return b.String()
}

func newScript(t *testing.T) *script {
	t.Helper()
	return &script{rig: newRig(t), t: t, known: map[string]string{}}
}

// field reads one field of a reply.
func field(t *testing.T, body []byte, path ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("no %q in %s", path, body)
		}
		v = m[name]
	}
	return v
}

// exampleCall is a live call of acme's.
func exampleCall(id call.ID, ago time.Duration) control.CallView {
	v := control.CallView{ID: id, Tenant: "acme", Agent: sales, Direction: actors.Inbound, State: string(call.StateEstablished), Since: desk.Noon.Add(-ago),
		Answered: desk.Noon.Add(-ago + time.Second), From: call.Party{URI: "sip:+15551230100@carrier.example.net"},
		To: call.Party{URI: "sip:sales@acme.sip.example.com"}, Metadata: `{"src":"fb"}`}
	return v
}

// exampleRecord is what remains of a call of acme's.
func exampleRecord(id call.ID, ago time.Duration) call.Record {
	return call.Record{ID: id, Tenant: "acme", Agent: support, Direction: actors.Outbound, Status: 486, Cause: call.Cause{Q850: 17, Word: "busy"}, EndedBy: call.ByCarrier,
		From: call.Party{URI: "sip:+15550100@acme.sip.example.com"}, To: call.Party{URI: "sip:bob@carrier.example.net"},
		Stages: call.Stages{Invited: desk.Noon.Add(-ago), Ended: desk.Noon.Add(-ago + 9*time.Second)}}
}
