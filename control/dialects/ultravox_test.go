package dialects_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/control/dialects/ultravox"
	"patchbay/internal/testkit/desk"
)

// ultravox returns a client of Ultravox's face for the bed's account.
func (b *bed) ultravox(t *testing.T) desk.Client {
	t.Helper()
	return desk.Client{Face: ultravox.New(b.Kit, nil),
		Headers: http.Header{"X-Api-Key": {b.Key(t, b.tenant, endpoint.KindOfUltravox, endpoint.ScopeAll)}}}
}

// got asks for what must succeed, and returns the body.
func got(rt *rapid.T, t *testing.T, c desk.Client, method, path string, body any) map[string]any {
	text := ""
	if body != nil {
		raw, _ := json.Marshal(body)
		text = string(raw)
	}
	w := c.Ask(t, method, path, text)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code/100 != 2 {
		rt.Fatalf("%s %s %s: %d %s", method, path, text, w.Code, w.Body)
	}
	return out
}

// settings returns the account's SIP settings as the native API shows them, with
// secrets.
func (b *bed) settings(t *testing.T) map[string]any {
	t.Helper()
	v := desk.Native[control.AccountView](t, b.Desk, b.tenant, "account", "get", control.AccountQuery{Secrets: true})
	return plain(t, v.SIP)
}

// sipSettings draws what an account's owner may set by the native API.
func sipSettings(agents ...string) *rapid.Generator[spec] {
	rules := rapid.Custom(func(rt *rapid.T) spec {
		r := spec{"agent_id": rapid.SampledFrom(agents).Draw(rt, "agent")}
		maybe(rt, r, "to_user_pattern", rapid.SampledFrom([]string{"^sales$", `^\+?1555[0-9]+$`, "desk|night", "<string>"}))
		return r
	})
	return rapid.Custom(func(rt *rapid.T) spec {
		s := spec{"rules": rapid.SliceOfN(rules, 0, 20).Draw(rt, "rules"), "allow_all_agents": rapid.Bool().Draw(rt, "all"), "fallback": nil, "start_call_agent": nil}
		ip := allowlists.Draw(rt, "ingress")
		if _, there := ip["entries"]; !there {
			ip["entries"] = []any{}
		}
		s["ingress"] = ip
		maybe(rt, s, "start_call_agent", rapid.SampledFrom(agents))
		if rapid.Bool().Draw(rt, "has fallback") {
			f := spec{"url": urls.Draw(rt, "url"), "secrets": rapid.SliceOfN(rapid.StringMatching(`[!-~]{1,40}`), 1, 10).Draw(rt, "secrets")}
			maybe(rt, f, "timeout_ms", rapid.IntRange(100, 20_000))
			s["fallback"] = f
		}
		return s
	})
}

// TestWhatUltravoxWritesBackUnchangedStays writes an account's SIP settings by
// the native API, writes back by Ultravox's what it shows of them, and finds them
// as they were. Then it changes one thing after another: nothing else changes.
func TestWhatUltravoxWritesBackUnchangedStays(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.ultravox(t)
	rapid.Check(t, func(rt *rapid.T) {
		desk.Native[control.AccountView](t, b.Desk, b.tenant, "account", "update",
			control.AccountChange{Patch: spec{"sip": sipSettings(b.agent, b.other).Draw(rt, "sip")}.raw()})
		before := b.settings(t)
		read := got(rt, t, c, "GET", "/api/sip", nil)
		if back := got(rt, t, c, "PATCH", "/api/sip", read); !reflect.DeepEqual(read, back) {
			rt.Fatalf("reads %v, then %v", read, back)
		}
		if lost := differ(before, b.settings(t)); len(lost) > 0 {
			rt.Fatalf("written back unchanged: %q", lost)
		}
		for field, change := range map[string]struct {
			native string
			value  any
		}{
			"allowAllAgents":    {"allow_all_agents", !read["allowAllAgents"].(bool)},
			"allowedCidrRanges": {"ingress", append([]any{"192.0.2.0/24"}, read["allowedCidrRanges"].([]any)...)},
			"allowedAgents":     {"rules", []any{map[string]any{"agentId": b.other, "toUserPattern": "^new$"}}},
			"fallbackHandler":   {"fallback", map[string]any{"url": "https://new.example.com/", "secrets": []any{"new"}}},
		} {
			before := b.settings(t)
			after := got(rt, t, c, "PATCH", "/api/sip", map[string]any{field: change.value})
			if !reflect.DeepEqual(after[field], change.value) {
				rt.Fatalf("%s: wrote %v, reads %v", field, change.value, after[field])
			}
			if lost := differ(before, b.settings(t), change.native); len(lost) > 0 {
				rt.Fatalf("%s was written, and with it changed %q", field, lost)
			}
		}
	})
}

// TestWhatUltravoxMakesComesThroughTheNativeAPI makes registrations by
// Ultravox's API, writes back natively all that is shown, and finds them as they
// were; then the same the other way round.
func TestWhatUltravoxMakesComesThroughTheNativeAPI(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := b.ultravox(t)
	rapid.Check(t, func(rt *rapid.T) {
		body := spec{"username": "u" + control.NewUUID()[:13], "password": texts.Draw(rt, "password"), "proxy": "pbx.example.net"}
		maybe(rt, body, "authUser", words)
		maybe(rt, body, "outboundProxy", rapid.StringMatching(`[a-z]{1,8}\.example\.net(:5062)?`))
		made := got(rt, t, c, "POST", "/api/sip/registrations", body)
		path := "/api/sip/registrations/" + made["registrationId"].(string)
		native := func() map[string]any {
			v := desk.Native[control.RegistrationView](t, b.Desk, b.tenant, "registration", "get", control.ID{ID: made["registrationId"].(string)})
			return plain(t, v, "revision", "updated_at")
		}
		back := spec{}
		for field, value := range native() {
			switch field {
			case "id", "origin", "created_at", "project_id", "secret_set", "status", "detail", "successful":
			default:
				back[field] = value
			}
		}
		back["region"], back["compat"] = words.Draw(rt, "region"), spec{"note": texts.Draw(rt, "note")} // that Ultravox does not have
		desk.Native[control.RegistrationView](t, b.Desk, b.tenant, "registration", "update", control.Change{ID: made["registrationId"].(string), Patch: back.raw()})
		read := got(rt, t, c, "GET", path, nil)
		if lost := differ(made, read); len(lost) > 0 {
			rt.Fatalf("written back natively: %q", lost)
		}
		before := native()
		got(rt, t, c, "PATCH", path, read)
		if lost := differ(before, native()); len(lost) > 0 {
			rt.Fatalf("written back by Ultravox: %q", lost)
		}
		if w := c.Ask(t, "DELETE", path, ""); w.Code != 204 {
			rt.Fatalf("delete: %d", w.Code)
		}
	})
}
