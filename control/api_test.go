package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/control"
	"patchbay/internal/golden"
	"patchbay/internal/testkit"
)

// What the examples of docs/control-api.md show in place of what is random.
const (
	exampleAgent    = "b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f22"
	exampleEndpoint = "3d0f8a52-6c1e-4b7a-9f0e-5a2c1d7e4b90"
	exampleSlug     = "night-7k2mq9x4c8v3b6n5z5w7r2ty"
	exampleDir      = "testdata/api/"
)

var exampleTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// An api records one request and reply of each operation as golden files, with
// what is random replaced.
type api struct {
	t      *testing.T
	nc     *nats.Conn
	tenant string
	names  []string // old and new, for a Replacer
	asked  map[string]bool
}

func newAPI(t *testing.T, live map[call.ID]control.CallView) *api {
	t.Helper()
	nc := testkit.NATS(t)
	store := newShelf()
	acme := store.accounts["acme"]
	acme.Refusal = endpoint.RefuseUniform
	store.accounts["acme"] = acme
	ops := &control.Operations{Config: config.Control{RequestTimeout: 30 * time.Second, MaxInFlight: 4}, Store: store,
		Calls: calls{live}, Records: archive{exampleRecord()}, Workers: exampleStaff(), Webhooks: &pegs{}, Hooks: &post{}, Sealer: sealer{}, Blocks: fences{map[string]endpoint.Block{}}, Nodes: exampleFarm(), Host: "sip.example.com", Domain: "sip.example.com", Read: readExample, Explainer: exampleExplainer{}, Known: initech, Now: func() time.Time { return exampleTime }}
	r := &rack{}
	ops.Dialler, ops.Trunks, ops.Identities = r, r, r
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
	return &api{t: t, nc: nc, tenant: "acme", asked: map[string]bool{}}
}

// hide replaces a random text in every file from now on.
func (a *api) hide(random, example string) { a.names = append(a.names, random, example) }

// do asks for an operation and returns the reply.
func (a *api) do(op, body string) *nats.Msg {
	a.t.Helper()
	m, err := a.nc.Request("pb.v1.ctl."+a.tenant+"."+op, []byte(body), 30*time.Second)
	if err != nil {
		a.t.Fatalf("%s: %v", op, err)
	}
	return m
}

// show does an operation that must succeed and compares request and reply.
func (a *api) show(op, body string) []byte {
	a.t.Helper()
	a.asked[op] = true
	m := a.do(op, body)
	if code := m.Header.Get(micro.ErrorCodeHeader); code != "" {
		a.t.Fatalf("%s: %s: %s", op, code, m.Data)
	}
	a.compare(op+".request", []byte(body))
	a.compare(op+".reply", m.Data)
	return m.Data
}

// refused does an operation that must fail with a code and compares the body.
func (a *api) refused(name, op, body string, code control.Code) {
	a.t.Helper()
	m := a.do(op, body)
	if got := m.Header.Get(micro.ErrorCodeHeader); got != string(code) || m.Header.Get(micro.ErrorHeader) == "" {
		a.t.Errorf("%s: code %q, message %q, want code %s", op, got, m.Header.Get(micro.ErrorHeader), code)
	}
	a.compare(name, m.Data)
}

func (a *api) compare(name string, raw []byte) {
	a.t.Helper()
	text := strings.NewReplacer(a.names...).Replace(string(raw))
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		a.t.Fatalf("%s: %v in %s", name, err, raw)
	}
	golden.Compare(a.t, exampleDir+name+".json", append(bytes.TrimSpace(b.Bytes()), '\n'))
}

// exampleFarm is a cluster of one node.
func exampleFarm() farm {
	return farm{"pb-1": {Node: "pb-1", State: "ready", UptimeS: 93_600, Capacity: 2000, Slot: 1, Partitions: 256,
		Broker: &control.BrokerView{Brokers: 1, Of: 1, Leads: []string{"EVENTS", "KV_calls", "KV_cluster", "KV_endpoints", "KV_stats", "RECORDS"}, Behind: []string{}},
		Roles:  []string{"edge", "actor", "media", "control", "broker"}, Version: "0.1.0",
		Since: exampleTime.Add(-26 * time.Hour), Calls: 42}}
}

