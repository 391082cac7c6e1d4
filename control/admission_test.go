package control_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// keyFor makes a key of a tenant with scopes.
func keyFor(t *testing.T, store *shelf, k endpoint.APIKey, scopes ...string) (secret, id string) {
	t.Helper()
	k.V, k.Name, k.CreatedAt, k.Scopes, k.ID = 1, "key", exampleTime, scopes, control.NewUUID()
	if k.Kind == "" {
		k.Kind = endpoint.KindOfNative
	}
	secret = endpoint.NewKeySecret(k.Kind, [32]byte([]byte(k.ID[:32])))
	k.SetSecret(secret)
	store.keys[k.ID] = k
	return secret, k.ID
}

func admissions(store *shelf) *control.Admissions {
	ops := operations(store)
	ops.Known = store.Account
	return &control.Admissions{Operations: ops, Keys: store,
		AgentTenant: func(_ context.Context, id string) (string, error) {
			a, ok := store.agents[id]
			if !ok {
				return "", endpoint.ErrNotFound
			}
			return a.Tenant, nil
		}}
}

func TestAKeyOpensOnNATSWhatItsScopesAllowAndNoMore(t *testing.T) {
	t.Parallel()
	store := newShelf()
	a := admissions(store)
	reader, id := keyFor(t, store, endpoint.APIKey{Tenant: "acme"}, endpoint.ScopeEndpointsRead, endpoint.ScopeCallsRead)
	got, err := a.Admit(t.Context(), "", reader)
	if err != nil || got.Tenant != "acme" || got.Key != id || got.Whole || got.Agent != "" || !got.Until.IsZero() {
		t.Fatalf("got %+v, %v", got, err)
	}
	for op, want := range map[string]bool{"endpoint.list": true, "endpoint.get": true, "call.list": true, "endpoint.delete": false,
		"endpoint.create": false, "key.create": false, "account.get": false, "call.hangup": false, "account.list": false, "node.drain": false} {
		if slices.Contains(got.Operations, op) != want {
			t.Errorf("%s: want %v", op, want)
		}
	}
	if !slices.Equal(got.Events, []string{"agent", "call", "dtmf"}) {
		t.Errorf("events %v", got.Events)
	}
}

func TestOnlyANativeKeyOfEveryScopeAndNoProjectIsTheWholeTenants(t *testing.T) {
	t.Parallel()
	store := newShelf()
	a := admissions(store)
	for name, c := range map[string]struct {
		key    endpoint.APIKey
		scopes []string
		want   bool
	}{
		"all":       {endpoint.APIKey{Tenant: "acme"}, []string{"*"}, true},
		"a project": {endpoint.APIKey{Tenant: "acme", APIToken: endpoint.APIToken{ProjectID: "p1"}}, []string{"*"}, false},
		"yappr's":   {endpoint.APIKey{Tenant: "acme", APIToken: endpoint.APIToken{Kind: endpoint.KindOfYappr}}, []string{"*"}, false},
		"some":      {endpoint.APIKey{Tenant: "acme"}, []string{"keys:manage", "keys:read"}, false},
	} {
		secret, _ := keyFor(t, store, c.key, c.scopes...)
		if got, err := a.Admit(t.Context(), "", secret); err != nil || got.Whole != c.want {
			t.Errorf("%s: %v, %v", name, got.Whole, err)
		}
	}
	secret, _ := keyFor(t, store, endpoint.APIKey{Tenant: "acme"}, "*")
	if got, _ := a.Admit(t.Context(), "", secret); slices.Contains(got.Operations, "node.drain") {
		t.Error("another tenant than the operator's may drain nodes")
	}
}

