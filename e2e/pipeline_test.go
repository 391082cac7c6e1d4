package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"patchbay/control"
	"patchbay/e2e/rig"
)

// A wish is what an owner wants of an endpoint, in words that every API has.
type wish struct {
	agent    string
	inactive bool
	sources  []string // nil: any
	native   rig.Fields
}

// A maker makes endpoints by one API and removes them.
type maker struct {
	make   func(t *testing.T, w wish) (uri, id string)
	remove func(t *testing.T, id string)
	native bool // the API can say all that an endpoint can be
}

// here admits the callers of these tests, and nowhere nobody.
var here, nowhere = []string{"127.0.0.0/8"}, []string{"203.0.113.0/24"}

// spec is a wish in the native API's words.
func (w wish) spec() rig.Fields {
	spec := rig.Fields{"is_active": !w.inactive}
	if w.sources != nil {
		var entries []rig.Fields
		for _, s := range w.sources {
			entries = append(entries, rig.Fields{"raw": s})
		}
		spec["ip"] = rig.Fields{"mode": "list", "entries": entries}
	}
	for k, v := range w.native {
		spec[k] = v
	}
	return spec
}

// makers are the APIs whose owners make endpoints. Ultravox's owners have one
// policy for an account: see TestTheAccountsPolicyIsOwedTheSameStatuses.
func makers(t *testing.T, b *bed) map[string]maker {
	t.Helper()
	web, y := b.Web(t), yapprOf(t, b)
	return map[string]maker{
		"native over NATS": {func(t *testing.T, w wish) (string, string) {
			ep := b.op.Endpoint(t, w.agent, w.spec())
			return b.URI(ep.Slug), ep.ID
		}, func(t *testing.T, id string) { b.op.Delete(t, id) }, true},
		"native over HTTP": {func(t *testing.T, w wish) (string, string) {
			in := rig.Fields{"slug_prefix": "web", "agent_id": w.agent}
			for k, v := range w.spec() {
				in[k] = v
			}
			var ep control.EndpointView
			web.Do(t, "POST", "/v1/endpoints", in, 201, &ep)
			return b.URI(ep.Slug), ep.ID
		}, func(t *testing.T, id string) { web.Do(t, "DELETE", "/v1/endpoints/"+id, nil, 204, nil) }, true},
		"Yappr": {func(t *testing.T, w wish) (string, string) { return y.wish(t, w) },
			func(t *testing.T, id string) {
				if status, _ := y.ask(t, "DELETE", "/sip-endpoints/"+id, ""); status != 200 {
					t.Errorf("delete: %d", status)
				}
			}, false},
	}
}

// wish makes an endpoint by Yappr's API.
func (y *yappr) wish(t *testing.T, w wish) (uri, id string) {
	t.Helper()
	sources, _ := json.Marshal(w.sources)
	status, made := y.ask(t, "POST", "/sip-endpoints", fmt.Sprintf(`{"name":"Desk","inbound_agent_id":%q,"allowed_source_ips":%s}`, w.agent, sources))
	if status != 201 {
		t.Fatalf("create: %d", status)
	}
	id = made["id"].(string)
	if w.inactive {
		y.set(t, "/sip-endpoints/"+id, `{"is_active":false}`)
	}
	return made["sip_uri"].(string), id
}

// owed is what a caller hears: the final status, the word of its Reason, and
// whether 180 may come before it.
type owed struct {
	status int
	reason string
	rings  bool
}

// owes sends an INVITE to the URI and checks what comes: nothing but 100 before
// a refusal that needs no agent, and never an answer before one.
func (b *bed) owes(t *testing.T, uri string, offer string, want owed) {
	t.Helper()
	carrier := b.Dial(t, "udp")
	invite := rig.Request{Method: "INVITE", URI: uri, Body: offer}.Fresh()
	carrier.Send(invite)
	var before []int
	final := carrier.Expect("final response", func(r rig.Response) bool {
		if r.Status() < 200 {
			before = append(before, r.Status())
		}
		return r.Status() >= 200
	})
	if final.Status() != want.status || !strings.Contains(final.Header("Reason"), want.reason) {
		t.Errorf("got %q, Reason %q, want %d and %q", final.Line(), final.Header("Reason"), want.status, want.reason)
	}
	if early := slices.DeleteFunc(slices.Clone(before), func(s int) bool { return s == 100 }); len(early) > 0 && !want.rings {
		t.Errorf("%v came before %d", early, final.Status())
	}
	if final.Status() == 200 {
		carrier.Send(invite.Within(final, "ACK", 1))
		(&talk{carrier, invite, final}).bye(t)
		return
	}
	carrier.Send(invite.AckOf(final))
}