// exampleCall is a live call.
func exampleCall() control.CallView {
	return control.CallView{
		ID: 0x9a51c06f3be2d704, Tenant: "acme", Endpoint: endpoint.SlugAddress(exampleSlug).Key(), Agent: exampleAgent,
		Worker: "bot-2", Node: "pb-1", State: string(call.StateEstablished),
		From: call.Party{URI: "sip:+15551230100@carrier.example.net", User: "+15551230100", Host: "carrier.example.net", Display: "Alice"},
		To: call.Party{URI: "sip:" + endpoint.Slug(exampleSlug).String() + "@sip.example.com",
			User: endpoint.Slug(exampleSlug).String(), Host: "sip.example.com"},
		Source: "203.0.113.7:5060", Codec: "PCMU", CallID: "3848276298220188511@carrier.example.net", Since: exampleTime.Add(-42 * time.Second), Answered: exampleTime.Add(-41 * time.Second),
		Direction: "inbound",
		Quality:   call.Quality{PacketsReceived: 2050, PacketsSent: 2048, PacketsLost: 2, LossPercent: 0.1, JitterMs: 1.4, RTTMs: 23},
	}
}

// TestExamplesOfTheControlAPI writes and checks the examples that
// docs/control-api.md shows: one request and reply of every operation.
func TestExamplesOfTheControlAPI(t *testing.T) {
	live := exampleCall()
	a := newAPI(t, map[call.ID]control.CallView{live.ID: live})

	a.show("account.get", `{}`)
	a.show("account.update", `{"patch":{"refusal":"explicit","limits":{"max_concurrent_calls":200,"cps":20}}}`)

	a.show("agent.create", `{"id":"`+exampleAgent+`","spec":{"name":"Night bot","webrtc":{"connector":"http",`+
		`"url":"https://bot.example.com/offer","auth_type":"bearer","auth_secret":"hush-hush"}}}`)
	a.show("agent.get", `{"id":"`+exampleAgent+`"}`)
	a.show("agent.list", `{"limit":50}`)
	a.show("agent.workers", `{"id":"`+exampleAgent+`"}`)
	a.show("agent.update", `{"id":"`+exampleAgent+`","patch":{"join_timeout_ms":8000,"webrtc":{"codecs":["opus","PCMU"]}}}`)

	var made control.EndpointView
	create := `{"slug_prefix":"night","agent_id":"` + exampleAgent + `","spec":{"name":"Night desk",` +
		`"ip":{"mode":"list","entries":[{"raw":"203.0.113.0/28","name":"carrier"}]},"max_concurrent_calls":3}}`
	m := a.do("endpoint.create", create)
	if err := json.Unmarshal(m.Data, &made); err != nil || made.Slug == "" {
		t.Fatalf("create: %v: %s", err, m.Data)
	}
	a.hide(made.ID, exampleEndpoint)
	a.hide(string(made.Key), string(endpoint.SlugAddress(exampleSlug).Key()))
	a.hide(made.Slug, exampleSlug)
	a.asked["endpoint.create"] = true
	a.compare("endpoint.create.request", []byte(create))
	a.compare("endpoint.create.reply", m.Data)
	id := `{"id":"` + made.ID + `"}`
	a.show("endpoint.get", id)
	a.show("endpoint.list", `{"limit":50}`)
	a.show("endpoint.update", `{"id":"`+made.ID+`","revision":3,"patch":{"is_active":false,"max_concurrent_calls":null}}`)

	a.refused("error.conflict", "endpoint.update", `{"id":"`+made.ID+`","revision":3,"patch":{"name":"Day desk"}}`, control.CodeConflict)
	a.refused("error.invalid", "endpoint.create", `{"spec":{"name":"","ip":{"mode":"list","entries":[{"raw":"10.0.0.0/33"}]}}}`, control.CodeInvalid)
	a.refused("error.unknown-field", "endpoint.create", `{"spec":{"max_calls":3}}`, control.CodeInvalid)
	a.refused("error.not-served", "webhook.create", `{"spec":{"url":"https://hooks.example.com/calls","kind":"signalwire","events":["call.ended"]}}`, control.CodeInvalid)

	a.outgoing()
	a.show("endpoint.delete", id)
	a.show("agent.delete", `{"id":"`+exampleAgent+`"}`)
	a.refused("error.not-found", "endpoint.get", id, control.CodeNotFound)

	a.show("call.list", `{}`)
	a.show("call.get", `{"id":"`+live.ID.String()+`"}`)
	a.show("call.find", `{"query":"+15551230100"}`)
	a.show("call.hangup-all", `{"node":"pb-1","dry_run":true}`)
	a.show("call.transfer", `{"id":"`+live.ID.String()+`","to":"sip:sales@pbx.example.com","mode":"auto","ring_timeout_ms":30000,"headers":[{"name":"X-Ticket","value":"4711"}]}`)
	a.refused("error.transfer", "call.transfer", `{"id":"`+live.ID.String()+`","to":"+15551230199"}`, control.CodeConflict)
	a.show("call.hangup", `{"id":"`+live.ID.String()+`"}`)
	a.tenancy()
	a.operator()
	a.show("record.list", `{"since":"2026-11-21T00:00:00Z","limit":50}`)
	a.show("record.get", `{"id":"`+live.ID.String()+`"}`)
	a.routing()
	a.webhooks()
	a.kept()
	a.rate()
	a.everyOperation()
}

