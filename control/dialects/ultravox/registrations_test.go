package ultravox_test

import (
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

func TestRegistrationsAreKeptAsDocumented(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	made := s.ask(row{"UV-5", "registration-create", "POST", "/api/sip/registrations", `{"username":"ai-desk","password":"pbx-Secret-9","proxy":"pbx.acme.example","outboundProxy":null,"authUser":null}`}, 201)
	if strings.Contains(string(made), "pbx-Secret-9") {
		t.Error("the reply holds the password")
	}
	if got := s.ask(row{"UV-5", "registration-get", "GET", "/api/sip/registrations/<id-1>", ""}, 200); string(got) != string(made) {
		t.Errorf("reads back as %s, was %s", got, made)
	}
	s.ask(row{"UV-5", "registration-patch", "PATCH", "/api/sip/registrations/<id-1>", `{"authUser":"desk","outboundProxy":"edge.acme.example:5062","successful":true}`}, 200)
	s.ask(row{"UV-5", "registration-patch-clears", "PATCH", "/api/sip/registrations/<id-1>", `{"authUser":null,"outboundProxy":"","password":"another"}`}, 200)
	s.ask(row{"UV-5", "registration-create-second", "POST", "/api/sip/registrations", `{"username":"night","password":"x","proxy":"10.0.0.7:5060"}`}, 201)
	s.ask(row{"UV-5", "registration-list", "GET", "/api/sip/registrations?pageSize=1", ""}, 200)
	s.ask(row{"UV-5", "registration-delete", "DELETE", "/api/sip/registrations/<id-1>", ""}, 204)
	s.ask(row{"UV-5", "registration-deleted", "GET", "/api/sip/registrations/<id-1>", ""}, 404)
	s.as(t, "other", endpoint.ScopeAll)
	s.ask(row{"UV-5", "registration-of-another", "PATCH", "/api/sip/registrations/<id-2>", `{}`}, 404)
}

func TestMistakesInRegistrationsAreNamed(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	with := func(fields string) string {
		return `{"username":"u","password":"p","proxy":"pbx.example",` + fields + `}`
	}
	for name, body := range map[string]string{
		"nothing":            `{}`,
		"username-61":        with(`"username":"` + strings.Repeat("u", 61) + `"`),
		"proxy-101":          with(`"proxy":"` + strings.Repeat("p", 101) + `"`),
		"outbound-proxy-101": with(`"outboundProxy":"` + strings.Repeat("p", 101) + `"`),
		"auth-user-61":       with(`"authUser":"` + strings.Repeat("u", 61) + `"`),
		"proxy-uri":          with(`"proxy":"sip:u@pbx.example"`),
		"password-null":      with(`"password":null`),
		"unknown-field":      with(`"transport":"tls"`),
	} {
		s.ask(row{"UV-5", "registration-wrong-" + name, "POST", "/api/sip/registrations", body}, 400)
	}
	s.Ask(t, "POST", "/api/sip/registrations", with(`"authUser":"a"`))
	s.ask(row{"UV-5", "registration-taken", "POST", "/api/sip/registrations", with(`"authUser":"b"`)}, 400)
}