// silk is an offer of a codec that nobody here has, and secret one that wants
// encryption.
func silk(port int) string {
	return strings.NewReplacer("RTP/AVP 0 8 101", "RTP/AVP 96", "a=rtpmap:0 PCMU/8000\r\n", "", "a=rtpmap:8 PCMA/8000\r\n", "",
		"a=rtpmap:101 telephone-event/8000", "a=rtpmap:96 SILK/8000", "a=fmtp:101 0-16\r\n", "").Replace(rig.Offer(port))
}

func srtp(port int) string { return strings.ReplaceAll(rig.Offer(port), "RTP/AVP", "RTP/SAVP") }

// TestEachLineOfTheDecisionIsOwedByEachAPI places a call for each line of the
// decision about an INVITE (docs/apis.md) to endpoints that each API made, in the
// explicit style.
func TestEachLineOfTheDecisionIsOwedByEachAPI(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.op.Account(t, rig.Fields{"refusal": "explicit"})
	off := b.op.Agent(t, "nats", rig.Fields{"is_active": false}).ID
	away := b.op.Agent(t, "nats", rig.Fields{"join_timeout_ms": 1000}).ID
	silent := b.op.Agent(t, "dialin", rig.Fields{"join_timeout_ms": 1000}).ID
	plain := rig.Offer(b.media)
	b.owes(t, "sip:"+strings.Repeat("a", 28)+"@"+b.SIP.String(), plain, owed{404, "", false})
	b.owes(t, "sip:desk@nobody.sip.localhost", plain, owed{404, "", false})
	for api, m := range makers(t, b) {
		t.Run(api, func(t *testing.T) {
			for name, c := range map[string]struct {
				wish  wish
				offer string
				want  owed
			}{
				"3 deleted":              {wish{agent: b.echo.Agent}, plain, owed{404, "", false}},
				"4 inactive":             {wish{agent: b.echo.Agent, inactive: true}, plain, owed{603, "endpoint_inactive", false}},
				"5 another source":       {wish{agent: b.echo.Agent, sources: nowhere}, plain, owed{403, "source_not_allowed", false}},
				"5 before 4":             {wish{agent: b.echo.Agent, sources: nowhere, inactive: true}, plain, owed{403, "source_not_allowed", false}},
				"5 this source":          {wish{agent: b.echo.Agent, sources: here}, plain, owed{200, "", true}},
				"7 it offers encryption": {wish{agent: b.echo.Agent}, srtp(b.media), owed{488, "", false}},
				"8 no codec in common":   {wish{agent: b.echo.Agent}, silk(b.media), owed{488, "", false}},
				"10 an agent":            {wish{agent: b.echo.Agent}, plain, owed{200, "", true}},
				"11 its agent is off":    {wish{agent: off}, plain, owed{603, "agent_inactive", false}},
				"12 no worker":           {wish{agent: away}, plain, owed{480, "", false}},
				"12 nobody dials in":     {wish{agent: silent}, plain, owed{480, "", true}},
			} {
				t.Run(name, func(t *testing.T) {
					uri, id := m.make(t, c.wish)
					if strings.HasPrefix(name, "3 ") {
						b.owes(t, uri, c.offer, owed{200, "", true})
						m.remove(t, id)
					}
					b.owes(t, uri, c.offer, c.want)
				})
			}
			if m.native {
				nativeLines(t, b, m)
			}
		})
	}
	b.Idle(t, settle)
}

