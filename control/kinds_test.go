package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

const absentEndpoint = "3d0f8a52-6c1e-4b7a-9f0e-5a2c1d7e4b99"

// labelled is a client whose account has a domain.
func labelled(t *testing.T, store *shelf) control.Client {
	t.Helper()
	c := serve(t, store, nil)
	mustDo[control.AccountView](t, c, "account", "update", spec(`{"patch":{"sip":{"domain_label":"acme"}}}`))
	return c
}

// raw does an operation that must succeed and returns the reply as it came.
func raw(t *testing.T, c control.Client, noun, verb string, in any) json.RawMessage {
	t.Helper()
	return mustDo[json.RawMessage](t, c, noun, verb, in)
}

func TestAPasswordIsKeptAsDigestsAndReadBackNowhere(t *testing.T) {
	t.Parallel()
	store := newShelf()
	c := labelled(t, store)
	create := spec(`{"kind":"credential","user":"Desk7","origin":"vobiz","spec":{"name":"Desk","auth":{"mode":"digest","password":"very-secret"}}}`)
	reply := raw(t, c, "endpoint", "create", create)
	var made control.EndpointView
	if err := json.Unmarshal(reply, &made); err != nil {
		t.Fatal(err)
	}
	stored := store.eps[made.ID]
	weak, strong := endpoint.HA1("Desk7", "acme.", "very-secret")
	for ha1, sealed := range map[string]endpoint.SecretRef{weak: stored.Auth.HA1MD5, strong: stored.Auth.HA1SHA256} {
		if opened, _ := (sealer{}).Open(sealed); opened != ha1 {
			t.Errorf("kept is %s, want the digest %s", opened, ha1)
		}
	}
	if made.Auth.Username != "Desk7" || made.Auth.PasswordSetAt == nil || made.Origin != "vobiz" || made.User != "Desk7" || !endpoint.IsNumericID(made.NumericID) {
		t.Errorf("view: %+v", made)
	}
	kept, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []json.RawMessage{reply, kept, raw(t, c, "endpoint", "get", control.ID{ID: made.NumericID}), raw(t, c, "endpoint", "list", spec(`{}`))} {
		if bytes.Contains(bytes.ToLower(text), []byte("very-secret")) {
			t.Error("the password is read back")
		}
	}
	for _, text := range []json.RawMessage{reply, raw(t, c, "endpoint", "get", control.ID{ID: made.ID})} {
		if bytes.Contains(bytes.ToLower(text), []byte(weak)) || bytes.Contains(bytes.ToLower(text), []byte(strong)) || bytes.Contains(text, []byte("sealed")) {
			t.Error("a digest is read back")
		}
	}
	mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: made.NumericID, Patch: spec(`{"name":"Desk two"}`)})
	if now := store.eps[made.ID]; now.Auth.HA1MD5 != stored.Auth.HA1MD5 || now.Name != "Desk two" {
		t.Error("a change of something else has changed the password")
	}
	mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: made.ID, Patch: spec(`{"auth":{"password":"another-one"}}`)})
	if now := store.eps[made.ID]; now.Auth.HA1MD5 == stored.Auth.HA1MD5 {
		t.Error("the password is the old one")
	}
}

func TestEndpointsOfEveryKindAreMadeAndTheirMistakesTold(t *testing.T) {
	t.Parallel()
	c := labelled(t, newShelf())
	register := mustDo[control.EndpointView](t, c, "endpoint", "create",
		spec(`{"kind":"register","spec":{"register":{"server":"pbx.example.com","username":"1007","password":"very-secret"}}}`))
	if r := register.Register; r == nil || r.Status != "disabled" || r.Detail == "" || !r.SecretSet || r.Password != "" || register.SIPURI != "" {
		t.Errorf("register: %+v", register.Register)
	}
	domain := mustDo[control.EndpointView](t, c, "endpoint", "create", spec(`{"kind":"domain","domain":"acme-carrier"}`))
	if domain.Domain != "acme-carrier" || domain.User != "*" {
		t.Errorf("domain: %+v", domain)
	}
	for in, field := range map[string]string{
		`{"kind":"credential","user":"desk"}`:                                                                     "auth.mode",
		`{"kind":"credential","user":"desk","spec":{"auth":{"mode":"digest"}}}`:                                   "auth.password",
		`{"kind":"credential","user":"a b","spec":{"auth":{"mode":"digest","password":"x"}}}`:                     "user",
		`{"kind":"credential","user":"desk","spec":{"auth":{"mode":"digest","username":"other","password":"x"}}}`: "auth.username",
		`{"kind":"credential","slug_prefix":"x"}`:                                                                 "slug_prefix",
		`{"kind":"register"}`: "register",
		`{"kind":"register","spec":{"register":{"server":"pbx","username":"7","password":"x","transport":"sctp"}}}`: "register.transport",
		`{"kind":"domain"}`:                                                    "domain",
		`{"kind":"slug","user":"desk"}`:                                        "user",
		`{"kind":"slug","domain":"x"}`:                                         "domain",
		`{"kind":"trunk"}`:                                                     "kind",
		`{"origin":"acme"}`:                                                    "origin",
		`{"spec":{"auth":{"mode":"digest","password":"x"}}}`:                   "auth.mode",
		`{"spec":{"auth":{"mode":"none","password":"x"}}}`:                     "auth",
		`{"spec":{"register":{"server":"pbx","username":"7","password":"x"}}}`: "register",
		`{"kind":"credential","user":"desk","spec":{"auth":{"mode":"digest","password":"` + strings.Repeat("x", 129) + `"}}}`: "auth.password",
	} {
		if e := refusal(t, c, "endpoint", "create", json.RawMessage(in)); len(e.Problems) == 0 || e.Problems[0].Field != field {
			t.Errorf("%s: %+v, want field %s", in, e, field)
		}
	}
}

