package control_test

import (
	"encoding/json"

	"patchbay/control"
)

// kept shows what the APIs keep beside endpoints and agents.
func (a *api) kept() {
	a.t.Helper()
	const application, registration, throttle = "0b6f4a0e-3a51-4c55-9a5e-6f2f0c7d1a01", "0b6f4a0e-3a51-4c55-9a5e-6f2f0c7d1a02", "0b6f4a0e-3a51-4c55-9a5e-6f2f0c7d1a03"
	create := `{"id":"` + application + `","spec":{"name":"Sales","answer":{"url":"https://app.example.com/answer","method":"POST"},` +
		`"hangup":{"url":"https://app.example.com/hangup"}}}`
	m := a.do("application.create", create)
	var made control.ApplicationView
	if err := json.Unmarshal(m.Data, &made); err != nil || made.NumericID == "" {
		a.t.Fatalf("application.create: %v: %s", err, m.Data)
	}
	a.hide(made.NumericID, "123456789012345")
	a.asked["application.create"] = true
	a.compare("application.create.request", []byte(create))
	a.compare("application.create.reply", m.Data)
	a.show("application.get", `{"id":"`+made.NumericID+`"}`)
	a.show("application.list", `{"limit":50}`)
	a.show("application.update", `{"id":"`+application+`","patch":{"enabled":false,"hangup":null}}`)
	a.show("application.delete", `{"id":"`+application+`"}`)

	a.show("registration.create", `{"id":"`+registration+`","spec":{"name":"Office","server":"pbx.example.com:5061","transport":"tls",`+
		`"username":"1007","password":"hush-hush"}}`)
	a.show("registration.get", `{"id":"`+registration+`"}`)
	a.show("registration.list", `{"limit":50}`)
	a.show("registration.update", `{"id":"`+registration+`","patch":{"password":"hush-hush-2","expires_s":600}}`)
	a.show("registration.delete", `{"id":"`+registration+`"}`)

	a.show("throttle.create", `{"id":"`+throttle+`","spec":{"name":"Campaign","rules":[{"max_calls":10,"window_seconds":60},{"max_calls":100,"window_seconds":86400}]}}`)
	a.show("throttle.get", `{"id":"`+throttle+`"}`)
	a.show("throttle.list", `{"limit":50}`)
	a.show("throttle.update", `{"id":"`+throttle+`","patch":{"rules":[{"max_calls":20,"window_seconds":60}]}}`)
	a.show("throttle.delete", `{"id":"`+throttle+`"}`)
}
