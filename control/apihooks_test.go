package control_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
)

// What the examples of webhooks show in place of what is random.
const (
	exampleHook    = "8e2d4c6b-1a3f-4b5d-9c7e-0f2a4b6c8d10"
	exampleSigning = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwUW1xN3hQm0s="
	exampleNext    = "whsec_Yb2u4WqjZ0v8Kc6nT1rXhM5pQe7aLs9dFgHjKlZxCvA="
	exampleEvent   = "j98s0rprsbbg8.4"
	exampleDeliver = "q7m3w2xq9dtz4hbnrs5vcy8fka"
)

// pegs keep webhooks in memory.
type pegs struct {
	hooks []endpoint.Webhook
	rev   endpoint.Revision
}

func (p *pegs) at(tenant, id string) int {
	return slices.IndexFunc(p.hooks, func(w endpoint.Webhook) bool { return w.Tenant == tenant && w.ID == id })
}

func (p *pegs) CreateWebhook(_ context.Context, w endpoint.Webhook, _ endpoint.Terms) (endpoint.Revision, error) {
	if p.at(w.Tenant, w.ID) >= 0 {
		return 0, endpoint.ErrExists
	}
	p.rev++
	w.Revision = p.rev
	p.hooks = append(p.hooks, w)
	return p.rev, nil
}

func (p *pegs) WebhookByID(_ context.Context, tenant, id string) (endpoint.Webhook, error) {
	i := p.at(tenant, id)
	if i < 0 {
		return endpoint.Webhook{}, endpoint.ErrNotFound
	}
	return p.hooks[i], nil
}

func (p *pegs) UpdateWebhook(_ context.Context, w endpoint.Webhook) (endpoint.Revision, error) {
	i := p.at(w.Tenant, w.ID)
	if i < 0 || p.hooks[i].Revision != w.Revision {
		return 0, endpoint.ErrConflict
	}
	p.rev++
	w.Revision = p.rev
	p.hooks[i] = w
	return p.rev, nil
}

func (p *pegs) DeleteWebhook(_ context.Context, w endpoint.Webhook) error {
	i := p.at(w.Tenant, w.ID)
	if i < 0 {
		return endpoint.ErrNotFound
	}
	p.hooks = slices.Delete(p.hooks, i, i+1)
	return nil
}

func (p *pegs) Webhooks(_ context.Context, tenant, _ string, _ int) (all []endpoint.Webhook, _ string, _ error) {
	for _, w := range p.hooks {
		if w.Tenant == tenant {
			all = append(all, w)
		}
	}
	return all, "", nil
}

// post is what was sent to webhooks: one dead letter each.
type post struct{ asked []control.Redelivery }

func (p *post) Health(context.Context, string, string) (control.WebhookHealth, error) {
	at := exampleTime.Add(-time.Minute)
	return control.WebhookHealth{Status: control.HealthUnhealthy, LastStatusChange: &at,
		RecentFailures: []control.WebhookFailure{{At: at, Failure: "HTTP status 500"}, {At: at.Add(-30 * time.Second), Failure: "no reply in time"}}}, nil
}

func (p *post) Deliveries(_ context.Context, _, _, state string, limit int) ([]control.Delivery, error) {
	if state != control.DeliveryDead || limit < 1 {
		return nil, nil
	}
	ended := exampleTime.Add(-time.Minute)
	return []control.Delivery{{ID: exampleDeliver, State: state, EventID: exampleEvent, Event: "call.ended", Call: call.ID(0x9a51c06f3be2d704),
		At: exampleTime.Add(-9 * time.Hour), Attempts: 11, EndedAt: &ended, Status: 500, Failure: "HTTP status 500"}}, nil
}

func (p *post) Redeliver(_ context.Context, _, _ string, which control.Redelivery) (int, error) {
	p.asked = append(p.asked, which)
	return 1, nil
}

func (p *post) Test(context.Context, string, string) (string, error) {
	return "test.x4K9mQ2vR7tW1yZ3", nil
}