// nativeLines are the lines that need words which only the native API has. Line 6,
// digest, is in yappr_test.go.
func nativeLines(t *testing.T, b *bed, m maker) {
	for name, c := range map[string]struct {
		spec rig.Fields
		want owed
	}{
		"5 no source at all":        {rig.Fields{"ip": rig.Fields{"mode": "none"}}, owed{403, "source_not_allowed", false}},
		"7 encryption is asked for": {rig.Fields{"media": rig.Fields{"encryption": "required"}}, owed{488, "encryption_not_supported", false}},
		"10b the account's rules":   {rig.Fields{"handler": rig.Fields{"active": "route_rules"}}, owed{404, "no_route", false}},
		"10c an application, not served": {rig.Fields{"handler": rig.Fields{"active": "application",
			"application_id": "0b6f4a0e-3a51-4c55-9a5e-6f2f0c7d1a01"}}, owed{480, "handler_not_supported", false}},
		"10d a topic, not served":    {rig.Fields{"handler": rig.Fields{"active": "relay_topic", "relay_topic": "desk"}}, owed{480, "handler_not_supported", false}},
		"no handler":                 {rig.Fields{"handler": rig.Fields{"active": ""}}, owed{404, "no_agent", false}},
		"9 the endpoint's own limit": {rig.Fields{"max_concurrent_calls": 1}, owed{486, "concurrency_limit", false}},
	} {
		t.Run(name, func(t *testing.T) {
			w := wish{native: c.spec, agent: b.echo.Agent}
			if c.spec["handler"] != nil {
				w.agent = ""
			}
			uri, _ := m.make(t, w)
			if strings.HasPrefix(name, "9 ") {
				first := &talk{Peer: b.Dial(t, "udp"), invite: rig.Request{Method: "INVITE", URI: uri, Body: rig.Offer(b.media)}.Fresh()}
				if first.answer = first.Final(first.invite); first.answer.Status() != 200 {
					t.Fatalf("the first call got %q", first.answer.Line())
				}
				defer first.end(t)
			}
			b.owes(t, uri, rig.Offer(b.media), c.want)
		})
	}
}

// TestTheAccountsPolicyIsOwedTheSameStatuses has the lines that Ultravox's owners
// can come to; who is allowed, in which order, and the webhook are in
// ultravox_test.go.
func TestTheAccountsPolicyIsOwedTheSameStatuses(t *testing.T) {
	t.Parallel()
	u := newUltravox(t, nil)
	off := u.op.Agent(t, "nats", rig.Fields{"is_active": false}).ID
	away := u.op.Agent(t, "nats", rig.Fields{"join_timeout_ms": 1000}).ID
	u.ask(t, "PATCH", "/api/sip", `{"allowAllAgents":true}`, 200)
	plain := rig.Offer(u.media)
	for _, c := range []struct {
		name, patch, agent, offer string
		want                      owed
	}{
		{"10b an agent", `{}`, u.echo.Agent, plain, owed{200, "", true}},
		{"7 it offers encryption", `{}`, u.echo.Agent, srtp(u.media), owed{488, "", false}},
		{"8 no codec in common", `{}`, u.echo.Agent, silk(u.media), owed{488, "", false}},
		{"11 its agent is off", `{}`, off, plain, owed{603, "agent_inactive", false}},
		{"12 no worker", `{}`, away, plain, owed{480, "", false}},
		{"5 another source", `{"allowedCidrRanges":["203.0.113.0/24"]}`, u.echo.Agent, plain, owed{403, "source_not_allowed", false}},
		{"5 before 11", `{}`, off, plain, owed{403, "source_not_allowed", false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u.ask(t, "PATCH", "/api/sip", c.patch, 200)
			u.bed.owes(t, "sip:agent_"+c.agent+"@"+u.domain, c.offer, c.want)
		})
	}
	u.Idle(t, settle)
}

// TestWhoCallsIsTrustedWhereTheAgentsOwnerSaysSo reads what an agent is told of
// callers to endpoints that each API made.
func TestWhoCallsIsTrustedWhereTheAgentsOwnerSaysSo(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	b.op.Account(t, rig.Fields{"refusal": "explicit"})
	listening := &ultravox{bed: b}
	for trusted, agent := range map[bool]string{
		false: b.op.Agent(t, "nats", rig.Fields{"join_timeout_ms": 1000}).ID,
		true:  b.op.Agent(t, "nats", rig.Fields{"join_timeout_ms": 1000, "trust_caller_id": true}).ID,
	} {
		offers := listening.heard(t, agent)
		for api, m := range makers(t, b) {
			uri, _ := m.make(t, wish{agent: agent})
			b.owes(t, uri, rig.Offer(b.media), owed{480, "", true})
			var told struct {
				From struct {
					User    string `json:"user"`
					Trusted bool   `json:"trusted"`
				} `json:"from"`
			}
			msg, err := offers.NextMsg(settle)
			if err == nil {
				err = json.Unmarshal(msg.Data, &told)
			}
			if err != nil || told.From.Trusted != trusted || told.From.User != "15550001111" {
				t.Errorf("%s: the agent is told %+v, %v, want trusted %t", api, told.From, err, trusted)
			}
		}
	}
}
