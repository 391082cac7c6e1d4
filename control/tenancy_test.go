package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/control"
)

// operations over a shelf, without a service, and a clock that stands.
func operations(store *shelf) *control.Operations {
	return &control.Operations{Config: config.Control{RequestTimeout: 30 * time.Second, MaxInFlight: 4}, Store: store,
		Calls: calls{map[call.ID]control.CallView{}}, Sealer: sealer{}, Blocks: fences{map[string]endpoint.Block{}}, Nodes: exampleFarm(),
		Host: "sip.example.com", Domain: "sip.example.com", Now: func() time.Time { return exampleTime }}
}

func as(tenant, kind string, scopes ...string) control.Credential {
	return control.Credential{Tenant: tenant, KeyID: "k", Kind: kind, Scopes: scopes}
}

// op does an operation under a credential.
func op(t *testing.T, o *control.Operations, cred control.Credential, name, body string) (string, error) {
	t.Helper()
	noun, verb, _ := strings.Cut(name, ".")
	out, err := o.Do(t.Context(), cred, control.Request{Noun: noun, Verb: verb, Body: []byte(body)})
	raw, _ := json.Marshal(out)
	return string(raw), err
}

func codeOf(err error) control.Code {
	var told *control.Error
	if errors.As(err, &told) {
		return told.Code
	}
	if err != nil {
		return control.Code(err.Error())
	}
	return ""
}