// webhooks shows the operations of webhooks.
func (a *api) webhooks() {
	a.t.Helper()
	var made control.WebhookView
	a.made("webhook.create", `{"id":"`+exampleHook+`","spec":{"url":"https://hooks.example.com/calls","events":["call.started","call.ended"]}}`, func(raw []byte) {
		a.read(raw, &made)
		a.hide(made.Secrets[0], exampleSigning)
		a.hide(made.SecretIDs[0].ID, "9f3c01aa")
	})
	id := `{"id":"` + exampleHook + `"}`
	a.show("webhook.get", id)
	a.show("webhook.list", `{"limit":50}`)
	a.show("webhook.update", `{"id":"`+exampleHook+`","patch":{"events":["*"],"kind":"native"}}`)
	var turned control.WebhookView
	a.made("webhook.rotate", id, func(raw []byte) {
		a.read(raw, &turned)
		a.hide(turned.Secrets[0], exampleNext)
		a.hide(turned.SecretIDs[1].ID, "5b7e22c4")
	})
	a.show("webhook.test", id)
	a.show("webhook.deliveries", `{"id":"`+exampleHook+`","state":"dead"}`)
	a.show("webhook.redeliver", `{"id":"`+exampleHook+`","delivery_id":"`+exampleDeliver+`"}`)
	a.show("webhook.delete", id)
}

func hookOperations(t *testing.T) (*control.Operations, *pegs, *post) {
	t.Helper()
	ops, _ := twoAccounts(t)
	p, sent := &pegs{}, &post{}
	ops.Webhooks, ops.Hooks = p, sent
	return ops, p, sent
}

