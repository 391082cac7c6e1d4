package control_test

import (
	"context"
	"encoding/json"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// What the examples of tenancy show in place of what is random.
const (
	exampleKey     = "5c2e9b1a-7f43-4d0e-9a86-1b3d5f7a9c02"
	exampleSecret  = "pbk_mz4k7wq2x9c8v3b6n5t7r2ty8h3j4d5e"
	exampleProject = "e1f7a0c4-3b5d-4c8e-a2f6-7d9b1c3e5a08"
	exampleOther   = "0d4b6f82-9a1c-4e3d-8b7f-2c5e8a1d4f06"
)

// made shows a creation whose reply holds what is random, as read finds it.
func (a *api) made(op, body string, random func(raw []byte)) {
	a.t.Helper()
	a.asked[op] = true
	m := a.do(op, body)
	if m.Header.Get("Nats-Service-Error-Code") != "" {
		a.t.Fatalf("%s: %s", op, m.Data)
	}
	random(m.Data)
	a.compare(op+".request", []byte(body))
	a.compare(op+".reply", m.Data)
}

func (a *api) read(raw []byte, into any) {
	a.t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		a.t.Fatal(err)
	}
}

// tenancy shows the operations of keys, projects and imports.
func (a *api) tenancy() {
	a.t.Helper()
	a.show("project.create", `{"id":"`+exampleProject+`","spec":{"name":"Staging","limits":{"max_concurrent_calls":5,"endpoint_creates_per_day":20}}}`)
	a.show("project.get", `{"id":"`+exampleProject+`"}`)
	a.show("project.update", `{"id":"`+exampleProject+`","patch":{"limits":{"cps":2}}}`)
	a.show("project.list", `{}`)
	a.show("project.delete", `{"id":"`+exampleProject+`"}`)

	var key control.MadeKey
	a.made("key.create", `{"name":"Dashboard","scopes":["endpoints:read","calls:read"],"expires_at":"2027-01-01T00:00:00Z"}`, func(raw []byte) {
		a.read(raw, &key)
		a.hide(key.ID, exampleKey)
		a.hide(key.Secret, exampleSecret)
		a.hide(key.Prefix, exampleSecret[:8])
	})
	id := `{"id":"` + key.ID + `"}`
	a.show("key.get", id)
	a.show("key.list", `{"limit":50}`)
	a.refused("error.key-is-good", "key.delete", id, control.CodeConflict)
	a.show("key.revoke", id)
	a.show("key.delete", id)

	a.show("account.import", `{"lines":[{"line":1,"kind":"agent","id":"`+exampleAgent+`","spec":{"name":"Night bot","webrtc":{"connector":"nats"}}},`+
		`{"line":2,"kind":"endpoint","id":"`+exampleEndpoint+`","slug":"`+exampleSlug+`","spec":{"name":"Night desk","handler":{"active":"agent","agent_id":"`+exampleAgent+`"}}}]}`)
	a.refused("error.import", "account.import", `{"lines":[{"line":7,"kind":"endpoint","id":"`+exampleOther+`","spec":{"name":""}}]}`, control.CodeInvalid)
	a.refused("error.forbidden", "account.create", `{"tenant":"globex"}`, control.CodeForbidden)
}

// operator shows what only the operator's account may do.
func (a *api) operator() {
	a.t.Helper()
	a.tenant = endpoint.OperatorTenant
	defer func() { a.tenant = "acme" }()
	a.made("account.create", `{"tenant":"globex","spec":{"name":"Globex","limits":{"endpoint_creates_per_day":100}}}`, func(raw []byte) {
		var v control.AccountView
		a.read(raw, &v)
		a.hide(v.ID, exampleOther)
	})
	a.show("account.list", `{"limit":50}`)
	a.show("account.delete", `{"tenant":"globex"}`)
	a.show("block.create", `{"source":"203.0.113.0/28","reason":"scanner","expires_at":"2026-11-22T12:00:00Z"}`)
	a.show("block.list", `{}`)
	a.show("block.delete", `{"source":"203.0.113.0/28"}`)
	a.show("node.list", `{}`)
	a.show("node.drain", `{"node":"pb-1"}`)
}

// initech is the one account of the examples that may make few requests a
// minute.
func initech(_ context.Context, tenant string) (endpoint.Account, error) {
	if tenant != "initech" {
		return endpoint.Account{}, nil
	}
	return endpoint.Account{Projects: []endpoint.Project{{Limits: endpoint.Limits{APIPerMinute: 4}}}}, nil
}

// rate shows what an account hears that asks too much.
func (a *api) rate() {
	a.t.Helper()
	a.tenant = "initech"
	defer func() { a.tenant = "acme" }()
	for range 4 {
		a.do("call.list", `{}`)
	}
	a.refused("error.rate-limited", "call.list", `{}`, control.CodeRate)
}