func TestCompatIsKeptVerbatimAndChangedByName(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	const odd = `{"z":1,"a":null,"big":193962768711692999,"exp":1.50e+3,"html":"<&>","z2":[null,{}]}`
	made := mustDo[control.EndpointView](t, c, "endpoint", "create", spec(`{"spec":{"compat":{"vobiz":%s,"gone":1}}}`, odd))
	if got := string(made.Compat["vobiz"]); !same(got, odd) {
		t.Errorf("made: %s, want %s", got, odd)
	}
	made = mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: made.ID, Patch: spec(`{"compat":{"gone":null,"more":{"b":1,"a":2}}}`)})
	if got := string(made.Compat["vobiz"]); !same(got, odd) || len(made.Compat) != 2 || string(made.Compat["more"]) != `{"b":1,"a":2}` {
		t.Errorf("changed: %s", made.Compat)
	}
	made = mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: made.ID, Patch: spec(`{"compat":{"more":{"c":3}}}`)})
	if string(made.Compat["more"]) != `{"c":3}` {
		t.Errorf("a field is replaced whole: %s", made.Compat["more"])
	}
	made = mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: made.ID, Patch: spec(`{"compat":null}`)})
	if len(made.Compat) != 0 {
		t.Errorf("removed: %s", made.Compat)
	}
	if e := refusal(t, c, "endpoint", "update", control.Change{ID: made.ID, Patch: spec(`{"compat":[1]}`)}); e.Problems[0].Field != "compat" {
		t.Errorf("no object: %+v", e)
	}
}

// same reports that two JSON texts differ in nothing but how < > & are spelt.
func same(a, b string) bool {
	spell := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
	return spell.Replace(a) == b
}

func TestAHandlerKeepsAllOfItsParameters(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	agent := natsAgent(t, c)
	handler := fmt.Sprintf(`{"active":"relay_topic","agent_id":%q,"application_id":"app","request_url":"https://a.example","request_method":"GET",`+
		`"fallback_url":"https://b.example","status_url":"https://c.example","laml_app_id":"laml","dialogflow_agent_id":"df","relay_topic":"office",`+
		`"relay_context":"ctx","relay_application":"ra","video_room_id":"vr","flow_id":"f","flow_version":"working_copy","script_url":"https://d.example"}`, agent.ID)
	made := mustDo[control.EndpointView](t, c, "endpoint", "create", spec(`{"spec":{"handler":%s}}`, handler))
	back, err := json.Marshal(made.Handler)
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	_, _ = json.Unmarshal([]byte(handler), &want), json.Unmarshal(back, &got)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnAgentThatIsGoneKeepsNoOtherChangeOut(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	agent := natsAgent(t, c)
	made := mustDo[control.EndpointView](t, c, "endpoint", "create", control.NewEndpoint{AgentID: agent.ID})
	mustDo[control.Deleted](t, c, "agent", "delete", control.ID{ID: agent.ID})
	if v := mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: made.ID, Patch: spec(`{"name":"renamed"}`)}); v.Name != "renamed" {
		t.Errorf("name %q", v.Name)
	}
	if e := refusal(t, c, "endpoint", "update", control.Change{ID: made.ID,
		Patch: spec(`{"handler":{"agent_id":"6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0009"}}`)}); e.Problems[0].Field != "handler.agent_id" {
		t.Errorf("another that is not there: %+v", e)
	}
}

