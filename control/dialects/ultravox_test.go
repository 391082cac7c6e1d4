package dialects_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"patchbay/control"
	"patchbay/internal/testkit/desk"
)

// patterns are what rules of an account match by.
var patterns = rapid.OneOf(rapid.Just(""), rapid.StringMatching(`\^[a-z]{1,8}\$`), rapid.StringMatching(`\^\\\+?1555[0-9]{4}\$\|\^sales$`))

// settings draws the SIP settings of an account, of which Ultravox shows a part.
func settings(agents ...string) *rapid.Generator[spec] {
	return rapid.Custom(func(rt *rapid.T) spec {
		s := spec{"ingress": allowlists.Draw(rt, "ingress"), "allow_all_agents": rapid.Bool().Draw(rt, "all agents"), "fallback": nil}
		rules := []spec{}
		for range rapid.IntRange(0, 4).Draw(rt, "rules") {
			r := spec{"agent_id": rapid.SampledFrom(agents).Draw(rt, "agent")}
			if p := patterns.Draw(rt, "pattern"); p != "" {
				r["to_user_pattern"] = p
			}
			rules = append(rules, r)
		}
		s["rules"] = rules
		maybe(rt, s, "fallback", rapid.Custom(func(rt *rapid.T) spec {
			f := spec{"url": urls.Draw(rt, "url"), "secrets": secrets.Draw(rt, "secrets")}
			maybe(rt, f, "timeout_ms", rapid.IntRange(1000, 5000))
			return f
		}))
		maybe(rt, s, "default_codecs", rapid.SliceOfN(rapid.SampledFrom([]string{"PCMU", "G722"}), 1, 2))
		maybe(rt, s, "default_encryption", rapid.SampledFrom([]string{"optional", "forbidden"}))
		maybe(rt, s, "default_send_as", words)
		maybe(rt, s, "outbound_policy", rapid.SampledFrom([]string{"passthrough", "block-pstn"}))
		return s
	})
}

var secrets = rapid.SliceOfNDistinct(rapid.StringMatching(`[!-~]{8,40}`), 1, 3, rapid.ID)

// uv asks Ultravox's face for what must succeed.
func (b *bed) uv(t rapid.TB, tt *testing.T, method, path string, body any) map[string]any {
	text := ""
	if body != nil {
		raw, _ := json.Marshal(body)
		text = string(raw)
	}
	w := b.ultravox.Ask(tt, method, path, text)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code/100 != 2 {
		t.Fatalf("%s %s %s: %d %s", method, path, text, w.Code, w.Body)
	}
	return out
}

// some returns those fields of an object.
func some(of map[string]any, fields ...string) map[string]any {
	out := map[string]any{}
	for _, field := range fields {
		out[field] = of[field]
	}
	return out
}

// account returns the account as the native API shows it.
func (b *bed) account(t *testing.T) map[string]any {
	t.Helper()
	return plain(t, desk.Native[control.AccountView](t, b.Desk, b.tenant, "account", "get", control.AccountQuery{Secrets: true}), "revision", "updated_at")
}

func TestWhatUltravoxWritesBackOfAnAccountUnchangedStays(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	rapid.Check(t, func(rt *rapid.T) {
		desk.Native[control.AccountView](t, b.Desk, b.tenant, "account", "update",
			control.AccountChange{Patch: spec{"sip": settings(b.agent, b.other).Draw(rt, "sip")}.raw()})
		before := b.account(t)
		read := b.uv(rt, t, "GET", "/api/sip", nil)
		b.uv(rt, t, "PATCH", "/api/sip", read)
		if lost := differ(before, b.account(t)); len(lost) > 0 {
			rt.Fatalf("written back unchanged: %q", lost)
		}
		b.uv(rt, t, "PATCH", "/api/sip", map[string]any{"allowAllAgents": !read["allowAllAgents"].(bool)})
		after := b.account(t)
		was, is := before["sip"].(map[string]any), after["sip"].(map[string]any)
		if lost := append(differ(before, after, "sip"), differ(was, is, "allow_all_agents")...); len(lost) > 0 || was["allow_all_agents"] == is["allow_all_agents"] {
			rt.Fatalf("all agents allowed or not: %q", lost)
		}
	})
}

func TestWhatUltravoxSetsOfAnAccountComesThroughTheNativeAPI(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	rapid.Check(t, func(rt *rapid.T) {
		wish := spec{"allowedCidrRanges": rapid.SliceOfN(rapid.StringMatching(`203\.0\.113\.[1-9]/(2[4-9]|3[0-2])`), 0, 4).Draw(rt, "ranges"),
			"allowAllAgents": rapid.Bool().Draw(rt, "all"), "allowedAgents": []spec{}, "fallbackHandler": nil}
		for range rapid.IntRange(0, 4).Draw(rt, "agents") {
			a := spec{"agentId": rapid.SampledFrom([]string{b.agent, b.other}).Draw(rt, "agent")}
			maybe(rt, a, "toUserPattern", rapid.StringMatching(`\^[a-z]{1,8}\$`))
			wish["allowedAgents"] = append(wish["allowedAgents"].([]spec), a)
		}
		maybe(rt, wish, "fallbackHandler", rapid.Custom(func(rt *rapid.T) spec {
			return spec{"url": urls.Draw(rt, "url"), "secrets": secrets.Draw(rt, "secrets")}
		}))
		read := b.uv(rt, t, "PATCH", "/api/sip", wish)
		native := b.account(t)
		desk.Native[control.AccountView](t, b.Desk, b.tenant, "account", "update", control.AccountChange{Patch: spec{"sip": native["sip"]}.raw()})
		if lost := differ(read, b.uv(rt, t, "GET", "/api/sip", nil)); len(lost) > 0 {
			rt.Fatalf("written back unchanged: %q", lost)
		}
		if lost := differ(native, b.account(t)); len(lost) > 0 {
			rt.Fatalf("the native view: %q", lost)
		}
	})
}

