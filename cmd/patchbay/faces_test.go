package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// web sends a request to the bench's node, with the admin key.
func (b *bench) web(method, path, body string, head ...string) (*http.Response, []byte) {
	b.t.Helper()
	key, err := os.ReadFile(filepath.Join(b.cfg.Node.DataDir, "admin.key"))
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.cfg.HTTP.Listen+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("X-API-Key", strings.TrimSpace(string(key)))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, raw
}

// mistakes are requests that break a rule of the model, as NATS and as HTTP
// have them, with the fields that the answer must name.
var mistakes = []struct{ op, nats, route, body, want string }{
	{"agent.create", `{"spec":{"nmae":"x","webrtc":{"connector":"nats"}}}`, "POST /v1/agents", `{"nmae":"x","webrtc":{"connector":"nats"}}`, "nmae unknown"},
	{"agent.create", `{"id":"7","spec":{"webrtc":{"connector":"nats"}}}`, "POST /v1/agents", `{"id":"7","webrtc":{"connector":"nats"}}`, "id invalid"},
	{"agent.create", `{"spec":{"name":"","webrtc":{"connector":"pigeon"},"join_timeout_ms":-1}}`, "POST /v1/agents", `{"name":"","webrtc":{"connector":"pigeon"},"join_timeout_ms":-1}`, ""},
	{"agent.create", `{"spec":{"name":7,"is_active":"yes","webrtc":{"connector":"nats","codecs":"PCMU"}}}`, "POST /v1/agents", `{"name":7,"is_active":"yes","webrtc":{"connector":"nats","codecs":"PCMU"}}`,
		"is_active invalid, name invalid, webrtc.codecs invalid"},
	{"endpoint.create", `{"slug_prefix":"-x"}`, "POST /v1/endpoints", `{"slug_prefix":"-x"}`, ""},
	{"endpoint.create", `{"agent_id":"b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f22"}`, "POST /v1/endpoints", `{"agent_id":"b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f22"}`, "handler.agent_id unknown"},
	{"endpoint.create", `{"spec":{"ip":{"mode":"list","entries":[{"raw":"10.0.0.0/33"}]},"max_concurrent_calls":0}}`, "POST /v1/endpoints",
		`{"ip":{"mode":"list","entries":[{"raw":"10.0.0.0/33"}]},"max_concurrent_calls":0}`, ""},
	{"number.create", `{"number":"12","trunk":"nowhere","endpoint_id":"x"}`, "POST /v1/numbers", `{"number":"12","trunk":"nowhere","endpoint_id":"x"}`, "number invalid, trunk invalid"},
	{"key.create", `{"name":"k","scopes":["fly"],"kind":"bird"}`, "POST /v1/keys", `{"name":"k","scopes":["fly"],"kind":"bird"}`, ""},
	{"account.update", `{"patch":{"refusal":"rude","limits":{"cps":-1},"sip":{"rules":[{"to_user_pattern":"("}]}}}`, "PATCH /v1/account",
		`{"refusal":"rude","limits":{"cps":-1},"sip":{"rules":[{"to_user_pattern":"("}]}}`, ""},
	{"account.create", `{"tenant":"Not A Name"}`, "POST /v1/accounts", `{"tenant":"Not A Name"}`, ""},
	{"project.create", `{"spec":{"name":""}}`, "POST /v1/projects", `{"name":""}`, ""},
	{"block.create", `{"source":"0.0.0.0/0"}`, "POST /v1/blocks", `{"source":"0.0.0.0/0"}`, ""},
	{"throttle.create", `{"spec":{"name":"t","rules":[{"max_calls":0,"window_seconds":0}]}}`, "POST /v1/throttles", `{"name":"t","rules":[{"max_calls":0,"window_seconds":0}]}`, ""},
	{"call.explain", `{"uri":"tel:1","source":"here"}`, "POST /v1/calls/explain", `{"uri":"tel:1","source":"here"}`, ""},
	{"call.hangup-all", `{}`, "POST /v1/calls/hangup", `{}`, "endpoint_id required"},
	{"call.transfer", `{"id":"j98s0rprsbbg8","mode":"fast"}`, "POST /v1/calls/j98s0rprsbbg8/transfer", `{"mode":"fast"}`, "mode invalid, to required"},
	{"call.find", `{"query":"1"}`, "GET /v1/calls/find?query=1", "", "query required"},
	{"call.get", `{"id":"x"}`, "GET /v1/calls/x", "", "id invalid"},
	{"agent.list", `{"limit":201}`, "GET /v1/agents?limit=201", "", "limit out_of_range"},
	{"agent.list", `{"cursor":"nonsense!"}`, "GET /v1/agents?cursor=nonsense!", "", "cursor invalid"},
	{"record.list", `{"since":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}`, "GET /v1/records?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "", "until out_of_range"},
	{"record.list", `{"since":"yesterday"}`, "GET /v1/records?since=yesterday", "", "since invalid"},
	{"endpoint.get", `{"id":"b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f22"}`, "GET /v1/endpoints/b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f22", "", "not_found"},
	{"account.delete", `{"tenant":"default"}`, "DELETE /v1/accounts/default", "", "conflict"},
	{"account.create", `{"tenant":"default"}`, "POST /v1/accounts", `{"tenant":"default"}`, "exists"},
}

// TestEveryRuleIsTheSameOverHTTPAsOverNATS asks a node both ways.
func TestEveryRuleIsTheSameOverHTTPAsOverNATS(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, m := range mistakes {
		code, raw := b.ask(endpoint.OperatorTenant, m.op, m.nats)
		var overNATS, overHTTP control.Error
		if err := json.Unmarshal(raw, &overNATS); err != nil || code == "" {
			t.Errorf("%s %s is no mistake: %s, %v", m.op, m.nats, raw, err)
			continue
		}
		method, path, _ := strings.Cut(m.route, " ")
		resp, body := b.web(method, path, m.body)
		if err := json.Unmarshal(body, &overHTTP); err != nil || resp.StatusCode != control.HTTPStatus(overNATS.Code) {
			t.Errorf("%s: %s, %s; over NATS %s", m.route, resp.Status, body, raw)
			continue
		}
		if overHTTP.Code != overNATS.Code || !reflect.DeepEqual(overHTTP.Problems, overNATS.Problems) {
			t.Errorf("%s %s: %s %v\n over NATS %s %v", m.route, m.body, overHTTP.Code, overHTTP.Problems, overNATS.Code, overNATS.Problems)
		}
		if got := shortly(overHTTP); m.want != "" && got != m.want {
			t.Errorf("%s %s: %s, want %s", m.route, m.body, got, m.want)
		}
	}
}

// shortly is the code of an error, or its fields with theirs.
func shortly(e control.Error) string {
	if e.Code != control.CodeInvalid {
		return string(e.Code)
	}
	var all []string
	for _, p := range e.Problems {
		all = append(all, p.Field+" "+p.Code)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestKeysOverHTTPDoWhatTheirScopesSay(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	made := must[control.MadeKey](b, "default", "key.create", `{"name":"reader","scopes":["agents:read"]}`)
	for route, status := range map[string]int{"GET /v1/agents": 200, "GET /v1/endpoints": 403, "POST /v1/agents": 403, "GET /v1/nodes": 403, "GET /v1/account": 403} {
		method, path, _ := strings.Cut(route, " ")
		if resp, body := b.web(method, path, "{}", "X-API-Key", made.Secret); resp.StatusCode != status {
			t.Errorf("%s: %s, want %d: %s", route, resp.Status, status, body)
		}
	}
	must[control.AccountView](b, "default", "account.create", `{"tenant":"acme","spec":{"limits":{"api_per_minute":3}}}`)
	theirs := must[control.MadeKey](b, "acme", "key.create", `{"name":"all","scopes":["*"]}`)
	for i, want := range []string{"1", "0"} { // one was spent by making the key
		resp, body := b.web("GET", "/v1/agents", "", "X-API-Key", theirs.Secret)
		if resp.StatusCode != 200 || resp.Header.Get("X-RateLimit-Remaining") != want {
			t.Errorf("request %d: %s, %s left, want %s: %s", i, resp.Status, resp.Header.Get("X-RateLimit-Remaining"), want, body)
		}
	}
	resp, _ := b.web("GET", "/v1/agents", "", "X-API-Key", theirs.Secret)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	must[control.AccountView](b, "default", "account.create", `{"tenant":"globex"}`)
	all := must[control.MadeKey](b, "globex", "key.create", `{"name":"all","scopes":["*"]}`).Secret
	var before []byte
	for _, path := range []string{"/v1/nodes", "/v1/accounts", "/v1/accounts/acme", "/v1/accounts/nobody", "/v1/account?tenant=acme"} {
		resp, body := b.web("GET", path, "", "X-API-Key", all, "X-Request-Id", "same")
		if want := map[bool]int{false: 403, true: 400}[strings.Contains(path, "?")]; resp.StatusCode != want {
			t.Errorf("%s with a key of another account: %s %s", path, resp.Status, body)
		}
		if before != nil && !strings.Contains(path, "?") && !bytes.Equal(body, before) {
			t.Errorf("%s says more than the others: %s", path, body)
		}
		before = body
	}
}

func TestTheSameCreationOverHTTPHappensOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	ask := func(body string) (*http.Response, []byte) {
		return b.web("POST", "/v1/endpoints", body, "Idempotency-Key", "order-7")
	}
	first, made := ask(`{"name":"Desk","slug_prefix":"desk"}`)
	again, same := ask(`{"slug_prefix":"desk", "name":"Desk"}`)
	if first.StatusCode != 201 || again.StatusCode != 201 || !bytes.Equal(made, same) || first.Header.Get("Location") != again.Header.Get("Location") {
		t.Errorf("%s %s\n%s %s", first.Status, made, again.Status, same)
	}
	if other, body := ask(`{"name":"Another","slug_prefix":"desk"}`); other.StatusCode != 409 {
		t.Errorf("another body: %s %s", other.Status, body)
	}
	resp, body := b.web("GET", "/v1/endpoints?limit=1", "")
	var page control.Page[control.EndpointView]
	if err := json.Unmarshal(body, &page); err != nil || len(page.Items) != 1 || resp.Header.Get("Link") != "" {
		t.Errorf("%d endpoints, %v, Link %q", len(page.Items), err, resp.Header.Get("Link"))
	}
}