func TestAListIsFilteredCountedAndPassedOver(t *testing.T) {
	t.Parallel()
	c := labelled(t, newShelf())
	for n := range 5 {
		mustDo[control.EndpointView](t, c, "endpoint", "create", spec(`{"user":"desk%d","spec":{"name":"Desk %d"}}`, n, n))
	}
	page := mustDo[control.Page[control.EndpointView]](t, c, "endpoint", "list", spec(`{"user_prefix":"DESK","offset":1,"limit":2,"count":true,"newest":true}`))
	if page.Total == nil || *page.Total != 5 || len(page.Items) != 2 || page.Items[0].User != "desk3" {
		t.Errorf("got %d of %v", len(page.Items), page.Total)
	}
	if page := mustDo[control.Page[control.EndpointView]](t, c, "endpoint", "list", spec(`{"name":"desk 2"}`)); len(page.Items) != 1 || page.Total != nil {
		t.Errorf("by name: %d, total %v", len(page.Items), page.Total)
	}
	for in, field := range map[string]string{`{"kinds":["trunk"]}`: "kinds", `{"offset":-1}`: "offset", `{"name":"` + strings.Repeat("x", 201) + `"}`: "name"} {
		if e := refusal(t, c, "endpoint", "list", json.RawMessage(in)); e.Problems[0].Field != field {
			t.Errorf("%s: %+v", in, e)
		}
	}
}

