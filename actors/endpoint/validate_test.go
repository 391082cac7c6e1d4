package endpoint_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

func validEndpoint(t testing.TB) endpoint.Endpoint {
	ep := openEndpoint()
	ep.ID, ep.Name = agentID, "Night desk"
	slug, err := endpoint.NewSlug("night-desk", [endpoint.SlugSecret]byte{})
	if err != nil {
		t.Fatal(err)
	}
	ep.Slug = slug
	return ep
}

func validAgent() endpoint.Agent {
	return endpoint.Agent{V: 1, ID: agentID, Tenant: "acme", Name: "Receptionist", IsActive: true,
		WebRTC: endpoint.AgentTransport{Connector: endpoint.ConnectHTTP, URL: "https://bot.example/offer?x=1"}}
}

// check compares the problems with what is wanted: "field code", in order.
func check(t *testing.T, name string, got []endpoint.Problem, want ...string) {
	t.Helper()
	var have []string
	for _, p := range got {
		have = append(have, p.Field+" "+p.Code)
		if p.Message == "" || strings.Contains(p.Message, "%!") {
			t.Errorf("%s: %s says %q", name, p.Field, p.Message)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("%s: got %q, want %q", name, have, want)
	}
}

func TestEndpointMistakesNameTheirField(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for want, change := range map[string]func(*endpoint.Endpoint){
		"v out_of_range":                    func(e *endpoint.Endpoint) { e.V = 2 },
		"id required":                       func(e *endpoint.Endpoint) { e.ID = "" },
		"id invalid":                        func(e *endpoint.Endpoint) { e.ID = strings.ToUpper(agentID) },
		"tenant required":                   func(e *endpoint.Endpoint) { e.Tenant = "" },
		"tenant invalid":                    func(e *endpoint.Endpoint) { e.Tenant = "acme.>" },
		"name required":                     func(e *endpoint.Endpoint) { e.Name = "" },
		"name too_long":                     func(e *endpoint.Endpoint) { e.Name = long },
		"name invalid":                      func(e *endpoint.Endpoint) { e.Name = "two\r\nlines" },
		"slug invalid":                      func(e *endpoint.Endpoint) { e.Slug = "night-desk" },
		"kind invalid":                      func(e *endpoint.Endpoint) { e.Kind = "trunk" },
		"auth.mode invalid":                 func(e *endpoint.Endpoint) { e.Auth.Mode = "basic" },
		"ip.mode required":                  func(e *endpoint.Endpoint) { e.IP.Mode = "" },
		"ip.mode invalid":                   func(e *endpoint.Endpoint) { e.IP.Mode = "some" },
		"ip.entries too_many":               func(e *endpoint.Endpoint) { e.IP.Entries = make([]endpoint.IPEntry, 257) },
		"ip.entries[0].raw invalid":         func(e *endpoint.Endpoint) { e.IP.Entries = []endpoint.IPEntry{{Raw: "carrier"}} },
		"ip.entries[0].raw too_long":        func(e *endpoint.Endpoint) { e.IP.Entries = []endpoint.IPEntry{{Raw: long}} },
		"ip.entries[0].prefix invalid":      func(e *endpoint.Endpoint) { e.IP.Entries = []endpoint.IPEntry{{Raw: "203.0.113.1"}} },
		"media.encryption invalid":          func(e *endpoint.Endpoint) { e.Media.Encryption = "zrtp" },
		"media.codecs too_many":             func(e *endpoint.Endpoint) { e.Media.Codecs = ptr(make([]string, 33)) },
		"media.codecs[0] required":          func(e *endpoint.Endpoint) { e.Media.Codecs = &[]string{""} },
		"media.ciphers[0] too_long":         func(e *endpoint.Endpoint) { e.Media.Ciphers = &[]string{long} },
		"origin invalid":                    func(e *endpoint.Endpoint) { e.Origin = "acme" },
		"numeric_id invalid":                func(e *endpoint.Endpoint) { e.NumericID = "7" },
		"handler.active invalid":            func(e *endpoint.Endpoint) { e.Handler.Active = "robot" },
		"handler.agent_id required":         func(e *endpoint.Endpoint) { e.Handler.AgentID = nil },
		"handler.agent_id invalid":          func(e *endpoint.Endpoint) { e.Handler.AgentID = ptr("receptionist") },
		"handler.ai_agent_id required":      func(e *endpoint.Endpoint) { e.Handler.Active = endpoint.HandlerAIAgent },
		"handler.request_url too_long":      func(e *endpoint.Endpoint) { e.Handler.RequestURL = &long },
		"max_concurrent_calls out_of_range": func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(0) },
		"max_calls_per_second out_of_range": func(e *endpoint.Endpoint) { e.MaxCallsPerSecond = ptr(-1) },
		"cap_policy invalid":                func(e *endpoint.Endpoint) { e.CapPolicy = "loose" },
		"early_media invalid":               func(e *endpoint.Endpoint) { e.EarlyMedia = "music" },
		"ringback_tone invalid":             func(e *endpoint.Endpoint) { e.RingbackTone = "fr" },
		"early_media_end invalid":           func(e *endpoint.Endpoint) { e.EarlyMediaEnd = "hangup" },
		"early_media_limit_ms out_of_range": func(e *endpoint.Endpoint) { e.EarlyMediaLimitMs = 120_001 },
		"register invalid":                  func(e *endpoint.Endpoint) { e.Register = &endpoint.OutRegistration{} },
		"compat invalid":                    func(e *endpoint.Endpoint) { e.Compat = map[string]json.RawMessage{"x": json.RawMessage("{")} },
		"compat too_long": func(e *endpoint.Endpoint) {
			e.Compat = map[string]json.RawMessage{"x": json.RawMessage(`"` + strings.Repeat("x", 40000) + `"`)}
		},
	} {
		ep := validEndpoint(t)
		change(&ep)
		check(t, want, ep.Validate(), want)
	}
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	check(t, "the zero endpoint", (&endpoint.Endpoint{}).Validate(),
		"v out_of_range", "id required", "tenant required", "name required", "kind invalid", "ip.mode required")
	check(t, "the zero agent", (&endpoint.Agent{}).Validate(),
		"v out_of_range", "id required", "tenant required", "name required", "webrtc.connector required")
}