func TestNobodyGetsInWithAKeyThatIsNotGoodOrUnderAnothersName(t *testing.T) {
	t.Parallel()
	store := newShelf()
	a := admissions(store)
	past, revoked := exampleTime.Add(-time.Minute), exampleTime
	good, id := keyFor(t, store, endpoint.APIKey{Tenant: "acme"}, "*")
	_, otherID := keyFor(t, store, endpoint.APIKey{Tenant: "acme"}, "*")
	expired, _ := keyFor(t, store, endpoint.APIKey{Tenant: "acme", APIToken: endpoint.APIToken{ExpiresAt: &past}}, "*")
	dead, _ := keyFor(t, store, endpoint.APIKey{Tenant: "acme", APIToken: endpoint.APIToken{RevokedAt: &revoked}}, "*")
	orphan, _ := keyFor(t, store, endpoint.APIKey{Tenant: "gone"}, "*")
	if _, err := a.Admit(t.Context(), id, good); err != nil {
		t.Errorf("under its own name: %v", err)
	}
	for name, c := range map[string][2]string{
		"another key's name": {otherID, good}, "a tenant's name": {"tenant.acme", good}, "expired": {"", expired}, "revoked": {"", dead},
		"of no account": {"", orphan}, "unknown": {"", "pbk_unknown"}, "nothing": {"", ""},
	} {
		if _, err := a.Admit(t.Context(), c[0], c[1]); codeOf(err) != control.CodeDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	for secret, want := range map[string]bool{good: true, expired: false, dead: false, "pbk_unknown": false} {
		if got, err := a.Good(t.Context(), endpoint.SecretDigest(secret)); err != nil || got != want {
			t.Errorf("good: %v, %v, want %v", got, err, want)
		}
	}
}

func TestAWorkerIsOfAnAgentOfItsTenantThatNobodyElseHadFirst(t *testing.T) {
	t.Parallel()
	store := newShelf()
	a := admissions(store)
	store.agents["a1"], store.agents["b1"] = endpoint.Agent{ID: "a1", Tenant: "acme"}, endpoint.Agent{ID: "b1", Tenant: "globex"}
	answers, _ := keyFor(t, store, endpoint.APIKey{Tenant: "acme"}, endpoint.ScopeAgentsAnswer)
	reads, _ := keyFor(t, store, endpoint.APIKey{Tenant: "acme"}, endpoint.ScopeAgentsRead)
	if got, err := a.Admit(t.Context(), "worker.a1", answers); err != nil || got.Agent != "a1" {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		user, secret string
		want         control.Code
	}{
		"without the scope":        {"worker.a1", reads, control.CodeForbidden},
		"another tenant's agent":   {"worker.b1", answers, control.CodeDenied},
		"an agent that is not one": {"worker.*", answers, control.CodeDenied},
		"no agent":                 {"worker.", answers, control.CodeDenied},
	} {
		if _, err := a.Admit(t.Context(), c.user, c.secret); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	a.AgentTenant = func(context.Context, string) (string, error) { return "globex", nil }
	if _, err := a.Admit(t.Context(), "worker.a1", answers); codeOf(err) != control.CodeForbidden {
		t.Errorf("an id that another account had first: %v", err)
	}
}

func TestOverNATSAKeyThatNamesItselfIsHeldToItsScopes(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := serve(t, store, nil)
	_, c.Key = keyFor(t, store, endpoint.APIKey{Tenant: "acme"}, endpoint.ScopeKeysManage, endpoint.ScopeEndpointsRead)
	mustDo[control.Page[control.EndpointView]](t, c, "endpoint", "list", control.PageRequest{})
	if err := refusal(t, c, "endpoint", "delete", control.Target{ID: "x"}); err.Code != control.CodeForbidden {
		t.Errorf("a scope that it lacks: %v", err)
	}
	if err := refusal(t, c, "key", "create", control.NewKey{Name: "more", Scopes: []string{"*"}}); err.Code != control.CodeForbidden {
		t.Errorf("a key that may more than it: %v", err)
	}
	c.Key = "none"
	if err := refusal(t, c, "endpoint", "list", control.PageRequest{}); err.Code != control.CodeDenied {
		t.Errorf("a key that is not there: %v", err)
	}
}
