package ultravox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/dialects/ultravox"
	"patchbay/internal/testkit/desk"
)

// TestChangesOfTheSameMomentAllStand has several clients change one thing each,
// at once.
func TestChangesOfTheSameMomentAllStand(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	var all sync.WaitGroup
	for _, body := range []string{`{"allowAllAgents":true}`, `{"allowedCidrRanges":["10.0.0.0/8"]}`, `{"allowedAgents":[{"agentId":"` + sales + `"}]}`} {
		all.Go(func() {
			if w := s.Ask(t, "PATCH", "/api/sip", body); w.Code != 200 {
				t.Errorf("%s: %d %s", body, w.Code, w.Body)
			}
		})
	}
	all.Wait()
	sip := desk.Native[control.AccountView](t, s.Desk, "acme", "account", "get", control.AccountQuery{}).SIP
	if !sip.AllowAllAgents || len(sip.Ingress.Entries) != 1 || len(sip.Rules) != 1 {
		t.Errorf("one was lost: %+v", sip)
	}
}

// deaf is a kit whose operations find nothing and refuse whatever has a form.
func deaf() control.Kit {
	return control.Kit{
		Do: func(_ context.Context, _ control.Credential, r control.Request) (any, error) {
			if !json.Valid(r.Body) {
				panic(fmt.Sprintf("%s.%s is asked %q", r.Noun, r.Verb, r.Body))
			}
			switch r.Noun + "." + r.Verb {
			case "account.get":
				return control.AccountView{Tenant: "acme", SIP: control.SIPSpec{StartCallAgent: sales, DomainLabel: "acme"}}, nil
			case "agent.get":
				return control.AgentView{ID: sales}, nil
			}
			return nil, &control.Error{Code: control.CodeInvalid, Problems: []endpoint.Problem{{Field: "sip.rules[0].x", Message: "no"}, {Field: "sip.rules", Message: "no"}, {Field: "[", Message: ""}}}
		},
		Count: func(context.Context, control.Credential) (control.Rate, error) { return control.Rate{}, nil },
		Verify: func(context.Context, string) (control.Credential, error) {
			return control.Credential{Tenant: "acme", Scopes: []string{endpoint.ScopeAll}}, nil
		},
		Told:   func(_ context.Context, err error) *control.Error { return err.(*control.Error) },
		Domain: "sip.example.com", Host: "sip.example.com", Now: time.Now,
	}
}

// FuzzARequestIsReadOrRefused gives the face bodies and cursors of any kind: it
// never fails itself, and always answers with JSON.
func FuzzARequestIsReadOrRefused(f *testing.F) {
	for _, body := range []string{placeholders, `{` + outgoing + `}`, `{"url":"https://x.example","events":["call.ended"]}`, `{"username":"u","password":"p","proxy":"x"}`,
		`{"medium":{"sip":{"outgoing":{"to":"\u0000@","from":"%"}}}}`, `{"":{}}`, `[`, `null`, `{"allowedAgents":[null]}`} {
		f.Add(body, "eyJhIjoieCJ9")
	}
	face := ultravox.New(deaf(), nil)
	f.Fuzz(func(t *testing.T, body, cursor string) {
		for _, route := range [][2]string{{"PATCH", "/api/sip"}, {"POST", "/api/sip/registrations"}, {"POST", "/api/calls"},
			{"POST", "/api/agents/" + sales + "/calls"}, {"POST", "/api/webhooks"}, {"PUT", "/api/webhooks/x"}, {"GET", "/api/calls"}, {"GET", "/api/webhooks"}} {
			r := httptest.NewRequest(route[0], route[1], strings.NewReader(body))
			r.URL.RawQuery = "cursor=" + strings.NewReplacer("&", "", "#", "", "%", "").Replace(cursor)
			r.Header.Set("X-API-Key", "k")
			w := httptest.NewRecorder()
			face.ServeHTTP(w, r)
			if w.Code != 200 && w.Code/100 != 4 || !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s %s %q: %d %s", route[0], route[1], body, w.Code, w.Body)
			}
		}
	})
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	r := httptest.NewRequest("PATCH", "/api/sip", nil)
	r.Body = http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(strings.Repeat(" ", 100))), 10)
	r.Header = s.Headers.Clone()
	w := httptest.NewRecorder()
	s.Face.ServeHTTP(w, r)
	if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "exceeds 10 bytes") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
