package dialects_test

import (
	"encoding/json"
	"fmt"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// A spec is what the native API is given, as JSON.
type spec map[string]any

func (s spec) raw() json.RawMessage { text, _ := json.Marshal(s); return text }

// maybe draws a value, or leaves the field out.
func maybe[T any](rt *rapid.T, into spec, field string, gen *rapid.Generator[T]) {
	if rapid.Bool().Draw(rt, "has "+field) {
		into[field] = gen.Draw(rt, field)
	}
}

var (
	words   = rapid.StringMatching(`[a-z][a-z0-9_]{0,11}`)
	texts   = rapid.StringMatching(`[ -~א-ת]{1,20}`)
	urls    = rapid.StringMatching(`https://[a-z]{1,8}\.example\.com/[a-z]{0,8}`)
	names   = rapid.StringMatching(`[!-~א-ת]([ -~א-ת]{0,30}[!-~])?`)
	sources = rapid.OneOf(
		rapid.StringMatching(`203\.0\.113\.(25[0-5]|1[0-9][0-9]|[1-9][0-9]|[0-9])`),
		rapid.StringMatching(`198\.51\.100\.(25[0-5]|1[0-9][0-9]|[1-9][0-9]|[0-9])/(3[0-2]|2[0-9])`), // host bits too
		rapid.StringMatching(`2001:db8:[1-9a-f][0-9a-f]{0,3}::/(3[2-9]|48|64)`),
	)
	documents = rapid.Custom(func(rt *rapid.T) any {
		switch rapid.IntRange(0, 3).Draw(rt, "shape") {
		case 0:
			return texts.Draw(rt, "text")
		case 1:
			return json.Number(fmt.Sprint(rapid.Int64().Draw(rt, "number")))
		case 2:
			return map[string]any{words.Draw(rt, "key"): rapid.Bool().Draw(rt, "flag"), "big": json.Number("12345678901234567890")}
		}
		return []any{texts.Draw(rt, "item"), false, 1.5}
	})
	allowlists = rapid.Custom(func(rt *rapid.T) spec {
		s := spec{"mode": rapid.SampledFrom([]string{"any", "list", "none"}).Draw(rt, "mode")}
		entries := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) spec {
			e := spec{"raw": sources.Draw(rt, "raw")}
			maybe(rt, e, "name", words)
			maybe(rt, e, "description", texts)
			maybe(rt, e, "disabled", rapid.Bool())
			return e
		}), 0, 4).Draw(rt, "entries")
		if len(entries) > 0 {
			s["entries"] = entries
		}
		return s
	})
)

// Generators name themselves when they are first asked, and not for two tests
// at once: those that tests share do so before any test begins.
var _ = func() (named []string) {
	for _, g := range []fmt.Stringer{words, texts, urls, names, sources, documents, allowlists, patterns, secrets} {
		named = append(named, g.String())
	}
	return named
}()

// handlers draws who answers: of every vendor's words, with the parameters of
// others beside the active one's.
func handlers(agent string) *rapid.Generator[spec] {
	active := []string{"", "agent", "agent", "agent", "ai_agent", "route_rules", "laml_webhooks", "relay_topic", "call_flow"}
	return rapid.Custom(func(rt *rapid.T) spec {
		h := spec{"active": rapid.SampledFrom(active).Draw(rt, "active")}
		switch h["active"] {
		case "agent":
			h["agent_id"] = agent
		case "ai_agent":
			h["ai_agent_id"] = agent
		}
		for _, field := range []string{"request_url", "fallback_url", "status_url", "script_url"} {
			maybe(rt, h, field, urls)
		}
		for _, field := range []string{"relay_topic", "relay_context", "flow_id", "flow_version", "request_method"} {
			maybe(rt, h, field, words)
		}
		return h
	})
}

// endpoints draws what endpoint.create is given, of one kind, with any of the
// fields that an endpoint may have.
func endpoints(kind endpoint.Kind, agent string) *rapid.Generator[control.NewEndpoint] {
	return rapid.Custom(func(rt *rapid.T) control.NewEndpoint {
		s := spec{"name": names.Draw(rt, "name"), "handler": handlers(agent).Draw(rt, "handler")}
		maybe(rt, s, "is_active", rapid.Bool())
		maybe(rt, s, "ip", allowlists)
		maybe(rt, s, "max_concurrent_calls", rapid.IntRange(1, 1000))
		maybe(rt, s, "max_calls_per_second", rapid.IntRange(1, 1000))
		maybe(rt, s, "cap_policy", rapid.SampledFrom([]string{"share", "strict", "open"}))
		maybe(rt, s, "media", rapid.Custom(func(rt *rapid.T) spec {
			m := spec{}
			maybe(rt, m, "codecs", rapid.SliceOfN(rapid.SampledFrom([]string{"PCMU", "PCMA", "OPUS@48000H@20I", "G722"}), 0, 3))
			maybe(rt, m, "ciphers", rapid.SliceOfN(rapid.SampledFrom([]string{"AEAD_AES_256_GCM_8", "AES_CM_128_HMAC_SHA1_80"}), 0, 2))
			maybe(rt, m, "encryption", rapid.SampledFrom([]string{"default", "optional", "required", "forbidden"}))
			return m
		}))
		maybe(rt, s, "caller_id", texts)
		maybe(rt, s, "send_as", words)
		maybe(rt, s, "caller_id_trusted", rapid.Bool())
		maybe(rt, s, "sub_account", words)
		maybe(rt, s, "perm", rapid.MapOfN(rapid.SampledFrom([]string{"voice", "message", "video", "same_domain", "other_domains", "phones", "apps"}), rapid.Bool(), 0, 7))
		maybe(rt, s, "compat", rapid.MapOfN(words, documents, 0, 4))
		in := control.NewEndpoint{Kind: kind, Origin: rapid.SampledFrom([]string{"", "native", "yappr", "ultravox", "signalwire", "vobiz"}).Draw(rt, "origin")}
		switch kind {
		case endpoint.KindCredential:
			in.User = "u" + control.NewUUID()[:13]
			s["auth"] = spec{"mode": "digest", "password": texts.Draw(rt, "password")}
		case endpoint.KindRegister:
			r := spec{"server": rapid.StringMatching(`[a-z]{1,8}\.example\.net(:5060)?`).Draw(rt, "server"), "username": "x" + control.NewUUID()[:13], "password": texts.Draw(rt, "password")}
			maybe(rt, r, "auth_user", words)
			maybe(rt, r, "transport", rapid.SampledFrom([]string{"udp", "tcp", "tls"}))
			maybe(rt, r, "region", words)
			s["register"] = r
		}
		in.Spec = s.raw()
		return in
	})
}