// everyOperation asks the service what it serves: each must have an example.
func (a *api) everyOperation() {
	a.t.Helper()
	m, err := a.nc.Request("$SRV.INFO.patchbay-control", nil, 30*time.Second)
	if err != nil {
		a.t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(m.Data, &info); err != nil {
		a.t.Fatal(err)
	}
	if len(info.Endpoints) < 10 {
		a.t.Errorf("the service names %d operations", len(info.Endpoints))
	}
	for _, e := range info.Endpoints {
		if op := strings.TrimPrefix(e.Subject, "pb.v1.ctl.*."); !a.asked[op] {
			a.t.Errorf("%s has no example in docs/control-api.md", op)
		}
	}
}

// doorbell stands for the media node of calls that wait.
type doorbell struct {
	waiting []control.WaitingCall
	err     error
}

func (d doorbell) Waiting(context.Context, string, string) ([]control.WaitingCall, error) {
	return d.waiting, d.err
}

func (d doorbell) Answer(context.Context, call.ID, string, string) (string, error) {
	return "v=0\r\n", d.err
}

// ask sends one request to a gateway before d.
func ask(t *testing.T, d doorbell, method, path, kind string) *http.Response {
	t.Helper()
	mux := http.NewServeMux()
	g := &control.Gateway{DialIn: d, Agent: agentFor, Log: slog.New(slog.DiscardHandler), Verify: func(_ context.Context, key string) (control.Credential, error) {
		if key != "pbk_key" {
			return control.Credential{}, &control.Error{Code: control.CodeDenied, Message: "the key is not valid"}
		}
		return control.Credential{Tenant: "acme", Scopes: []string{"agents:answer"}}, nil
	}}
	g.Routes(mux.Handle)
	r := httptest.NewRequest(method, path, strings.NewReader("v=0\r\n"))
	r.Header.Set("Authorization", "Bearer pbk_key")
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t *testing.T, resp *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExamplesOfDialIn checks the bodies of the HTTP routes that
// docs/control-api.md shows.
func TestExamplesOfDialIn(t *testing.T) {
	a := &api{t: t}
	live := exampleCall()
	waits := doorbell{waiting: []control.WaitingCall{{CallID: live.ID, Token: "q3Vt0m5b8Qk2Jr7yZx1Nf4Wc6Ls9Hd0PgTaEuRiYoKw", From: live.From, To: live.To, Since: live.Since}}}
	resp := ask(t, waits, "GET", "/v1/agents/"+exampleAgent+"/waiting?wait=20s", "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("waiting: %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	a.compare("http.waiting", bodyOf(t, resp))

	resp = ask(t, doorbell{}, "POST", "/v1/calls/"+live.ID.String()+"/webrtc", "application/sdp")
	if resp.StatusCode != 201 || resp.Header.Get("Content-Type") != "application/sdp" || resp.Header.Get("Location") != "/v1/calls/"+live.ID.String()+"/webrtc" {
		t.Errorf("offer: %s, %v", resp.Status, resp.Header)
	}
	resp = ask(t, doorbell{}, "POST", "/v1/calls/"+live.ID.String()+"/webrtc", "application/json")
	if resp.StatusCode != 400 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("offer as JSON: %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	a.compare("http.problem", bodyOf(t, resp))
}

// TestCodesHaveTheirHTTPStatus writes and checks the table of codes that
// docs/control-api.md is compared with.
func TestCodesHaveTheirHTTPStatus(t *testing.T) {
	type line struct {
		Code control.Code `json:"code"`
		HTTP int          `json:"http"`
	}
	var table []line
	for _, code := range []control.Code{control.CodeInvalid, control.CodeNotFound, control.CodeConflict, control.CodeExists,
		control.CodeLimit, control.CodeRate, control.CodeBusy, control.CodeUnavailable, control.CodeDenied, control.CodeForbidden, control.CodeInternal} {
		resp := ask(t, doorbell{err: &control.Error{Code: code, Message: "as asked"}}, "GET", "/v1/agents/a/waiting", "")
		var told struct{ Code control.Code }
		if err := json.Unmarshal(bodyOf(t, resp), &told); err != nil || told.Code != code {
			t.Errorf("%s: body says %s, %v", code, told.Code, err)
		}
		table = append(table, line{code, resp.StatusCode})
	}
	if resp := ask(t, doorbell{err: errors.New("boom")}, "GET", "/v1/agents/a/waiting", ""); resp.StatusCode != 500 {
		t.Errorf("any other error: %s", resp.Status)
	}
	if !slices.Contains(table, line{control.CodeBusy, 503}) {
		t.Errorf("busy is not 503: %v", table)
	}
	raw, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	(&api{t: t}).compare("codes", raw)
}
