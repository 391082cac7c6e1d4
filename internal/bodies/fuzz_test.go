package bodies_test

import (
	"encoding/json"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/internal/bodies"
)

// FuzzEvents has the stream hold anything: what can be read as an event has a
// body of JSON in each kind that has a name for it.
func FuzzEvents(f *testing.F) {
	for _, ev := range life(f) {
		f.Add(ev.Raw)
	}
	f.Add([]byte(`{"type":"call.ended"}`))
	f.Add([]byte(`{"type":"call.record","data":{"metadata":[]}}`))
	f.Add([]byte(`{"type":"call.ended","facts":{"metadata":{"a":1}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ev, err := bodies.Parse(raw)
		if err != nil {
			return
		}
		for _, kind := range []endpoint.WebhookKind{endpoint.WebhookNative, endpoint.WebhookYappr, endpoint.WebhookUltravox} {
			if bodies.Name(kind, &ev) == "" {
				continue
			}
			if body, err := bodies.Render(kind, &ev); err != nil || !json.Valid(body) {
				t.Errorf("%s: %v: %q of %q", kind, err, body, raw)
			}
		}
	})
}