func TestValidObjectsHaveNoProblems(t *testing.T) {
	t.Parallel()
	ep := validEndpoint(t)
	check(t, "an endpoint", ep.Validate())
	ep.IP = listOf(t, "203.0.113.0/24", "2001:db8::1")
	ep.Handler = endpoint.Handler{Active: "relay_topic", RelayTopic: ptr("office"), ScriptURL: ptr("https://x.example")}
	ep.MaxConcurrentCalls, ep.CapPolicy = ptr(1), endpoint.CapStrict
	check(t, "an endpoint whose handler is only stored", ep.Validate())
	agent := validAgent()
	check(t, "an http agent", agent.Validate())
	agent.WebRTC = endpoint.AgentTransport{Connector: endpoint.ConnectNATS, Codecs: []string{"PCMU", "opus"}, OnClose: "hold"}
	check(t, "a nats agent", agent.Validate())
}

func TestAgentMistakesNameTheirField(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*endpoint.Agent){
		"webrtc.connector invalid":       func(a *endpoint.Agent) { a.WebRTC = endpoint.AgentTransport{Connector: "livekit"} },
		"webrtc.url required":            func(a *endpoint.Agent) { a.WebRTC.URL = "" },
		"webrtc.url too_long":            func(a *endpoint.Agent) { a.WebRTC.URL += strings.Repeat("x", 3000) },
		"webrtc.dialect invalid":         func(a *endpoint.Agent) { a.WebRTC.Dialect = "smoke" },
		"webrtc.auth_type invalid":       func(a *endpoint.Agent) { a.WebRTC.AuthType = "basic" },
		"webrtc.auth_secret invalid":     func(a *endpoint.Agent) { a.WebRTC.AuthType = "bearer" },
		"webrtc.headers too_many":        func(a *endpoint.Agent) { a.WebRTC.Headers = many(33) },
		"webrtc.headers invalid":         func(a *endpoint.Agent) { a.WebRTC.Headers = map[string]string{"Host": "x"} },
		"webrtc.headers.X-A invalid":     func(a *endpoint.Agent) { a.WebRTC.Headers = map[string]string{"X-A": "a\r\nHost: b"} },
		"webrtc.codecs[0] invalid":       func(a *endpoint.Agent) { a.WebRTC.Codecs = []string{"G729"} },
		"webrtc.codecs[1] duplicate":     func(a *endpoint.Agent) { a.WebRTC.Codecs = []string{"PCMU", "PCMU"} },
		"webrtc.codecs too_many":         func(a *endpoint.Agent) { a.WebRTC.Codecs = make([]string, 9) },
		"webrtc.call_tools invalid":      func(a *endpoint.Agent) { a.WebRTC.CallTools = true },
		"webrtc.timeout_ms out_of_range": func(a *endpoint.Agent) { a.WebRTC.TimeoutMs = 99 },
		"webrtc.attempts out_of_range":   func(a *endpoint.Agent) { a.WebRTC.Attempts = 6 },
		"webrtc.session invalid":         func(a *endpoint.Agent) { a.WebRTC.Session = json.RawMessage("{") },
		"webrtc.data_channel invalid":    func(a *endpoint.Agent) { a.WebRTC.DataChannel = "maybe" },
		"webrtc.on_close invalid":        func(a *endpoint.Agent) { a.WebRTC.OnClose = "sing" },
		"failover too_many":              func(a *endpoint.Agent) { a.Failover = make([]string, 6) },
		"failover[0] invalid":            func(a *endpoint.Agent) { a.Failover = []string{"desk"} },
		"failover[0] duplicate":          func(a *endpoint.Agent) { a.Failover = []string{a.ID} },
		"max_duration_ms out_of_range":   func(a *endpoint.Agent) { a.MaxDurationMs = 5 },
		"join_timeout_ms out_of_range":   func(a *endpoint.Agent) { a.JoinTimeoutMs = -1 },
		"context_schema invalid":         func(a *endpoint.Agent) { a.ContextSchema = json.RawMessage("nope") },
		"webhook_events required":        func(a *endpoint.Agent) { a.WebhookURL = ptr("https://x.example") },
		"webhook_url required":           func(a *endpoint.Agent) { a.WebhookEvents = []string{"call.ended"} },
		"webhook_url invalid":            func(a *endpoint.Agent) { a.WebhookURL, a.WebhookEvents = ptr("ftp://x.example"), []string{"*"} },
		"webhook_kind invalid":           func(a *endpoint.Agent) { a.WebhookKind = endpoint.WebhookYappr },
		"metadata too_many":              func(a *endpoint.Agent) { a.Metadata = many(65) },
		"webrtc.url invalid": func(a *endpoint.Agent) {
			a.WebRTC = endpoint.AgentTransport{Connector: endpoint.ConnectDialIn, URL: "https://bot.example"}
		},
	} {
		a := validAgent()
		change(&a)
		check(t, want, a.Validate(), want)
	}
}

func TestAgentURLsAreHTTPWithAHostAndWithoutCredentials(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"http://127.0.0.1:8000/offer": true,
		"https://[2001:db8::1]/offer": true,
		"https://bot.example":         true,
		"https://bot.example/a@b":     true,
		"ftp://bot.example":           false,
		"//bot.example":               false,
		"https:///offer":              false,
		"https://:443/offer":          false,
		"https://user:pw@bot.example": false,
		"https://bot.example/a b":     false,
		"https://bot.example/\n":      false,
	} {
		a := validAgent()
		a.WebRTC.URL = url
		if got := len(a.Validate()) == 0; got != ok {
			t.Errorf("%q: valid is %v, want %v", url, got, ok)
		}
	}
}

func many(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("X-%02d", i)] = "v"
	}
	return maps.Clone(m)
}