func TestAKeyIsVerifiedByItsSecretItsEndAndItsRevocation(t *testing.T) {
	t.Parallel()
	store := newShelf()
	o := operations(store)
	end := exampleTime.Add(time.Hour)
	raw, err := op(t, o, as("acme", endpoint.KindOfNative, "*"), "key.create", `{"name":"one","scopes":["calls:read"],"expires_at":"`+end.Format(time.RFC3339)+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	var made control.MadeKey
	if err := json.Unmarshal([]byte(raw), &made); err != nil {
		t.Fatal(err)
	}
	for _, k := range store.keys {
		if stored, _ := json.Marshal(k); strings.Contains(string(stored), made.Secret) {
			t.Error("the store has the secret")
		}
	}
	verify := func(secret string, now time.Time) (control.Credential, error) {
		return control.Verify(t.Context(), store, secret, now)
	}
	cred, err := verify(made.Secret, exampleTime)
	if err != nil || cred.Tenant != "acme" || cred.KeyID != made.ID || !cred.Allows(endpoint.ScopeCallsRead) || cred.Allows(endpoint.ScopeKeysRead) {
		t.Errorf("got %+v, %v", cred, err)
	}
	other := strings.Repeat("a", len(made.Secret))
	for name, tc := range map[string]struct {
		secret string
		now    time.Time
	}{"nothing": {"", exampleTime}, "another": {other, exampleTime}, "at its end": {made.Secret, end}, "a book": {strings.Repeat("x", 10_000), exampleTime}} {
		if _, err := verify(tc.secret, tc.now); codeOf(err) != control.CodeDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, unknown := verify(other, exampleTime)
	if _, err := op(t, o, as("acme", endpoint.KindOfNative, "*"), "key.revoke", `{"id":"`+made.ID+`"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := verify(made.Secret, exampleTime); codeOf(err) != control.CodeDenied || err.Error() != unknown.Error() {
		t.Errorf("a revoked key: %v, an unknown one: %v", err, unknown)
	}
	store.down = true
	if _, err := verify(other, exampleTime); err == nil || codeOf(err) == control.CodeDenied {
		t.Errorf("a key that cannot be looked for: %v, want another error than denied", err)
	}
}

func TestAKeyDoesWhatItsScopesSayAndNoMore(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	for _, tc := range []struct {
		scopes, op string
		want       control.Code
	}{
		{"endpoints:read", "endpoint.list", ""}, {"endpoints:read", "endpoint.create", control.CodeForbidden},
		{"endpoints:manage", "endpoint.create", ""}, {"endpoints:manage", "endpoint.list", control.CodeForbidden},
		{"sip_endpoints:read", "endpoint.list", ""}, {"sip_endpoints:manage", "endpoint.create", ""},
		{"sip_endpoints:manage", "agent.list", control.CodeForbidden}, {"*", "agent.list", ""},
		{"agents:read", "agent.list", ""}, {"calls:read", "call.list", ""}, {"calls:read", "call.hangup-all", control.CodeForbidden},
		{"keys:read", "key.list", ""}, {"keys:read", "key.create", control.CodeForbidden}, {"account:read", "account.get", ""},
		{"account:read", "project.list", ""}, {"agents:manage", "account.import", control.CodeForbidden},
		{"*", "account.list", control.CodeForbidden}, {"operator:manage", "account.create", control.CodeForbidden},
		{"*", "block.list", control.CodeForbidden}, {"*", "node.drain", control.CodeForbidden}, {"*", "moon.land", control.CodeNotFound},
	} {
		if _, err := op(t, o, as("acme", endpoint.KindOfNative, tc.scopes), tc.op, `{}`); codeOf(err) != tc.want {
			t.Errorf("%s with %s: %v, want %q", tc.op, tc.scopes, err, tc.want)
		}
	}
	for _, name := range []string{"account.list", "block.list", "node.list"} {
		if _, err := op(t, o, as(endpoint.OperatorTenant, endpoint.KindOfNative, "operator:read"), name, `{}`); err != nil {
			t.Errorf("the operator's %s: %v", name, err)
		}
		if _, err := op(t, o, as(endpoint.OperatorTenant, endpoint.KindOfNative, "endpoints:read"), name, `{}`); codeOf(err) != control.CodeForbidden {
			t.Errorf("%s with a key of the operator's that lacks the scope: %v", name, err)
		}
	}
}

func TestARequestOfNobodyIsDenied(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	for _, name := range []string{"call.list", "call.find", "endpoint.list", "account.list", "moon.land"} {
		if out, err := op(t, o, control.Credential{Scopes: []string{"*"}}, name, `{"query":"12345"}`); codeOf(err) != control.CodeDenied {
			t.Errorf("%s: %s, %v", name, out, err)
		}
	}
}

func TestAKeyMakesNoKeyThatMayMore(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	cred := as("acme", endpoint.KindOfNative, "keys:manage", "endpoints:read")
	for scopes, want := range map[string]control.Code{
		`"endpoints:read"`: "", `"sip_endpoints:read"`: "", `"keys:manage"`: "",
		`"*"`: control.CodeForbidden, `"endpoints:manage"`: control.CodeForbidden, `"endpoints:read","calls:read"`: control.CodeForbidden,
	} {
		if _, err := op(t, o, cred, "key.create", `{"name":"n","scopes":[`+scopes+`]}`); codeOf(err) != want {
			t.Errorf("%s: %v, want %q", scopes, err, want)
		}
	}
}

func TestAKeyOfAProjectOrOfYapprsKindMakesItsOwnSortOnly(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	for _, id := range []string{exampleProject, exampleOther} {
		if _, err := op(t, o, as("acme", endpoint.KindOfNative, "*"), "project.create", `{"id":"`+id+`","spec":{"name":"p"}}`); err != nil {
			t.Fatal(err)
		}
	}
	ofProject, ofYappr := as("acme", endpoint.KindOfNative, "*"), as("acme", endpoint.KindOfYappr, "*")
	ofProject.ProjectID = exampleProject
	for _, c := range []struct {
		cred         control.Credential
		more, wanted string
	}{
		{ofProject, ``, `"project_id":"` + exampleProject + `"`},
		{ofProject, `,"project_id":"` + exampleProject + `"`, `"project_id":"` + exampleProject + `"`},
		{ofProject, `,"project_id":"` + exampleOther + `"`, string(control.CodeForbidden)},
		{ofYappr, ``, `"kind":"yappr"`},
		{ofYappr, `,"kind":"native"`, string(control.CodeForbidden)},
		{as("acme", endpoint.KindOfNative, "*"), `,"kind":"yappr","project_id":"` + exampleOther + `"`, `"kind":"yappr"`},
	} {
		raw, err := op(t, o, c.cred, "key.create", `{"name":"n","scopes":["keys:read"]`+c.more+`}`)
		if !strings.Contains(raw, c.wanted) && string(codeOf(err)) != c.wanted {
			t.Errorf("%+v with %q: %s, %v; want %s", c.cred, c.more, raw, err, c.wanted)
		}
	}
}

// A key's secret is told again to whoever repeats its creation: not to somebody
// who could not have made it.
func TestAKeyThatMayLessDoesNotGetTheSecretOfARepeatedCreation(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	r := control.Request{Noun: "key", Verb: "create", Body: []byte(`{"name":"n","scopes":["*"]}`), IdempotencyKey: "one"}
	if _, err := o.Do(t.Context(), as("acme", endpoint.KindOfNative, "*"), r); err != nil {
		t.Fatal(err)
	}
	if out, err := o.Do(t.Context(), as("acme", endpoint.KindOfNative, "keys:manage"), r); codeOf(err) != control.CodeForbidden {
		t.Errorf("got %+v, %v", out, err)
	}
}

// Whether another account exists must not show, however one asks.
func TestOnlyTheOperatorNamesAnotherAccount(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	acme, operator := as("acme", endpoint.KindOfNative, "*"), as(endpoint.OperatorTenant, endpoint.KindOfNative, "*")
	for name, body := range map[string]string{
		"account.get": `{"tenant":%q}`, "account.update": `{"tenant":%q,"patch":{"name":"x"}}`, "account.delete": `{"tenant":%q}`,
		"account.create": `{"tenant":%q}`, "call.find": `{"query":"12345","account":%q}`, "call.hangup-all": `{"account":%q}`,
	} {
		_, there := op(t, o, acme, name, fmt.Sprintf(body, endpoint.OperatorTenant))
		_, absent := op(t, o, acme, name, fmt.Sprintf(body, "nobody"))
		if codeOf(there) != control.CodeForbidden || there.Error() != absent.Error() {
			t.Errorf("%s of an account that exists: %v, of none: %v", name, there, absent)
		}
	}
	for _, name := range []string{"call.find", "call.hangup-all"} {
		if _, err := op(t, o, acme, name, `{"query":"12345","account":"*"}`); codeOf(err) != control.CodeForbidden && codeOf(err) != control.CodeInvalid {
			t.Errorf("%s of every account: %v", name, err)
		}
	}
	if raw, err := op(t, o, operator, "account.get", `{"tenant":"acme"}`); err != nil || !strings.Contains(raw, `"tenant":"acme"`) {
		t.Errorf("the operator's look at acme: %s, %v", raw, err)
	}
	if _, err := op(t, o, operator, "account.delete", `{"tenant":"default"}`); codeOf(err) != control.CodeConflict {
		t.Errorf("the end of the operator's own account: %v", err)
	}
}

func TestYapprsKeysCreateTwentyEndpointsADayAndOthersWhatTheAccountSays(t *testing.T) {
	t.Parallel()
	store := newShelf()
	o := operations(store)
	now := exampleTime
	o.Now = func() time.Time { return now }
	create := func(cred control.Credential) control.Code {
		_, err := op(t, o, cred, "endpoint.create", `{}`)
		return codeOf(err)
	}
	yappr, native := as("acme", endpoint.KindOfYappr, "sip_endpoints:manage"), as("acme", endpoint.KindOfNative, "*")
	for i := range endpoint.YapprCreatesPerDay {
		if code := create(yappr); code != "" {
			t.Fatalf("creation %d: %s", i+1, code)
		}
	}
	if code := create(yappr); code != control.CodeLimit {
		t.Errorf("the 21st: %q", code)
	}
	if code := create(native); code != "" {
		t.Errorf("a native key, which has no limit of its own: %s", code)
	}
	now = now.Add(11*time.Hour + 59*time.Minute + 59*time.Second) // 23:59:59 UTC
	if code := create(yappr); code != control.CodeLimit {
		t.Errorf("a second before midnight: %q", code)
	}
	now = now.Add(time.Second)
	if code := create(yappr); code != "" {
		t.Errorf("the next day: %s", code)
	}
	if _, err := op(t, o, native, "account.update", `{"patch":{"limits":{"endpoint_creates_per_day":2}}}`); err != nil {
		t.Fatal(err)
	}
	if first, second := create(native), create(native); first != "" || second != control.CodeLimit {
		t.Errorf("with a limit of 2 and one creation behind: %q, %q", first, second)
	}
}

func TestAProjectsKeysCreateAsManyAsTheirProjectAndTheAccountSay(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	account := as("acme", endpoint.KindOfNative, "*")
	for name, body := range map[string]string{"account.update": `{"patch":{"limits":{"endpoint_creates_per_day":5}}}`,
		"project.create": `{"id":"` + exampleProject + `","spec":{"name":"p","limits":{"endpoint_creates_per_day":2}}}`} {
		if _, err := op(t, o, account, name, body); err != nil {
			t.Fatal(err)
		}
	}
	project := account
	project.ProjectID = exampleProject
	create := func(cred control.Credential) control.Code {
		_, err := op(t, o, cred, "endpoint.create", `{}`)
		return codeOf(err)
	}
	var got []control.Code
	for _, cred := range []control.Credential{account, account, project, project, project, account, account, project} {
		got = append(got, create(cred))
	}
	want := []control.Code{"", "", "", "", control.CodeLimit, "", control.CodeLimit, control.CodeLimit}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestACreationUnderAnIdempotencyKeyIsAnsweredAsBefore(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"endpoint.create": `{"slug_prefix":"night"}`, "agent.create": `{"spec":{"name":"a","webrtc":{"connector":"nats"}}}`,
		"key.create": `{"name":"k","scopes":["*"]}`, "account.create": `{"tenant":"globex"}`,
		"project.create": `{"spec":{"name":"p"}}`,
	} {
		store := newShelf()
		o := operations(store)
		cred := as(endpoint.OperatorTenant, endpoint.KindOfNative, "*")
		do := func(key, body string) (string, error) {
			noun, verb, _ := strings.Cut(name, ".")
			out, err := o.Do(t.Context(), cred, control.Request{Noun: noun, Verb: verb, Body: []byte(body), IdempotencyKey: key})
			raw, _ := json.Marshal(out)
			return string(raw), err
		}
		first, err := do("one", body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again, err := do("one", body); err != nil || again != first {
			t.Errorf("%s again: %v\n got  %s\n want %s", name, err, again, first)
		}
		if _, err := do("one", body+" "); !errors.Is(err, endpoint.ErrReused) {
			t.Errorf("%s with another body: %v", name, err)
		}
		if _, err := do(strings.Repeat("x", 256), body); codeOf(err) != control.CodeInvalid {
			t.Errorf("%s under a key that is too long: %v", name, err)
		}
		n := len(store.eps) + len(store.agents) + len(store.keys) + len(store.accounts) - 2
		for _, a := range store.accounts {
			n += max(len(a.Projects)-1, 0) // the first is the account's own
		}
		if n != 1 {
			t.Errorf("%s made %d objects, want 1", name, n)
		}
		for _, line := range store.once {
			if name == "key.create" && strings.Contains(first, line.once.Note) {
				t.Error("the secret is remembered as it is")
			}
		}
	}
}

func TestWhatAnIdempotencyKeyMadeAndWasDeletedIsAConflict(t *testing.T) {
	t.Parallel()
	store := newShelf()
	o := operations(store)
	r := control.Request{Noun: "endpoint", Verb: "create", Body: []byte(`{}`), IdempotencyKey: "one"}
	out, err := o.Do(t.Context(), as("acme", endpoint.KindOfNative, "*"), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.DeleteEndpoint(context.Background(), endpoint.Endpoint{ID: out.(control.EndpointView).ID, Tenant: "acme"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Do(t.Context(), as("acme", endpoint.KindOfNative, "*"), r); codeOf(err) != control.CodeConflict {
		t.Errorf("got %v", err)
	}
}

func TestADeletionAtAnOldRevisionIsAConflict(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	ep := mustDo[control.EndpointView](t, c, "endpoint", "create", control.NewEndpoint{})
	agent := natsAgent(t, c)
	for noun, at := range map[string]control.Target{"endpoint": {ID: ep.ID, Revision: ep.Revision}, "agent": {ID: agent.ID, Revision: agent.Revision}} {
		stale := at
		stale.Revision += 100
		if e := refusal(t, c, noun, "delete", stale); e.Code != control.CodeConflict {
			t.Errorf("%s at another revision: %v", noun, e)
		}
		mustDo[control.Deleted](t, c, noun, "delete", at)
	}
}

func TestProjectsHaveLimitsOfTheirOwnAndStayWhileInUse(t *testing.T) {
	t.Parallel()
	o := operations(newShelf())
	cred := as("acme", endpoint.KindOfNative, "*")
	if _, err := op(t, o, cred, "account.update", `{"patch":{"limits":{"cps":9}}}`); err != nil { // makes the first project
		t.Fatal(err)
	}
	raw, err := op(t, o, cred, "project.create", `{"id":"`+exampleProject+`","spec":{"name":"Staging","limits":{"cps":1}}}`)
	if err != nil || !strings.Contains(raw, `"limits":{"cps":1}`) {
		t.Fatalf("%s, %v", raw, err)
	}
	for body, want := range map[string]string{
		`{"id":"` + exampleProject + `","spec":{"name":"Again"}}`: string(endpoint.ErrExists.Error()), `{"spec":{"name":""}}`: "", `{"spec":{"name":"x","parent_id":"` + exampleOther + `"}}`: "",
	} {
		if _, err := op(t, o, cred, "project.create", body); err == nil || want == "" && codeOf(err) != control.CodeInvalid {
			t.Errorf("%s: %v", body, err)
		}
	}
	if _, err := op(t, o, cred, "endpoint.create", `{"project_id":"`+exampleOther+`"}`); codeOf(err) != control.CodeInvalid {
		t.Errorf("an endpoint of no project: %v", err)
	}
	if raw, err := op(t, o, cred, "endpoint.create", `{"project_id":"`+exampleProject+`"}`); err != nil || !strings.Contains(raw, exampleProject) {
		t.Errorf("an endpoint of the project: %s, %v", raw, err)
	}
	if _, err := op(t, o, cred, "project.delete", `{"id":"`+exampleProject+`"}`); codeOf(err) != control.CodeConflict {
		t.Errorf("its end while in use: %v", err)
	}
	if _, err := op(t, o, cred, "project.delete", `{"id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"}`); codeOf(err) != control.CodeConflict {
		t.Errorf("the end of the first: %v", err)
	}
}
