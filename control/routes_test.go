package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/control"
)

const (
	botOne = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"
	botTwo = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0002"
)

// twoAccounts returns operations over a shelf that holds the accounts acme and
// other, each with an agent.
func twoAccounts(t *testing.T) (*control.Operations, *shelf) {
	t.Helper()
	store := newShelf()
	ops := &control.Operations{Config: config.Control{RequestTimeout: 30 * time.Second, MaxInFlight: 4}, Store: store, Calls: calls{}, Sealer: sealer{},
		Host: "sip.example.com", Domain: "sip.example.com", Now: time.Now, Read: readExample, Explainer: exampleExplainer{}}
	for tenant, id := range map[string]string{"acme": botOne, "other": botTwo} {
		if _, ok := store.accounts[tenant]; !ok {
			store.accounts[tenant] = endpoint.Account{V: 1, ID: id, Tenant: tenant, Name: tenant, Revision: 1}
		}
		if _, err := ops.CreateAgent(t.Context(), tenant, control.NewAgent{ID: id, Spec: json.RawMessage(`{"webrtc":{"connector":"nats"}}`)}); err != nil {
			t.Fatal(err)
		}
	}
	return ops, store
}

func update(ops *control.Operations, tenant, sip string) (control.AccountView, error) {
	return ops.UpdateAccount(context.Background(), tenant, control.AccountChange{Patch: json.RawMessage(`{"sip":` + sip + `}`)})
}

// fieldsOf returns the fields that an error names.
func fieldsOf(err error) string {
	var told *control.Error
	if !errors.As(err, &told) {
		return fmt.Sprint(err)
	}
	var fields []string
	for _, p := range told.Problems {
		fields = append(fields, p.Field+" "+p.Code)
	}
	return strings.TrimSpace(string(told.Code) + " " + strings.Join(fields, ", "))
}

func TestWebhookSecretsReadBackOnlyWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	ops, store := twoAccounts(t)
	v, err := update(ops, "acme", `{"fallback":{"url":"https://route.example/sip"}}`)
	if err != nil {
		t.Fatal(err)
	}
	made := v.SIP.Fallback.Secrets
	if len(made) != 1 || len(made[0]) < 40 || len(made[0]) > endpoint.MaxWebhookSecret || !v.SIP.Fallback.SecretSet {
		t.Fatalf("the reply that made a secret says %+v", v.SIP.Fallback)
	}
	stored := store.accounts["acme"].SIP.Fallback.Secrets
	if len(stored) != 1 || strings.Contains(string(stored[0]), made[0]) || !strings.HasPrefix(string(stored[0]), "sealed:") {
		t.Errorf("stored as %d secrets", len(stored))
	}
	read, err := ops.GetAccount(t.Context(), "acme", control.AccountQuery{})
	if err != nil || read.SIP.Fallback.Secrets != nil || !read.SIP.Fallback.SecretSet {
		t.Errorf("reads back as %+v, %v", read.SIP.Fallback, err)
	}
	read, err = ops.GetAccount(t.Context(), "acme", control.AccountQuery{Secrets: true})
	if err != nil || len(read.SIP.Fallback.Secrets) != 1 || !strings.EqualFold(read.SIP.Fallback.Secrets[0], made[0]) {
		t.Errorf("asked for, it reads back as %d secrets, %v", len(read.SIP.Fallback.Secrets), err)
	}
	reader := control.Credential{Tenant: "acme", Kind: endpoint.KindOfNative, Scopes: []string{endpoint.ScopeAccountRead}}
	if out, err := ops.Do(t.Context(), reader, control.Request{Noun: "account", Verb: "get", Body: []byte(`{"secrets":true}`)}); codeOf(err) != control.CodeForbidden {
		t.Errorf("a key that may only read gets %v, %v", out, err)
	}
	v, err = update(ops, "acme", `{"fallback":{"url":"https://route.example/v2","timeout_ms":1000}}`)
	if f := store.accounts["acme"].SIP.Fallback; err != nil || v.SIP.Fallback.Secrets != nil || f.Secrets[0] != stored[0] || f.URL != "https://route.example/v2" {
		t.Errorf("a new URL without secrets: %+v, %v", v.SIP.Fallback, err)
	}
	v, err = update(ops, "acme", `{"fallback":{"secrets":["one","two"]}}`)
	if f := store.accounts["acme"].SIP.Fallback; err != nil || v.SIP.Fallback.Secrets != nil || len(f.Secrets) != 2 || f.TimeoutMs != 1000 {
		t.Errorf("rotation: %+v, %v", v.SIP.Fallback, err)
	}
	v, err = update(ops, "acme", `{"fallback":null}`)
	if err != nil || v.SIP.Fallback != nil || store.accounts["acme"].SIP.Fallback != nil {
		t.Errorf("null: %+v, %v", v.SIP.Fallback, err)
	}
}

func TestSIPSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	ops, store := twoAccounts(t)
	before := store.accounts["acme"]
	rules := func(n int) string {
		return `{"rules":[` + strings.TrimSuffix(strings.Repeat(`{"agent_id":"`+botOne+`"},`, n), ",") + `]}`
	}
	for sip, want := range map[string]string{
		rules(21): "invalid sip.rules too_many",
		`{"rules":[{"agent_id":"` + botOne + `","to_user_pattern":"(?!x)"}]}`:                                              "invalid sip.rules[0].to_user_pattern invalid",
		`{"rules":[{"agent_id":"` + botOne + `","to_user_pattern":"` + strings.Repeat("x", 201) + `"}]}`:                   "invalid sip.rules[0].to_user_pattern too_long",
		`{"rules":[{"agent_id":"` + botTwo + `"}]}`:                                                                        "invalid sip.rules[0].agent_id unknown", // another tenant's
		`{"start_call_agent":"` + botTwo + `"}`:                                                                            "invalid sip.start_call_agent unknown",
		`{"ingress":{"mode":"list","entries":[{"raw":"10.0.0.0/33"}]}}`:                                                    "invalid sip.ingress.entries[0].raw invalid",
		`{"domain_label":"a.b"}`:                                                                                           "invalid sip.domain_label invalid",
		`{"fallback":{"url":"ftp://x"}}`:                                                                                   "invalid sip.fallback.url invalid",
		`{"fallback":{"url":"https://x.example","secrets":[]}}`:                                                            "invalid sip.fallback.secrets required",
		`{"fallback":{"url":"https://x.example","secrets":["` + strings.Repeat("x", 121) + `"]}}`:                          "invalid sip.fallback.secrets[0] invalid",
		`{"fallback":{"url":"https://x.example","secrets":[` + strings.TrimSuffix(strings.Repeat(`"x",`, 11), ",") + `]}}`: "invalid sip.fallback.secrets too_many",
		`{"fallback":{"url":"https://x.example","timeout_ms":60000}}`:                                                      "invalid sip.fallback.timeout_ms out_of_range",
		`{"allow_all":true}`: "invalid sip.allow_all unknown",
	} {
		if _, err := update(ops, "acme", sip); fieldsOf(err) != want {
			t.Errorf("%.80s: got %s, want %s", sip, fieldsOf(err), want)
		}
	}
	if after := store.accounts["acme"]; after.Revision != before.Revision {
		t.Error("a refused change was stored")
	}
	if _, err := update(ops, "acme", rules(20)); err != nil {
		t.Errorf("20 rules: %v", err)
	}
}

