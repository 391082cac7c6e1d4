package endpoint_test

import (
	"testing"

	"patchbay/actors/endpoint"
)

func TestAnAccountIsCheckedFieldByField(t *testing.T) {
	t.Parallel()
	good := endpoint.Account{V: 1, ID: "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001", Tenant: "default", Name: "Default"}
	if ps := good.Validate(); len(ps) != 0 {
		t.Fatalf("a good account: %v", ps)
	}
	bad := endpoint.Account{V: 2, ID: "x", Tenant: "A B", Refusal: "rude",
		Projects: []endpoint.Project{{Limits: endpoint.Limits{CPS: -1}}}}
	got := map[string]bool{}
	for _, p := range bad.Validate() {
		got[p.Field] = true
	}
	for _, field := range []string{"v", "id", "tenant", "name", "refusal", "limits.cps"} {
		if !got[field] {
			t.Errorf("no problem names %s: %v", field, got)
		}
	}
}
