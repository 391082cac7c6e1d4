package control_test

import (
	"testing"

	"patchbay/control"
)

func TestAnAgentsOwnWebhookIsServedOverTLSOnly(t *testing.T) {
	t.Parallel()
	ops, _, _ := hookOperations(t)
	create := func(fields string) (control.AgentView, error) {
		return ops.CreateAgent(t.Context(), "acme", control.NewAgent{Spec: []byte(`{"name":"bot","webrtc":{"connector":"nats"},` + fields + `}`)})
	}
	v, err := create(`"webhook_url":"https://x.example/","webhook_events":["call.ended"],"webhook_kind":"yappr"`)
	if err != nil || v.WebhookKind != "yappr" || *v.WebhookURL != "https://x.example/" {
		t.Fatalf("%+v, %v", v, err)
	}
	if _, err := create(`"webhook_url":"http://x.example/","webhook_events":["*"]`); fieldsOf(err) != "invalid webhook_url invalid" {
		t.Errorf("http://: %v", err)
	}
	if _, err := create(`"webhook_url":"https://x.example/","webhook_events":["*"],"webhook_kind":"ultravox"`); fieldsOf(err) != "invalid webhook_kind invalid" {
		t.Errorf("of a kind that must be signed: %v", err)
	}
	if v, err = ops.UpdateAgent(t.Context(), "acme", control.Change{ID: v.ID, Patch: []byte(`{"webhook_url":null,"webhook_events":null,"webhook_kind":null}`)}); err != nil || v.WebhookURL != nil {
		t.Errorf("removed: %+v, %v", v, err)
	}
	ops.PlainWebhooks = true
	if _, err := create(`"webhook_url":"http://127.0.0.1:8000/","webhook_events":["*"]`); err != nil {
		t.Errorf("http:// where it is allowed: %v", err)
	}
}
