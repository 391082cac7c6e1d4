package ultravox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/dialects/ultravox"
	"patchbay/internal/testkit/desk"
)

// repeated is a JSON list of n times the same.
func repeated(item string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

// placeholders is the example request of the vendor's page, raw.
const placeholders = `{"allowedCidrRanges":["<string>"],"allowAllAgents":false,
 "allowedAgents":[{"agentId":"3c90c3cc-0d44-4b50-8888-8dd25736052a","toUserPattern":"<string>"}]}`

func TestTheSIPConfigurationIsReadAndWrittenAsDocumented(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.ask(row{"UV-1", "sip-get-new", "GET", "/api/sip", ""}, 200)
	s.ask(row{"UV-3", "sip-patch-placeholders", "PATCH", "/api/sip", placeholders}, 400)
	filled := strings.NewReplacer("3c90c3cc-0d44-4b50-8888-8dd25736052a", sales, `["<string>"]`, `["198.51.100.0/24"]`, `"<string>"`, `"^sales$"`).Replace(placeholders)
	s.ask(row{"UV-1", "sip-patch-seed", "PATCH", "/api/sip", filled}, 200)
	made := s.ask(row{"UV-1", "sip-patch", "PATCH", "/api/sip", `{"allowedCidrRanges":["198.51.100.0/24"],"allowAllAgents":false,
 "allowedAgents":[{"agentId":"` + sales + `","toUserPattern":"^sales$"}],
 "fallbackHandler":{"url":"https://route.acme.example/sip"}}`}, 200)
	secret := field(t, made, "fallbackHandler", "secrets").([]any)[0].(string)
	if len(secret) < 40 || len(secret) > 120 {
		t.Errorf("the generated secret has %d characters", len(secret))
	}
	if got := s.ask(row{"UV-1", "sip-get", "GET", "/api/sip", ""}, 200); string(got) != string(made) {
		t.Errorf("reads back as %s, was %s", got, made)
	}
	s.ask(row{"UV-2", "sip-patch-default-pattern", "PATCH", "/api/sip", `{"allowedAgents":[{"agentId":"` + sales + `"},{"agentId":"` + strings.ToUpper(support) + `"}]}`}, 200)
	s.ask(row{"UV-1", "sip-patch-nobody", "PATCH", "/api/sip", `{"allowedCidrRanges":[],"allowAllAgents":true,"domain":"mine.example"}`}, 200)
	if ip := desk.Native[control.AccountView](t, s.Desk, "acme", "account", "get", control.AccountQuery{}).SIP.Ingress; ip.Mode != endpoint.IPList || len(ip.Entries) != 0 {
		t.Errorf("an empty list is stored as %+v", ip)
	}
	kept := s.ask(row{"UV-1", "sip-patch-keeps-secrets", "PATCH", "/api/sip", `{"fallbackHandler":{"url":"https://route.acme.example/v2"}}`}, 200)
	if got := field(t, kept, "fallbackHandler", "secrets").([]any); len(got) != 1 || got[0] != secret {
		t.Errorf("a new URL without secrets has %v", got)
	}
	s.ask(row{"UV-1", "sip-patch-rotates", "PATCH", "/api/sip", `{"fallbackHandler":{"url":"https://route.acme.example/v2","secrets":["one","two"]}}`}, 200)
	s.ask(row{"UV-1", "sip-patch-nothing", "PATCH", "/api/sip", `{}`}, 200)
	s.ask(row{"UV-1", "sip-patch-clears", "PATCH", "/api/sip", `{"fallbackHandler":null,"allowedAgents":[]}`}, 200)
}

// TestMistakesInTheSIPConfigurationAreNamed is UV-3, and what a form can be
// wrong in beside it.
func TestMistakesInTheSIPConfigurationAreNamed(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	before := s.Ask(t, "GET", "/api/sip", "").Body.String()
	agent := `{"agentId":"` + sales + `"}`
	handler := func(fields string) string {
		return `{"fallbackHandler":{"url":"https://route.acme.example/sip"` + fields + `}}`
	}
	for name, body := range map[string]string{
		"agents-21":          `{"allowedAgents":` + repeated(agent, 21) + `}`,
		"pattern-201":        `{"allowedAgents":[{"agentId":"` + sales + `","toUserPattern":"` + strings.Repeat("x", 201) + `"}]}`,
		"pattern-look-ahead": `{"allowedAgents":[` + agent + `,{"agentId":"` + sales + `","toUserPattern":"(?!x)"}]}`,
		"cidr-ipv6":          `{"allowedCidrRanges":["10.0.0.0/8","2001:db8::/32"]}`,
		"cidr-without-mask":  `{"allowedCidrRanges":["10.0.0.0"]}`,
		"cidr-no-text":       `{"allowedCidrRanges":[7,null,""]}`,
		"cidr-no-list":       `{"allowedCidrRanges":"10.0.0.0/8"}`,
		"cidr-null":          `{"allowedCidrRanges":null}`,
		"secrets-0":          handler(`,"secrets":[]`),
		"secrets-11":         handler(`,"secrets":` + repeated(`"x"`, 11)),
		"secret-121":         handler(`,"secrets":["ok","` + strings.Repeat("x", 121) + `"]`),
		"url-no-uri":         `{"fallbackHandler":{"url":"route.acme.example"}}`,
		"url-missing":        `{"fallbackHandler":{"secrets":["x"]}}`,
		"handler-no-object":  `{"fallbackHandler":"https://route.acme.example/sip"}`,
		"agent-foreign":      `{"allowedAgents":[` + agent + `,{"agentId":"` + foreign + `"}]}`,
		"agent-no-uuid":      `{"allowedAgents":[{"agentId":"sales"}]}`,
		"agent-missing":      `{"allowedAgents":[{"toUserPattern":"^x$"},7]}`,
		"all-agents-no-bool": `{"allowAllAgents":"yes"}`,
		"unknown-field":      `{"allowAll":true,"fallbackHandler":{"url":"https://x.example","timeout":5}}`,
		"several":            `{"allowedCidrRanges":["x"],"allowAllAgents":1,"allowedAgents":[{}]}`,
		"no-object":          `[]`,
		"no-json":            `{"allowAllAgents":`,
	} {
		s.ask(row{"UV-3", "sip-wrong-" + name, "PATCH", "/api/sip", body}, 400)
	}
	if after := s.Ask(t, "GET", "/api/sip", "").Body.String(); after != before {
		t.Errorf("a refused change changed something: %s, was %s", after, before)
	}
}

// TestWhatThisAPICannotSayIsKept writes natively, and back through this face.
func TestWhatThisAPICannotSayIsKept(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	native := func(sip string) control.SIPSpec {
		return desk.Native[control.AccountView](t, s.Desk, "acme", "account", "update", control.AccountChange{Patch: json.RawMessage(`{"sip":` + sip + `}`)}).SIP
	}
	native(`{"rules":[{"agent_id":"` + sales + `"}],"fallback":{"url":"https://x.example","timeout_ms":900},"start_call_agent":"` + sales + `","ingress":{"mode":"list","entries":[
{"raw":"203.0.113.7","name":"desk"},{"raw":"2001:db8::/32"},{"raw":"198.51.100.0/24","disabled":true},{"raw":"10.1.2.3/8"}]}}`)
	before := desk.Native[control.AccountView](t, s.Desk, "acme", "account", "get", control.AccountQuery{Secrets: true})
	shown := s.ask(row{"UV-1", "sip-native-shown", "GET", "/api/sip", ""}, 200)
	s.ask(row{"UV-1", "sip-native-back", "PATCH", "/api/sip", string(shown)}, 200)
	after := desk.Native[control.AccountView](t, s.Desk, "acme", "account", "get", control.AccountQuery{Secrets: true})
	if a, b := asJSON(before), asJSON(after); a != b {
		t.Errorf("written back unchanged, it is %s, was %s", b, a)
	}
	s.ask(row{"UV-1", "sip-native-added", "PATCH", "/api/sip", `{"allowedCidrRanges":["10.1.2.3/8","203.0.113.7/32","192.0.2.0/24"]}`}, 200)
	got := asJSON(desk.Native[control.AccountView](t, s.Desk, "acme", "account", "get", control.AccountQuery{}).SIP.Ingress)
	want := `{"mode":"list","entries":[{"raw":"10.1.2.3/8"},{"raw":"203.0.113.7","name":"desk"},{"raw":"192.0.2.0/24"},{"raw":"2001:db8::/32"},{"raw":"198.51.100.0/24","disabled":true}]}`
	if got != want {
		t.Errorf("the allowlist is %s, want %s", got, want)
	}
	native(`{"ingress":{"mode":"any"}}`)
	s.ask(row{"UV-1", "sip-native-any", "PATCH", "/api/sip", `{"allowedCidrRanges":["0.0.0.0/0"]}`}, 200)
	if mode := native(`{}`).Ingress.Mode; mode != endpoint.IPAny {
		t.Errorf("any source, written back, is %s", mode)
	}
}

func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestAnAccountWithoutADomainGetsOneWithItsFirstChange(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for _, tenant := range []string{"fresh", "taken"} {
		desk.Native[control.AccountView](t, s.Desk, endpoint.OperatorTenant, "account", "create", control.NewAccount{Tenant: tenant})
	}
	desk.Native[control.AccountView](t, s.Desk, endpoint.OperatorTenant, "account", "create", control.NewAccount{Tenant: "holder", Spec: json.RawMessage(`{"sip":{"domain_label":"taken"}}`)})
	s.as(t, "fresh", endpoint.ScopeAll)
	if got := field(t, s.Ask(t, "GET", "/api/sip", "").Body.Bytes(), "domain"); got != "" {
		t.Errorf("before any change the domain is %v", got)
	}
	if got := field(t, s.Ask(t, "PATCH", "/api/sip", `{"allowAllAgents":true}`).Body.Bytes(), "domain"); got != "fresh.sip.example.com" {
		t.Errorf("the domain is %v", got)
	}
	s.as(t, "taken", endpoint.ScopeAll)
	domain, _ := field(t, s.Ask(t, "PATCH", "/api/sip", `{"allowAllAgents":true}`).Body.Bytes(), "domain").(string)
	if !strings.HasPrefix(domain, "taken-") || !strings.HasSuffix(domain, ".sip.example.com") {
		t.Errorf("an account whose name is another's label has %q", domain)
	}
	if got := field(t, s.Ask(t, "GET", "/api/sip", "").Body.Bytes(), "domain"); got != domain {
		t.Errorf("and then %v", got)
	}
}

// TestWhoMayNotIsToldSoInTheVendorsWords is UV-4.
func TestWhoMayNotIsToldSoInTheVendorsWords(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	good := s.Headers
	s.Headers = http.Header{}
	s.ask(row{"UV-4", "error-no-key", "GET", "/api/sip", ""}, 401)
	s.Headers = http.Header{"Authorization": {"Bearer " + good.Get("X-API-Key")}}
	s.ask(row{"UV-4", "error-anothers-header", "GET", "/api/sip", ""}, 401)
	s.Headers = http.Header{"X-Api-Key": {"uvx_wrong"}}
	s.ask(row{"UV-4", "error-bad-key", "GET", "/api/sip", ""}, 401)
	s.as(t, "acme", endpoint.ScopeAccountRead)
	s.ask(row{"UV-4", "error-scope", "PATCH", "/api/sip", `{"allowAllAgents":true}`}, 403)
	desk.Native[control.AccountView](t, s.Desk, "acme", "account", "update", control.AccountChange{Patch: json.RawMessage(`{"sip":{"fallback":{"url":"https://x.example"}}}`)})
	s.ask(row{"UV-4", "sip-get-reader", "GET", "/api/sip", ""}, 200) // without secrets
	s.Headers = good
	s.ask(row{"UV-4", "error-method", "DELETE", "/api/sip", ""}, 405)
	for name, path := range map[string]string{"path": "/api/sip/nothing", "agents": "/api/agents", "agent": "/api/agents/" + sales, "stages": "/api/calls/" + sales + "/stages"} {
		s.ask(row{"UV-4", "error-no-" + name, "GET", path, ""}, 404)
	}
	s.Headers = http.Header{"X-Api-Key": good["X-Api-Key"], "Content-Type": {"application/x-www-form-urlencoded"}}
	s.ask(row{"UV-4", "error-media-type", "PATCH", "/api/sip", `allowAllAgents=true`}, 415)
	s.Headers = good
	desk.Native[control.AccountView](t, s.Desk, "acme", "account", "update", control.AccountChange{Patch: json.RawMessage(`{"limits":{"api_per_minute":2}}`)})
	for _, body := range []string{`{"allowAllAgents":true}`, `{"fallbackHandler":null}`} { // each takes several operations, and counts once
		if w := s.Ask(t, "PATCH", "/api/sip", body); w.Code != 200 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	s.ask(row{"UV-4", "error-throttled", "GET", "/api/sip", ""}, 429)
}

func TestWhatTheGatewayRefusesIsSaidInTheVendorsWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		told *control.Error
		want string
	}{
		{&control.Error{Code: control.CodeForbidden, Message: "keys come over TLS only"}, `403  {"detail":"Keys come over TLS only."}`},
		{&control.Error{Code: control.CodeUnavailable, Message: "the node ends"}, `503 2 {"detail":"The node ends."}`},
		{&control.Error{Code: control.CodeInternal, Message: "nobody's business"}, `500  {"detail":"A server error occurred."}`},
		{&control.Error{Code: "new", Message: "nobody's business"}, `500  {"detail":"A server error occurred."}`},
	} {
		w := httptest.NewRecorder()
		ultravox.Refuse(w, nil, c.told)
		if got := fmt.Sprintf("%d %s %s", w.Code, w.Header().Get("Retry-After"), strings.TrimSpace(w.Body.String())); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
