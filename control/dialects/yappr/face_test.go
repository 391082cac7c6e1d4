package yappr_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/dialects/yappr"
	"patchbay/internal/testkit/desk"
)

// refusing is a face whose operations all end with err.
func refusing(err error) desk.Client {
	kit := control.Kit{
		Do: func(context.Context, control.Credential, control.Request) (any, error) { return nil, err },
		Count: func(context.Context, control.Credential) (control.Rate, error) {
			return control.Rate{Limit: 60, Remaining: 7, Reset: time.Second}, nil
		},
		Verify: func(context.Context, string) (control.Credential, error) {
			return control.Credential{Tenant: "acme", KeyID: "k", Scopes: []string{endpoint.ScopeAll}}, nil
		},
		Told: func(_ context.Context, err error) *control.Error {
			var told *control.Error
			if errors.As(err, &told) {
				return told
			}
			return &control.Error{Code: control.CodeInternal, Message: err.Error()}
		},
		Domain: "sip.example.com", Now: func() time.Time { return desk.Noon }, Log: slog.New(slog.DiscardHandler),
	}
	return desk.Client{Face: yappr.New(kit, yappr.Settings{}), Headers: http.Header{"Authorization": {"Bearer x"}}}
}

func TestEveryRefusalOfAnOperationHasItsStatusAndCode(t *testing.T) {
	t.Parallel()
	told := func(code control.Code, problems ...endpoint.Problem) error {
		return &control.Error{Code: code, Message: "why", Problems: problems, RetryAfterMs: map[bool]int64{true: 1200}[code == control.CodeRate]}
	}
	for _, c := range []struct {
		err    error
		status int
		body   string
		after  string
	}{
		{told(control.CodeInvalid), 400, `{"error":"why","code":"SIP_ENDPOINT_REQUEST_INVALID"}`, ""},
		{told(control.CodeInvalid, endpoint.Problem{Field: "ip.entries[3].raw", Code: "invalid", Message: "m"}), 400, `{"error":"allowed_source_ips[3]: m","code":"SIP_ENDPOINT_REQUEST_INVALID"}`, ""},
		{told(control.CodeInvalid, endpoint.Problem{Field: "handler.agent_id", Code: "unknown", Message: "m"}), 422, `{"error":"inbound_agent_id: there is no such agent in this workspace","code":"INVALID_AGENT"}`, ""},
		{told(control.CodeInvalid, endpoint.Problem{Field: "slug_prefix", Code: "invalid", Message: "m"}, endpoint.Problem{Field: "name", Code: "invalid", Message: "n"}), 400, `{"error":"slug: m; name: n","code":"SIP_ENDPOINT_REQUEST_INVALID"}`, ""},
		{told(control.CodeInvalid, endpoint.Problem{Field: "domain", Code: "required", Message: "m"}), 403, `{"error":"the account has no SIP domain yet: set sip.domain_label first","code":"SIP_TRUNKS_NOT_ENABLED"}`, ""},
		{told(control.CodeNotFound), 404, `{"error":"SIP endpoint not found"}`, ""},
		{told(control.CodeConflict), 409, `{"error":"why","code":"CONFLICT"}`, ""},
		{told(control.CodeExists), 409, `{"error":"why","code":"CONFLICT"}`, ""},
		{told(control.CodeLimit), 429, `{"error":"why","code":"RATE_LIMIT"}`, ""},
		{told(control.CodeRate), 429, `{"error":"why","code":"RATE_LIMIT"}`, "2"},
		{told(control.CodeDenied), 401, `{"error":"why","code":"INVALID_KEY"}`, ""},
		{told(control.CodeForbidden), 403, `{"error":"why","code":"FORBIDDEN"}`, ""},
		{told(control.CodeBusy), 503, `{"error":"why","code":"SERVICE_UNAVAILABLE"}`, "1"},
		{told(control.CodeUnavailable), 503, `{"error":"why","code":"SERVICE_UNAVAILABLE"}`, "1"},
		{errors.New("a secret detail"), 500, `{"error":"internal error","code":"INTERNAL_ERROR"}`, ""},
	} {
		w := refusing(c.err).Ask(t, "POST", "/sip-endpoints", `{"name":"x","inbound_agent_id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"}`)
		if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Retry-After") != c.after || w.Header().Get("X-RateLimit-Remaining") != "7" {
			t.Errorf("%v\n got  %d %s, %v\n want %d %s, Retry-After %q", c.err, w.Code, w.Body, w.Header(), c.status, c.body, c.after)
		}
	}
}

func TestWhatTheGatewayRefusesIsSaidInYapprsWords(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	yappr.Refuse(func() time.Time { return desk.Noon })(w, nil, &control.Error{Code: control.CodeUnavailable, Message: "the node ends"})
	if w.Code != 503 || w.Body.String() != `{"error":"the node ends","code":"SERVICE_UNAVAILABLE"}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	h := w.Header() // every answer carries all three
	if h.Get("X-RateLimit-Limit") != "60" || h.Get("X-RateLimit-Remaining") != "60" || h.Get("X-RateLimit-Reset") != fmt.Sprint(desk.Noon.Unix()+60) {
		t.Errorf("rates: %v", h)
	}
}

func TestABodyThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	face := refusing(errors.New("asked"))
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/sip-endpoints", strings.NewReader(`{"name":"`+strings.Repeat("x", 200)+`"}`))
	r.Header = face.Headers
	w := httptest.NewRecorder()
	r.Body = http.MaxBytesReader(w, r.Body, 100)
	face.Face.ServeHTTP(w, r)
	if w.Code != 413 || !strings.Contains(w.Body.String(), "PAYLOAD_TOO_LARGE") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// FuzzBodies gives the face whatever a client may send: it answers, and with
// 500 only where the operation failed.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{`{}`, `{"name":"x"}`, `{"name":"x","inbound_agent_id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001","slug":null,"allowed_source_ips":[null]}`,
		`{"auth_mode":"credentials","max_concurrent_calls":1e400}`, `{"a":1}{`, `null`, "\xff", `{"name":"\ud800"}`} {
		f.Add(body)
	}
	face := refusing(&control.Error{Code: control.CodeInvalid, Message: "m"})
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"POST /sip-endpoints", "PATCH /sip-endpoints/6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"} {
			method, path, _ := strings.Cut(path, " ")
			if w := face.Ask(t, method, path, body); w.Code < 400 || w.Code >= 500 {
				t.Errorf("%s %q: %d %s", method, body, w.Code, w.Body)
			}
		}
	})
}
