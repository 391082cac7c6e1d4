package ultravox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/internal/testkit/desk"
)

func TestWebhooksAreKeptAsDocumented(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	made := s.ask(row{"UV-9", "webhook-create", "POST", "/api/webhooks", `{"url":"https://hooks.acme.example/u","events":["call.started","call.joined","call.ended","call.billed"]}`}, 201)
	if got := field(t, made, "secrets").([]any); len(got) != 1 || len(got[0].(string)) < 40 {
		t.Errorf("the generated secrets are %v", got)
	}
	if got := s.ask(row{"UV-9", "webhook-get", "GET", "/api/webhooks/<id-1>", ""}, 200); string(got) != string(made) {
		t.Errorf("reads back as %s, was %s", got, made)
	}
	s.ask(row{"UV-9", "webhook-create-own", "POST", "/api/webhooks", `{"url":"https://hooks.acme.example/s","events":["call.ended"],"secrets":["one","two"],"agentId":"` + sales + `"}`}, 201)
	s.ask(row{"UV-9", "webhook-patch", "PATCH", "/api/webhooks/<id-2>", `{"events":["call.billed"],"agentId":null}`}, 200)
	s.ask(row{"UV-9", "webhook-patch-rotates", "PATCH", "/api/webhooks/<id-2>", `{"secrets":["two","three"]}`}, 200)
	s.ask(row{"UV-9", "webhook-put", "PUT", "/api/webhooks/<id-2>", `{"webhookId":"x","status":"unhealthy","url":"https://hooks.acme.example/t","events":["call.ended"],"agentId":"` + sales + `"}`}, 200)
	native := desk.Native[control.WebhookView](t, s.Desk, "acme", "webhook", "create", control.NewWebhook{Spec: json.RawMessage(`{"url":"https://hooks.acme.example/n","events":["*"]}`)})
	s.ask(row{"UV-9", "webhook-list", "GET", "/api/webhooks", ""}, 200)
	s.ask(row{"UV-9", "webhook-list-agent", "GET", "/api/webhooks?agentId=" + sales, ""}, 200)
	for _, method := range []string{"GET", "PATCH", "DELETE"} { // of another kind: not this API's
		if w := s.Ask(t, method, "/api/webhooks/"+native.ID, ""); w.Code != 404 {
			t.Errorf("%s of a native webhook: %d", method, w.Code)
		}
	}
	s.ask(row{"UV-9", "webhook-delete", "DELETE", "/api/webhooks/<id-2>", ""}, 204)
	s.ask(row{"UV-9", "webhook-deleted", "GET", "/api/webhooks/<id-2>", ""}, 404)
	s.as(t, "other", endpoint.ScopeAll)
	s.ask(row{"UV-9", "webhook-of-another", "DELETE", "/api/webhooks/<id-1>", ""}, 404)
}

func TestMistakesInWebhooksAreNamed(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for name, body := range map[string]string{
		"nothing":       `{}`,
		"event":         `{"url":"https://h.example","events":["call.ended","call.rang"]}`,
		"no-events":     `{"url":"https://h.example","events":[]}`,
		"url-201":       `{"url":"https://h.example/` + strings.Repeat("x", 183) + `","events":["call.ended"]}`,
		"url-no-uri":    `{"url":"h.example","events":["call.ended"]}`,
		"secret-121":    `{"url":"https://h.example","events":["call.ended"],"secrets":["` + strings.Repeat("x", 121) + `"]}`,
		"secrets-0":     `{"url":"https://h.example","events":["call.ended"],"secrets":[]}`,
		"secrets-11":    `{"url":"https://h.example","events":["call.ended"],"secrets":` + repeated(`"x"`, 11) + `}`,
		"agent-no-uuid": `{"url":"https://h.example","events":["call.ended"],"agentId":"x"}`,
		"agent-foreign": `{"url":"https://h.example","events":["call.ended"],"agentId":"` + foreign + `"}`,
		"unknown-field": `{"url":"https://h.example","events":["call.ended"],"name":"x"}`,
	} {
		s.ask(row{"UV-3", "webhook-wrong-" + name, "POST", "/api/webhooks", body}, 400)
	}
	s.ask(row{"UV-3", "webhook-list-wrong-agent", "GET", "/api/webhooks?agentId=x", ""}, 400)
}

func TestPagesLeadForwardAndBack(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for i := range 5 {
		s.Ask(t, "POST", "/api/webhooks", fmt.Sprintf(`{"url":"https://hooks.acme.example/%d","events":["call.ended"]}`, i))
	}
	type page struct {
		Next, Previous *string
		Total          int
		Results        []struct{ URL string }
	}
	read := func(path string) (p page, urls string) {
		w := s.Ask(t, "GET", path, "")
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		for _, r := range p.Results {
			urls += r.URL[len(r.URL)-1:]
		}
		return p, urls
	}
	first, urls := read("/api/webhooks?pageSize=2")
	second, more := read(*first.Next)
	third, last := read(*second.Next)
	if urls+" "+more+" "+last != "01 23 4" || third.Next != nil || first.Previous != nil || first.Total != 5 {
		t.Errorf("pages %s %s %s of %d, next of the last %v", urls, more, last, first.Total, third.Next)
	}
	back, again := read(*third.Previous)
	if start, whole := read(*back.Previous); again != more || whole != urls || start.Previous != nil {
		t.Errorf("back: %s, then %s", again, whole)
	}
	if _, urls := read("/api/webhooks?pageSize=0"); urls != "01234" {
		t.Errorf("a size that is none: %s", urls)
	}
	s.ask(row{"UV-4", "error-cursor", "GET", "/api/webhooks?cursor=x", ""}, 404)
	if !strings.HasPrefix(*first.Next, "/api/webhooks?cursor=") { // no base URL is known here
		t.Errorf("next is %s", *first.Next)
	}
}

// TestAPageGoesOnWhereItsFirstItemIsGone deletes what a cursor names before it is
// followed.
func TestAPageGoesOnWhereItsFirstItemIsGone(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	var ids []string
	for i := range 5 {
		w := s.Ask(t, "POST", "/api/webhooks", fmt.Sprintf(`{"url":"https://hooks.acme.example/%d","events":["call.ended"]}`, i))
		ids = append(ids, field(t, w.Body.Bytes(), "webhookId").(string))
		s.Pass(time.Second)
	}
	next := field(t, s.Ask(t, "GET", "/api/webhooks?pageSize=2", "").Body.Bytes(), "next").(string)
	for _, gone := range []int{0, 2} {
		s.Ask(t, "DELETE", "/api/webhooks/"+ids[gone], "")
		w := s.Ask(t, "GET", next, "")
		if w.Code != 200 {
			t.Fatalf("without %d: %d %s", gone, w.Code, w.Body)
		}
		shown := field(t, w.Body.Bytes(), "results").([]any)
		if want := ids[2+gone/2]; len(shown) == 0 || shown[0].(map[string]any)["webhookId"] != want {
			t.Errorf("without %d: the page is %v, want it to begin with %s", gone, shown, want)
		}
	}
	for _, id := range ids[3:] {
		s.Ask(t, "DELETE", "/api/webhooks/"+id, "")
	}
	if w := s.Ask(t, "GET", next, ""); w.Code != 200 || len(field(t, w.Body.Bytes(), "results").([]any)) != 0 {
		t.Errorf("without all that follows: %d %s", w.Code, w.Body)
	}
}