func TestAThrottleAllowsWhatItsRulesDo(t *testing.T) {
	t.Parallel()
	store := newShelf()
	ops := operations(store)
	made, err := ops.CreateThrottle(t.Context(), "acme", control.NewThrottle{Spec: spec(`{"rules":[{"max_calls":2,"window_seconds":60}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		err := ops.Throttle(t.Context(), "acme", made.ID)
		told, _ := err.(*control.Error)
		if n < 2 && err != nil || n == 2 && (told == nil || told.Code != control.CodeRate || told.RetryAfterMs <= 0 || told.RetryAfterMs > 60_000) {
			t.Errorf("call %d: %v", n, err)
		}
	}
	if told, _ := ops.Throttle(t.Context(), "acme", "none").(*control.Error); told == nil || told.Problems[0].Field != "throttle" {
		t.Errorf("one that is not there: %v", told)
	}
	for in, field := range map[string]string{`{}`: "rules", `{"rules":[{"max_calls":101,"window_seconds":1}]}`: "rules[0].max_calls",
		`{"rules":[{"max_calls":1,"window_seconds":86401}]}`: "rules[0].window_seconds"} {
		_, err := ops.CreateThrottle(t.Context(), "acme", control.NewThrottle{Spec: json.RawMessage(in)})
		if told, _ := err.(*control.Error); told == nil || told.Problems[0].Field != field {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// A replica may be behind what an import has just written.
func TestAnImportLooksAgainWhereWhatItSawWasBehind(t *testing.T) {
	t.Parallel()
	store := newShelf()
	o := operations(store)
	one := `{"lines":[` + line(1, "endpoint", exampleEndpoint, `{"name":"desk"}`) + `]}`
	cred := as("acme", endpoint.KindOfNative, "*")
	if _, err := op(t, o, cred, "account.import", one); err != nil {
		t.Fatal(err)
	}
	store.behind = true
	if raw, err := op(t, o, cred, "account.import", one); err != nil || !strings.Contains(raw, `"unchanged":1`) {
		t.Errorf("again: %s, %v", raw, err)
	}
}

func TestAnImportMakesEndpointsOfEveryKind(t *testing.T) {
	t.Parallel()
	store := newShelf()
	a := store.accounts["acme"]
	a.SIP.DomainIdentifier = "acme"
	store.accounts["acme"] = a
	o := operations(store)
	cred := as("acme", endpoint.KindOfNative, "*")
	lines := `{"lines":[{"kind":"endpoint","as":"credential","id":"` + exampleEndpoint + `","user":"desk","origin":"vobiz","spec":{"auth":{"mode":"digest","password":"very-secret"}}},` +
		`{"kind":"endpoint","as":"register","id":"` + exampleOther + `","spec":{"register":{"server":"pbx","username":"7","password":"very-secret"}}}]}`
	for _, want := range []string{`"created":2`, `"unchanged":2`} {
		if raw, err := op(t, o, cred, "account.import", lines); err != nil || !strings.Contains(raw, want) {
			t.Errorf("%s, %v, want %s", raw, err, want)
		}
	}
	kept := store.eps[exampleEndpoint]
	if kept.Origin != "vobiz" || kept.User != "desk" || !endpoint.IsNumericID(kept.NumericID) || kept.Auth.HA1MD5 == "" {
		t.Errorf("made: %+v", kept.Auth)
	}
	twice := strings.Replace(lines, `{"kind":"endpoint","as":"register","id":"`+exampleOther+`","spec":{"register":{"server":"pbx","username":"7","password":"very-secret"}}}`,
		`{"kind":"endpoint","as":"credential","id":"`+absentEndpoint+`","user":"other","spec":{"auth":{"mode":"digest","password":"x"}}},`+
			`{"kind":"endpoint","as":"credential","id":"`+exampleProject+`","user":"Other","spec":{"auth":{"mode":"digest","password":"x"}}}`, 1)
	_, err := op(t, o, cred, "account.import", twice)
	if told := new(control.Error); !errors.As(err, &told) || len(told.Problems) != 1 || told.Problems[0].Field != "line 3: user" {
		t.Errorf("a username twice: %v", err)
	}
	without := strings.ReplaceAll(strings.ReplaceAll(lines, `,"password":"very-secret"`, ""), `"mode":"digest"`, `"mode":"digest","username":"desk"`)
	if raw, err := op(t, o, cred, "account.import", without); err != nil || store.eps[exampleEndpoint].Auth.HA1MD5 != kept.Auth.HA1MD5 {
		t.Errorf("an import without a password: %s, %v", raw, err)
	}
	if _, err := op(t, o, cred, "account.import", strings.Replace(lines, `"as":"credential"`, `"as":"address"`, 1)); codeOf(err) != control.CodeInvalid {
		t.Errorf("another kind: %v", err)
	}
}

func TestWhatOtherProductsKnowOfAnAccountIsKept(t *testing.T) {
	t.Parallel()
	c := serve(t, newShelf(), nil)
	mustDo[control.AccountView](t, c, "account", "update", spec(`{"patch":{"space_name":"acme","sip":{"domain_label":"acme","default_codecs":["PCMU"],`+
		`"default_ciphers":["AEAD_AES_256_GCM_8"],"default_encryption":"optional","default_send_as":"+15551230100","outbound_policy":"passthrough"}}}`))
	account := mustDo[control.AccountView](t, c, "account", "update", spec(`{"patch":{"refusal":"explicit"}}`))
	s := account.SIP
	if account.SpaceName != "acme" || len(s.DefaultCodecs) != 1 || len(s.DefaultCiphers) != 1 || s.DefaultEncryption != "optional" ||
		s.DefaultSendAs == nil || s.OutboundPolicy != "passthrough" {
		t.Errorf("account: %+v", account)
	}
	entry := mustDo[control.EndpointView](t, c, "endpoint", "create", spec(`{"spec":{"ip":{"mode":"list","entries":[{"raw":"203.0.113.7/24","name":"n","description":"d","disabled":true,"acl_id":"a1"}]}}}`))
	entry = mustDo[control.EndpointView](t, c, "endpoint", "update", control.Change{ID: entry.ID, Patch: spec(`{"name":"x"}`)})
	if e := entry.IP.Entries[0]; e.Raw != "203.0.113.7/24" || e.Name != "n" || e.Description != "d" || !e.Disabled || e.ACLID == nil || *e.ACLID != "a1" {
		t.Errorf("a line of an allowlist: %+v", e)
	}
	made := mustDo[control.ProjectView](t, c, "project", "create", spec(`{"spec":{"name":"p","auth_id":"MA_1","default_endpoint_app_id":"a","default_number_app_id":"b","default_app_id":"c"}}`))
	p := mustDo[control.ProjectView](t, c, "project", "update", control.Change{ID: made.ID, Patch: spec(`{"name":"q"}`)})
	if p.AuthID != "MA_1" || *p.DefaultEndpointAppID != "a" || *p.DefaultNumberAppID != "b" || *p.DefaultAppID != "c" || p.Name != "q" {
		t.Errorf("project: %+v", p)
	}
	for in, field := range map[string]string{`{"space_name":"A_B"}`: "space_name", `{"sip":{"default_encryption":"maybe"}}`: "sip.default_encryption",
		`{"sip":{"outbound_policy":"none"}}`: "sip.outbound_policy", `{"sip":{"default_codecs":[""]}}`: "sip.default_codecs[0]"} {
		if e := refusal(t, c, "account", "update", spec(`{"patch":%s}`, in)); len(e.Problems) == 0 || e.Problems[0].Field != field {
			t.Errorf("%s: %+v", in, e)
		}
	}
}
