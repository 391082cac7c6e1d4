package control_test

import (
	"context"
	"encoding/json"
	"net/netip"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/control"
)

const (
	exampleNumber     = "9f6b2f34-1c57-4d0e-a8f7-3b2a1c0d9e88"
	exampleHookSecret = "whsec_0f8Jv3kQ2mR7yT5nB1xC9dL4pZ6sH0aGeWiUoVbXtYq"
)

// readExample makes the facts of an INVITE as an edge would of these.
func readExample(in control.ExplainRequest) (endpoint.Invite, error) {
	if in.URI == "" {
		return endpoint.Invite{}, endpoint.Problem{Field: "uri", Code: endpoint.CodeInvalid, Message: "want a sip or sips URI"}
	}
	return endpoint.Invite{Address: endpoint.SlugAddress(exampleSlug), CallID: "3848276298220188511@carrier.example.net",
		Source: netip.MustParseAddrPort(in.Source), Transport: "udp"}, nil
}

// exampleExplainer stands for the decider: one endpoint of acme, at its cap.
type exampleExplainer struct{}

func (exampleExplainer) Explain(_ context.Context, tenant string, inv endpoint.Invite) (actors.Explanation, error) {
	x := actors.Explanation{V: 1, DecisionID: endpoint.DecisionID(inv.CallID), Key: inv.Address.Key(), Verdict: endpoint.Unknown()}
	if tenant == "acme" {
		x.Tenant, x.EndpointID, x.Calls, x.Project = tenant, exampleEndpoint, 3, 17
		x.Verdict = endpoint.Verdict{Status: 486, Reason: endpoint.ReasonConcurrency, Rule: endpoint.RuleConcurrency}
	}
	x.Shown = x.Verdict.Shown(endpoint.RefuseUniform)
	return x, nil
}

// routing shows the operations on where calls go.
func (a *api) routing() {
	a.t.Helper()
	a.do("agent.create", `{"id":"`+exampleAgent+`","spec":{"name":"Night bot","webrtc":{"connector":"nats"}}}`)
	rules := `{"patch":{"sip":{"domain_label":"acme","ingress":{"mode":"list","entries":[{"raw":"203.0.113.0/28"}]},` +
		`"rules":[{"agent_id":"` + exampleAgent + `","to_user_pattern":"^\\+?15551234567$|^sales$"}],"allow_all_agents":false,` +
		`"fallback":{"url":"https://route.acme.example/sip","timeout_ms":4000},"start_call_agent":"` + exampleAgent + `"}}}`
	m := a.do("account.update", rules)
	var acct control.AccountView
	if err := json.Unmarshal(m.Data, &acct); err != nil || acct.SIP.Fallback == nil || len(acct.SIP.Fallback.Secrets) != 1 {
		a.t.Fatalf("account.update: %v: %s", err, m.Data)
	}
	a.hide(acct.SIP.Fallback.Secrets[0], exampleHookSecret)
	a.compare("sip-change", []byte(rules))
	a.compare("sip-changed", m.Data)

	var ep control.EndpointView
	user := `{"user":"desk-7","agent_id":"` + exampleAgent + `","spec":{"name":"Desk 7"}}`
	m = a.do("endpoint.create", user)
	if err := json.Unmarshal(m.Data, &ep); err != nil || ep.ID == "" {
		a.t.Fatalf("endpoint.create: %v: %s", err, m.Data)
	}
	a.hide(ep.ID, exampleEndpoint)
	a.compare("user-new", []byte(user))
	a.compare("user-made", m.Data)

	var made control.NumberView
	create := `{"number":"+15551234567","trunk":"203.0.113.0/28","endpoint_id":"` + ep.ID + `"}`
	m = a.do("number.create", create)
	if err := json.Unmarshal(m.Data, &made); err != nil || made.ID == "" {
		a.t.Fatalf("number.create: %v: %s", err, m.Data)
	}
	a.hide(made.ID, exampleNumber)
	a.asked["number.create"] = true
	a.compare("number.create.request", []byte(create))
	a.compare("number.create.reply", m.Data)
	a.refused("error.exists", "number.create", create, control.CodeExists)
	a.show("number.get", `{"id":"`+made.ID+`"}`)
	a.show("number.list", `{"limit":50}`)
	a.show("number.delete", `{"id":"`+made.ID+`"}`)

	a.show("call.explain", `{"uri":"sip:`+exampleSlug+`@sip.example.com","source":"203.0.113.7:5060",`+
		`"headers":{"To":"<sip:+15551234567@sip.example.com>"}}`)
}