func createHook(t *testing.T, ops *control.Operations, spec string) control.WebhookView {
	t.Helper()
	v, err := ops.CreateWebhook(t.Context(), "acme", control.NewWebhook{Spec: []byte(spec)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAWebhooksSecretsAreToldOnceAndRotateWithoutAGap(t *testing.T) {
	t.Parallel()
	ops, store, _ := hookOperations(t)
	v := createHook(t, ops, `{"url":"https://x.example/","events":["*"]}`)
	if len(v.Secrets) != 1 || !strings.HasPrefix(v.Secrets[0], "whsec_") || len(v.SecretIDs) != 1 || v.Kind != endpoint.WebhookNative {
		t.Fatalf("made %+v", v)
	}
	if stored := string(store.hooks[0].Secrets[0].Secret); strings.Contains(stored, v.Secrets[0]) || !strings.HasPrefix(stored, "sealed:") {
		t.Error("the secret is stored as it is")
	}
	got, err := ops.GetWebhook(t.Context(), "acme", control.WebhookQuery{ID: v.ID})
	if err != nil || got.Secrets != nil {
		t.Errorf("read back: %+v, %v", got, err)
	}
	turned, err := ops.RotateWebhook(t.Context(), "acme", control.Rotation{ID: v.ID})
	if err != nil || len(turned.Secrets) != 1 || len(turned.SecretIDs) != 2 || turned.SecretIDs[0] != v.SecretIDs[0] {
		t.Fatalf("rotated: %+v, %v", turned, err)
	}
	both, err := ops.GetWebhook(t.Context(), "acme", control.WebhookQuery{ID: v.ID, Secrets: true})
	if err != nil || len(both.Secrets) != 2 || !strings.EqualFold(both.Secrets[0], v.Secrets[0]) || !strings.EqualFold(both.Secrets[1], turned.Secrets[0]) {
		t.Errorf("both sign: %d, %v", len(both.Secrets), err)
	}
	left, err := ops.RotateWebhook(t.Context(), "acme", control.Rotation{ID: v.ID, Remove: []string{v.SecretIDs[0].ID}})
	if err != nil || len(left.SecretIDs) != 1 || left.SecretIDs[0] != turned.SecretIDs[1] || left.Secrets != nil {
		t.Errorf("the old one removed: %+v, %v", left, err)
	}
	for range endpoint.MaxWebhookSecrets - 1 {
		if _, err := ops.RotateWebhook(t.Context(), "acme", control.Rotation{ID: v.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ops.RotateWebhook(t.Context(), "acme", control.Rotation{ID: v.ID}); fieldsOf(err) != "invalid secrets too_many" {
		t.Errorf("an eleventh: %v", err)
	}
	same, err := ops.UpdateWebhook(t.Context(), "acme", control.Change{ID: v.ID, Patch: []byte(`{"secrets":["one","two"]}`)})
	if err != nil || len(same.SecretIDs) != 2 || same.Secrets != nil {
		t.Errorf("replaced: %+v, %v", same, err)
	}
}

func TestWrongWebhooksAreRefusedByField(t *testing.T) {
	t.Parallel()
	ops, _, _ := hookOperations(t)
	for spec, want := range map[string]string{
		`{"url":"http://x.example/","events":["*"]}`:                                                 "invalid url invalid",
		`{"url":"https://x.example/"}`:                                                               "invalid events required",
		`{"url":"https://x.example/","events":["*"],"kind":"vobiz"}`:                                 "invalid kind not_supported",
		`{"url":"https://x.example/","events":["*"],"secrets":["` + strings.Repeat("a", 121) + `"]}`: "invalid secrets[0] invalid",
		`{"url":"https://x.example/","events":["*"],"agent_id":"` + exampleOther + `"}`:              "invalid agent_id unknown",
		`{"url":"https://x.example/","events":["*"],"colour":"red"}`:                                 "invalid colour unknown",
	} {
		if _, err := ops.CreateWebhook(t.Context(), "acme", control.NewWebhook{Spec: []byte(spec)}); fieldsOf(err) != want {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
	ops.PlainWebhooks = true
	createHook(t, ops, `{"url":"http://127.0.0.1:8000/","events":["*"]}`)
}

func TestWebhooksAreTheirAccountsOwn(t *testing.T) {
	t.Parallel()
	ops, _, sent := hookOperations(t)
	v := createHook(t, ops, `{"url":"https://x.example/","events":["*"]}`)
	ctx := t.Context()
	_, read := ops.GetWebhook(ctx, "globex", control.WebhookQuery{ID: v.ID})
	_, listed := ops.WebhookDeliveries(ctx, "globex", control.DeliveryQuery{ID: v.ID})
	_, again := ops.RedeliverWebhook(ctx, "globex", control.Redelivery{ID: v.ID, AllDead: true})
	_, tried := ops.TestWebhook(ctx, "globex", control.ID{ID: v.ID})
	_, ended := ops.DeleteWebhook(ctx, "globex", control.Target{ID: v.ID})
	for what, err := range map[string]error{"get": read, "deliveries": listed, "redeliver": again, "test": tried, "delete": ended} {
		if !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(sent.asked) != 0 {
		t.Error("another account's events are sent again")
	}
	reader := control.Credential{Tenant: "acme", Kind: endpoint.KindOfNative, Scopes: []string{endpoint.ScopeWebhooksRead}}
	if _, err := ops.Do(ctx, reader, control.Request{Noun: "webhook", Verb: "list", Body: []byte(`{"secrets":true}`)}); codeOf(err) != control.CodeForbidden {
		t.Errorf("a key that may read gets the secrets: %v", err)
	}
}

func TestARedeliveryNamesOneThing(t *testing.T) {
	t.Parallel()
	ops, _, sent := hookOperations(t)
	v := createHook(t, ops, `{"url":"https://x.example/","events":["*"]}`)
	for _, in := range []control.Redelivery{{ID: v.ID}, {ID: v.ID, EventID: "e", AllDead: true}} {
		if _, err := ops.RedeliverWebhook(t.Context(), "acme", in); codeOf(err) != control.CodeInvalid {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if got, err := ops.RedeliverWebhook(t.Context(), "acme", control.Redelivery{ID: v.ID, EventID: "e"}); err != nil || got.Redelivered != 1 || sent.asked[0].EventID != "e" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ops.WebhookDeliveries(t.Context(), "acme", control.DeliveryQuery{ID: v.ID, State: "lost"}); fieldsOf(err) != "invalid state invalid" {
		t.Errorf("an unknown state: %v", err)
	}
}
