package endpoint_test

import (
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

func webhook() endpoint.Webhook {
	return endpoint.Webhook{V: 1, ID: "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001", Tenant: "acme", URL: "https://hook.example/events", Kind: endpoint.WebhookNative,
		Events: []string{"call.started", "call.ended"}, Secrets: []endpoint.WebhookSecret{{ID: "a1", Secret: "sealed"}}}
}

func TestAWebhookIsCheckedWhole(t *testing.T) {
	t.Parallel()
	if w := webhook(); len(w.Validate(false)) != 0 {
		t.Fatalf("the example: %v", w.Validate(false))
	}
	for want, spoil := range map[string]func(*endpoint.Webhook){
		"url required":               func(w *endpoint.Webhook) { w.URL = "" },
		"url too_long":               func(w *endpoint.Webhook) { w.URL = "https://x/" + strings.Repeat("a", endpoint.MaxWebhookURL) },
		"url invalid":                func(w *endpoint.Webhook) { w.URL = "http://hook.example" },
		"kind invalid":               func(w *endpoint.Webhook) { w.Kind = "twilio" },
		"kind not_supported":         func(w *endpoint.Webhook) { w.Kind = endpoint.KindOfVobiz },
		"events required":            func(w *endpoint.Webhook) { w.Events = nil },
		"events[0] invalid":          func(w *endpoint.Webhook) { w.Events = []string{"call.billed"} },
		"events[1] duplicate":        func(w *endpoint.Webhook) { w.Events = []string{"*", "*"} },
		"events[0] not_supported":    func(w *endpoint.Webhook) { w.Kind, w.Events = endpoint.WebhookYappr, []string{"call.analyzed"} },
		"secrets required":           func(w *endpoint.Webhook) { w.Secrets = nil },
		"secrets too_many":           func(w *endpoint.Webhook) { w.Secrets = make([]endpoint.WebhookSecret, 11) },
		"agent_id invalid":           func(w *endpoint.Webhook) { w.AgentID = ptr("bot") },
		"events too_many":            func(w *endpoint.Webhook) { w.Events = make([]string, 40) },
		"tenant required":            func(w *endpoint.Webhook) { w.Tenant = "" },
		"id required":                func(w *endpoint.Webhook) { w.ID = "" },
		"v out_of_range":             func(w *endpoint.Webhook) { w.V = 2 },
		"url invalid with a user":    func(w *endpoint.Webhook) { w.URL = "https://me:pw@hook.example" },
		"url invalid without a host": func(w *endpoint.Webhook) { w.URL = "https://" },
	} {
		w := webhook()
		spoil(&w)
		field, rest, _ := strings.Cut(want, " ")
		code, _, _ := strings.Cut(rest, " ")
		ps := w.Validate(false)
		if len(ps) == 0 || ps[0].Field != field || ps[0].Code != code {
			t.Errorf("%s: %v", want, ps)
		}
	}
	plain := webhook()
	if plain.URL = "http://127.0.0.1:8000/"; len(plain.Validate(true)) != 0 {
		t.Errorf("http:// where it is allowed: %v", plain.Validate(true))
	}
}

func TestAWebhookWantsWhatItNames(t *testing.T) {
	t.Parallel()
	w := webhook()
	if !w.Wants("call.ended") || w.Wants("dtmf") {
		t.Error("two names")
	}
	if w.Events = []string{endpoint.AllEvents}; !w.Wants("dtmf") {
		t.Error("every name")
	}
	a := endpoint.Agent{ID: w.ID, Tenant: "acme"}
	if _, ok := a.Webhook(); ok {
		t.Error("an agent without a webhook has one")
	}
	a.WebhookURL, a.WebhookEvents = ptr("https://x.example"), []string{"call.ended"}
	if own, ok := a.Webhook(); !ok || own.Kind != endpoint.WebhookNative || *own.AgentID != a.ID || !own.Wants("call.ended") {
		t.Errorf("an agent's own: %+v, %v", own, ok)
	}
}