// TestRegistrationsGoRoundBetweenTheNativeAPIAndUltravox makes registrations by
// either API and writes them back by the other.
func TestRegistrationsGoRoundBetweenTheNativeAPIAndUltravox(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	native := func(id string) map[string]any {
		return plain(t, desk.Native[control.RegistrationView](t, b.Desk, b.tenant, "registration", "get", control.ID{ID: id}), "revision", "updated_at")
	}
	fields := []string{"username", "proxy", "outboundProxy", "authUser"}
	rapid.Check(t, func(rt *rapid.T) {
		s := spec{"username": "x" + control.NewUUID()[:13], "server": "pbx.example.net", "password": texts.Draw(rt, "password")}
		maybe(rt, s, "name", names)
		maybe(rt, s, "auth_user", words)
		maybe(rt, s, "outbound_proxy", rapid.Just("proxy.example.net:5070"))
		maybe(rt, s, "transport", rapid.SampledFrom([]string{"udp", "tcp", "tls"}))
		maybe(rt, s, "region", words)
		maybe(rt, s, "expires_s", rapid.IntRange(60, 3600))
		maybe(rt, s, "compat", rapid.MapOfN(words, documents, 0, 4))
		id := desk.Native[control.RegistrationView](t, b.Desk, b.tenant, "registration", "create", control.NewRegistration{Spec: s.raw()}).ID
		before, path := native(id), "/api/sip/registrations/"+id
		b.uv(rt, t, "PATCH", path, some(b.uv(rt, t, "GET", path, nil), fields...))
		if lost := differ(before, native(id)); len(lost) > 0 {
			rt.Fatalf("made by the native API, written back by Ultravox's: %q", lost)
		}
		read := b.uv(rt, t, "POST", "/api/sip/registrations", map[string]any{"username": "y" + control.NewUUID()[:13], "password": "p", "proxy": "pbx.example.net"})
		id = read["registrationId"].(string)
		back := native(id)
		for _, field := range []string{"id", "project_id", "origin", "created_at"} {
			delete(back, field)
		}
		desk.Native[control.RegistrationView](t, b.Desk, b.tenant, "registration", "update", control.Change{ID: id, Patch: spec(back).raw()})
		if lost := differ(read, b.uv(rt, t, "GET", "/api/sip/registrations/"+id, nil)); len(lost) > 0 {
			rt.Fatalf("made by Ultravox's API, written back by the native one: %q", lost)
		}
	})
}

// TestWebhooksGoRoundBetweenTheNativeAPIAndUltravox does so with webhooks of
// Ultravox's kind, which are all that its API shows.
func TestWebhooksGoRoundBetweenTheNativeAPIAndUltravox(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	native := func(id string) map[string]any {
		return plain(t, desk.Native[control.WebhookView](t, b.Desk, b.tenant, "webhook", "get", control.WebhookQuery{ID: id, Secrets: true}), "revision", "updated_at")
	}
	events := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"call.started", "call.joined", "call.ended", "call.billed"}), 1, 4, rapid.ID)
	fields := []string{"url", "events", "secrets", "agentId"}
	rapid.Check(t, func(rt *rapid.T) {
		s := spec{"kind": "ultravox", "url": urls.Draw(rt, "url"), "events": events.Draw(rt, "events"), "secrets": secrets.Draw(rt, "secrets")}
		maybe(rt, s, "agent_id", rapid.Just(b.agent))
		id := desk.Native[control.WebhookView](t, b.Desk, b.tenant, "webhook", "create", control.NewWebhook{Spec: s.raw()}).ID
		before, path := native(id), "/api/webhooks/"+id
		method := rapid.SampledFrom([]string{"PUT", "PATCH"}).Draw(rt, "method")
		read := b.uv(rt, t, "GET", path, nil)
		b.uv(rt, t, method, path, some(read, fields...))
		if lost := differ(before, native(id)); len(lost) > 0 {
			rt.Fatalf("written back unchanged by %s: %q", method, lost)
		}
		back := spec{"url": before["url"], "kind": before["kind"], "events": before["events"], "agent_id": before["agent_id"], "secrets": before["secrets"]}
		desk.Native[control.WebhookView](t, b.Desk, b.tenant, "webhook", "update", control.Change{ID: id, Patch: back.raw()})
		if lost := differ(read, b.uv(rt, t, "GET", path, nil)); len(lost) > 0 {
			rt.Fatalf("written back by the native API: %q", lost)
		}
		desk.Native[control.Deleted](t, b.Desk, b.tenant, "webhook", "delete", control.Target{ID: id})
	})
}