func TestAnAgentThatWentDoesNotStandInTheWayOfOtherChanges(t *testing.T) {
	t.Parallel()
	ops, _ := twoAccounts(t)
	if _, err := update(ops, "acme", `{"rules":[{"agent_id":"`+botOne+`"}],"start_call_agent":"`+botOne+`"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.DeleteAgent(t.Context(), "acme", control.Target{ID: botOne}); err != nil {
		t.Fatal(err)
	}
	if _, err := update(ops, "acme", `{"allow_all_agents":true}`); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestALabelStaysWithItsAccount(t *testing.T) {
	t.Parallel()
	ops, _ := twoAccounts(t)
	if _, err := update(ops, "acme", `{"domain_label":"desk"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := update(ops, "acme", `{"domain_label":"desk","allow_all_agents":true}`); err != nil {
		t.Errorf("the same label again: %v", err)
	}
	if _, err := update(ops, "acme", `{"domain_label":"other"}`); fieldsOf(err) != "invalid sip.domain_label invalid" {
		t.Errorf("another label: %v", err)
	}
	if _, err := update(ops, "other", `{"domain_label":"desk"}`); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("another account's label: %v", err)
	}
}

func TestTheOperatorGivesDomainsAndTheirAccountsMayLeaveThem(t *testing.T) {
	t.Parallel()
	ops, _ := twoAccounts(t)
	operator := as(endpoint.OperatorTenant, endpoint.KindOfNative, "*")
	change := func(cred control.Credential, tenant, sip string) error {
		_, err := op(t, ops, cred, "account.update", `{"tenant":"`+tenant+`","patch":{"sip":`+sip+`}}`)
		return err
	}
	acme, other := as("acme", endpoint.KindOfNative, "*"), as("other", endpoint.KindOfNative, "*")
	for what, c := range map[string]struct {
		sip, want string
	}{
		"without a label": {`{"custom_domains":["pbx.acme.example"]}`, "invalid sip.domain_label required"},
		"an address":      {`{"domain_label":"acme","custom_domains":["192.0.2.1"]}`, "invalid sip.custom_domains[0] invalid"},
		"one label":       {`{"domain_label":"acme","custom_domains":["acme"]}`, "invalid sip.custom_domains[0] invalid"},
		"upper case":      {`{"domain_label":"acme","custom_domains":["PBX.acme.example"]}`, "invalid sip.custom_domains[0] invalid"},
		"twice":           {`{"domain_label":"acme","custom_domains":["a.example","a.example"]}`, "invalid sip.custom_domains[1] duplicate"},
		"the cluster's":   {`{"domain_label":"acme","custom_domains":["sip.example.com"]}`, "invalid sip.custom_domains[0] invalid"},
		"below it":        {`{"domain_label":"acme","custom_domains":["a.b.sip.example.com"]}`, "invalid sip.custom_domains[0] invalid"},
	} {
		if err := change(operator, "acme", c.sip); fieldsOf(err) != c.want {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
	const two = `{"domain_label":"acme","custom_domains":["a.example","b.example"]}`
	if err := change(acme, "acme", two); codeOf(err) != control.CodeForbidden {
		t.Errorf("by the account: %v", err)
	}
	if err := change(operator, "acme", two); err != nil {
		t.Fatal(err)
	}
	if err := change(operator, "other", `{"domain_label":"other","custom_domains":["b.example"]}`); !errors.Is(err, endpoint.ErrExists) {
		t.Errorf("another account's: %v", err)
	}
	if err := change(acme, "acme", `{"allow_all_agents":true}`); err != nil {
		t.Errorf("another change of the account: %v", err)
	}
	if err := change(acme, "acme", `{"custom_domains":["a.example"]}`); err != nil {
		t.Errorf("the account leaves one: %v", err)
	}
	if err := change(acme, "acme", two); codeOf(err) != control.CodeForbidden {
		t.Errorf("and takes it back: %v", err)
	}
	if err := change(other, "acme", `{"custom_domains":[]}`); codeOf(err) != control.CodeForbidden {
		t.Errorf("by another account: %v", err)
	}
	if raw, err := op(t, ops, acme, "account.get", `{}`); err != nil || !strings.Contains(raw, `"custom_domains":["a.example"]`) {
		t.Errorf("got %s, %v", raw, err)
	}
}

func TestAUserAtTheDomainNeedsTheDomain(t *testing.T) {
	t.Parallel()
	ops, _ := twoAccounts(t)
	in := control.NewEndpoint{User: "front desk", AgentID: botOne}
	if _, err := ops.CreateEndpoint(t.Context(), "acme", in); !strings.Contains(fieldsOf(err), "domain required") {
		t.Errorf("without a label: %v", err)
	}
	if _, err := update(ops, "acme", `{"domain_label":"desk"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.CreateEndpoint(t.Context(), "acme", in); fieldsOf(err) != "invalid user invalid" {
		t.Errorf("a user with a space: %v", err)
	}
	in.User = "front#desk"
	v, err := ops.CreateEndpoint(t.Context(), "acme", in)
	if err != nil || v.SIPURI != "sip:front%23desk@desk.sip.example.com" || v.Slug != "" || v.Kind != endpoint.KindAddress ||
		v.Key != endpoint.UserAddress("desk", "front#desk").Key() {
		t.Errorf("got %+v, %v", v, err)
	}
	in.SlugPrefix = "ep"
	if _, err := ops.CreateEndpoint(t.Context(), "acme", in); fieldsOf(err) != "invalid slug_prefix invalid" {
		t.Errorf("user and slug: %v", err)
	}
}

func TestNumbersLeadToEndpointsOfTheirTenant(t *testing.T) {
	t.Parallel()
	ops, store := twoAccounts(t)
	ep, err := ops.CreateEndpoint(t.Context(), "acme", control.NewEndpoint{AgentID: botOne})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for in, want := range map[control.NewNumber]string{
		{Number: "sales", EndpointID: ep.ID}:                       "invalid number invalid",
		{Number: "+1555", Trunk: "10.0.0.0/33", EndpointID: ep.ID}: "invalid trunk invalid",
		{Number: "+1555"}:                     "invalid endpoint_id required",
		{Number: "+1555", EndpointID: botOne}: "invalid endpoint_id unknown",
	} {
		if _, err := ops.CreateNumber(ctx, "acme", in); fieldsOf(err) != want {
			t.Errorf("%+v: got %s, want %s", in, fieldsOf(err), want)
		}
	}
	if _, err := ops.CreateNumber(ctx, "other", control.NewNumber{Number: "+1555", EndpointID: ep.ID}); fieldsOf(err) != "invalid endpoint_id unknown" {
		t.Errorf("another tenant's endpoint: %v", err)
	}
	made, err := ops.CreateNumber(ctx, "acme", control.NewNumber{Number: "1-555-0100", Trunk: "203.0.113.9/24", EndpointID: ep.ID})
	if err != nil || made.Number != "+15550100" || made.Trunk != "203.0.113.0/24" {
		t.Fatalf("got %+v, %v", made, err)
	}
	if n := store.routes().numbers[0]; n.Key != ep.Key {
		t.Errorf("it leads to %s, want %s", n.Key, ep.Key)
	}
	for _, number := range []string{"+15550100", "15550100"} {
		if _, err := ops.CreateNumber(ctx, "acme", control.NewNumber{Number: number, Trunk: "203.0.113.0/24", EndpointID: ep.ID}); !errors.Is(err, endpoint.ErrExists) {
			t.Errorf("a second claim as %s: %v", number, err)
		}
	}
	if _, err := ops.DeleteNumber(ctx, "other", control.Target{ID: made.ID}); !errors.Is(err, endpoint.ErrNotFound) {
		t.Errorf("another tenant deletes it: %v", err)
	}
	if _, err := ops.DeleteNumber(ctx, "acme", control.Target{ID: made.ID, Revision: made.Revision + 1}); !errors.Is(err, endpoint.ErrConflict) {
		t.Errorf("at another revision: %v", err)
	}
	if _, err := ops.DeleteNumber(ctx, "acme", control.Target{ID: made.ID}); err != nil {
		t.Error(err)
	}
}

func TestExplainTellsATenantItsOwnOnly(t *testing.T) {
	t.Parallel()
	ops, _ := twoAccounts(t)
	in := control.ExplainRequest{URI: "sip:x@sip.example.com", Source: "203.0.113.7:5060"}
	own, err := ops.ExplainCall(t.Context(), "acme", in)
	if err != nil || own.Rule != endpoint.RuleConcurrency || own.Status != 486 || own.ShownStatus != 486 || own.EndpointID != exampleEndpoint || own.Calls != 3 {
		t.Errorf("got %+v, %v", own, err)
	}
	foreign, err := ops.ExplainCall(t.Context(), "other", in)
	if err != nil || foreign.Status != 404 || foreign.EndpointID != "" || foreign.Calls != 0 {
		t.Errorf("another tenant: %+v, %v", foreign, err)
	}
	if _, err := ops.ExplainCall(t.Context(), "acme", control.ExplainRequest{Source: "203.0.113.7:5060"}); fieldsOf(err) != "invalid uri invalid" {
		t.Errorf("without a URI: %v", err)
	}
	ops.Explainer = nil
	if _, err := ops.ExplainCall(t.Context(), "acme", in); fieldsOf(err) != "unavailable" {
		t.Errorf("without a decider: %v", err)
	}
}
