package endpoint_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
)

var made = time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)

// fullEndpoint has every field set, so that the golden file shows them all.
func fullEndpoint(t testing.TB) endpoint.Endpoint {
	ep := validEndpoint(t)
	ep.NumericID, ep.ProjectID, ep.SubAccount = "86823741234567", projectID, ptr("SA_1")
	ep.User, ep.Domain = "support", "acme.sip.example"
	ep.Auth = endpoint.Auth{Mode: endpoint.AuthDigest, Username: "support", HA1MD5: "sealed-1", HA1SHA256: "sealed-2", PasswordSetAt: &made}
	ep.IP = listOf(t, "203.0.113.77/24", "2001:db8::1")
	ep.IP.Entries[0].ACLID, ep.IP.Entries[0].Name, ep.IP.Entries[0].Description = ptr("acl-1"), "carrier", "all of it"
	ep.Media = endpoint.MediaPolicy{Codecs: &[]string{"PCMU", "G722"}, Ciphers: &[]string{}, Encryption: "optional",
		DTMFOut: endpoint.DTMFInfo, DTMFInBand: endpoint.DTMFOff}
	ep.CallerID, ep.SendAs = "Acme", ptr("+15551234567")
	ep.Perm = endpoint.Permissions{Voice: true, Message: true, SameDomain: true, Phones: true, Apps: true}
	word := func(s string) *string { return ptr("the " + s) }
	ep.Handler = endpoint.Handler{Active: "agent", AgentID: ptr(agentID), ApplicationID: word("application"), ResourceID: word("resource"),
		RequestURL: word("request"), RequestMethod: word("request method"), FallbackURL: word("fallback"), FallbackMethod: word("fallback method"),
		StatusURL: word("status"), StatusMethod: word("status method"), LamlAppID: word("laml"), DialogflowAgentID: word("dialogflow"),
		RelayTopic: word("topic"), RelayTopicStatusURL: word("topic status"), RelayContext: word("context"), RelayContextStatus: word("context status"),
		RelayApplication: word("relay application"), VideoRoomID: word("room"), FlowID: word("flow"), FlowVersion: word("flow version"),
		AIAgentID: word("ai agent"), ScriptURL: word("script")}
	ep.MaxConcurrentCalls, ep.MaxCallsPerSecond, ep.CapPolicy = ptr(8), ptr(2), endpoint.CapStrict
	ep.Register = &endpoint.OutRegistration{ID: "r1", ProjectID: projectID, Username: "us", AuthUser: "us-auth", Server: "pbx.example", OutboundProxy: "proxy.example",
		Transport: "tls", Region: "eu", PasswordEnc: "sealed-3", Status: "registered", Detail: "200", Successful: ptr(true), Expires: time.Hour, NextAttempt: made, CreatedAt: made}
	ep.CallerIDTrusted, ep.LastCallAt, ep.Origin = ptr(true), &made, "yappr"
	ep.Compat = map[string]json.RawMessage{"sip_connection": json.RawMessage(`{"region":"eu"}`)}
	ep.EarlyPolicy = endpoint.EarlyPolicy{EarlyMedia: endpoint.EarlyAgent, RingbackTone: endpoint.TonesEU, EarlyMediaLimitMs: 20_000, EarlyMediaEnd: endpoint.EarlyReject}
	ep.CreatedAt, ep.UpdatedAt, ep.DeletedAt = made, made, &made
	return ep
}

func fullAgent() endpoint.Agent {
	return endpoint.Agent{V: 1, ID: agentID, Tenant: "acme", ProjectID: projectID, Name: "Receptionist", IsActive: true,
		WebRTC: endpoint.AgentTransport{Connector: endpoint.ConnectHTTP, Dialect: "json", URL: "https://bot.example/offer", AuthType: "bearer", AuthSecret: "sealed-4",
			Headers: map[string]string{"X-Tenant": "acme"}, Codecs: []string{"PCMU"}, TimeoutMs: 3000, Attempts: 2, Session: json.RawMessage(`{"model":"m"}`),
			DataChannel: "auto", OnClose: "hangup", NoSilence: true, NoMetadata: true},
		ContextSchema: json.RawMessage(`{"type":"object"}`), CallTemplate: json.RawMessage(`{"voice":"v"}`), MaxDurationMs: 60000, JoinTimeoutMs: 20000,
		DTMF: endpoint.DTMFPolicy{RTP: true, DataChannel: true}, TrustCallerID: true, WebhookURL: ptr("https://hook.example"), WebhookEvents: []string{"call.ended"},
		Metadata: map[string]string{"team": "front"}, CreatedAt: made, UpdatedAt: made}
}

func fullAccount() endpoint.Account {
	return endpoint.Account{V: 1, ID: projectID, Tenant: "acme", Name: "Acme", SpaceName: "acme", Refusal: endpoint.RefuseExplicit,
		Projects: []endpoint.Project{{ID: projectID, ParentID: ptr("p0"), Name: "main", AuthID: "MA_1", SigningKey: "sealed-5", NextSigningKey: ptr(endpoint.SecretRef("sealed-6")),
			NextActiveAt: &made, AuthTokenEnc: "sealed-7", DefaultEndpointAppID: ptr("a1"), DefaultNumberAppID: ptr("a2"), DefaultAppID: ptr("a3"),
			Limits: endpoint.Limits{MaxConcurrentCalls: 10, CPS: 5, QueueDepth: 100, EndpointCreatesPerDay: 20, APIPerMinute: 60, MaxRegisterOut: 5}}},
		SIP: endpoint.SipSettings{Domain: "acme.sip.example", DomainIdentifier: "acme", DefaultCodecs: []string{"PCMU"}, DefaultCiphers: []string{"c"}, DefaultEncryption: "optional",
			DefaultSendAs: ptr("random"), OutboundPolicy: "block-pstn", Ingress: endpoint.IPPolicy{Mode: endpoint.IPNone}, AllowAllAgents: true,
			Rules: []endpoint.RouteRule{{AgentID: agentID, ToUserPattern: "^1555$"}}, Fallback: &endpoint.FallbackHandler{URL: "https://f.example", Secrets: []endpoint.SecretRef{"sealed-8"}, TimeoutMs: 5000}, StartCallAgent: agentID},
		CreatedAt: made, UpdatedAt: made}
}

// fullClaims are those on one number: of any source, and of one trunk.
func fullClaims() endpoint.Claims {
	n := endpoint.Number{V: 1, ID: projectID, Tenant: "acme", Digits: "15551234567", EndpointID: agentID, Key: "wdfekch3rc54idhjjsvapwl5lu", Partition: 70, CreatedAt: made}
	trunk := n
	trunk.Trunk = netip.MustParsePrefix("203.0.113.0/28")
	return endpoint.Claims{V: 1, Numbers: []endpoint.Number{n, trunk}}
}

func TestStoredFormsAreStable(t *testing.T) {
	t.Parallel()
	for path, v := range map[string]any{
		"testdata/endpoint.json": fullEndpoint(t),
		"testdata/agent.json":    fullAgent(),
		"testdata/account.json":  fullAccount(),
		"testdata/key.json": endpoint.APIKey{V: 1, Tenant: "acme", Name: "Dashboard", CreatedAt: made, APIToken: endpoint.APIToken{ID: "k1", ProjectID: projectID,
			Kind: endpoint.KindOfNative, Prefix: "pbk_abcd", Hash: []byte{1, 2, 3}, Scopes: []string{endpoint.ScopeCallsRead}, ExpiresAt: &made, RevokedAt: &made}},
		"testdata/block.json":  endpoint.Block{V: 1, Source: netip.MustParsePrefix("203.0.113.0/28"), Reason: "scanner", CreatedAt: made, ExpiresAt: &made},
		"testdata/claims.json": fullClaims(),
		"testdata/domain.json": endpoint.Domain{V: 1, Tenant: "acme", Label: "acme-desk"},
		"testdata/verdict.json": []endpoint.Verdict{{}, {Action: endpoint.Accept, Agent: agentID, Rule: endpoint.RuleHandler},
			endpoint.Unknown(), {Action: endpoint.Consult}, {Action: endpoint.Accept, Agent: agentID, Rule: endpoint.RuleRoute, Route: 2}},
		"testdata/invite.json": endpoint.Invite{Address: "s/desk-x", CallID: "c1", FromTag: "f1", CSeq: 1, Branch: "z9hG4bK1",
			Source: netip.MustParseAddrPort("[2001:db8::1]:5060"), Transport: "udp", FromUser: "alice", ToUser: "bob"},
	} {
		out, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, path, append(out, '\n'))
	}
}

func TestStoredFormsLoseNothing(t *testing.T) {
	t.Parallel()
	roundTrip(t, fullEndpoint(t))
	roundTrip(t, fullAgent())
	roundTrip(t, fullAccount())
	roundTrip(t, fullClaims())
	text := rapid.StringMatching(`[a-zé "\\<>&\n]{0,20}`)
	rapid.Check(t, func(rt *rapid.T) {
		ep := fullEndpoint(t)
		ep.Name, ep.User, ep.Origin = text.Draw(rt, "name"), text.Draw(rt, "user"), text.Draw(rt, "origin")
		ep.IsActive = rapid.Bool().Draw(rt, "active")
		ep.MaxConcurrentCalls = rapid.Ptr(rapid.IntRange(1, 9), true).Draw(rt, "cap")
		ep.SendAs = rapid.Ptr(text, true).Draw(rt, "send as")
		ep.IP.Mode = rapid.SampledFrom([]endpoint.IPMode{endpoint.IPAny, endpoint.IPList, endpoint.IPNone}).Draw(rt, "mode")
		ep.IP.Entries = nil
		for range rapid.IntRange(0, 3).Draw(rt, "entries") {
			raw := netip.PrefixFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(rt, "ip"))), rapid.IntRange(0, 32).Draw(rt, "bits")).String()
			entry, err := endpoint.ParseIPEntry(raw)
			if err != nil {
				rt.Fatal(err)
			}
			ep.IP.Entries = append(ep.IP.Entries, entry)
		}
		roundTrip(rt, ep)
	})
}

func roundTrip[T any](t interface{ Fatalf(string, ...any) }, v T) {
	raw, err := json.Marshal(v)
	var back T
	if err == nil {
		err = json.Unmarshal(raw, &back)
	}
	if err != nil || !reflect.DeepEqual(v, back) {
		t.Fatalf("%T came back changed: %v", v, err)
	}
}

func TestAddressKeysArePinned(t *testing.T) {
	t.Parallel()
	a := endpoint.SlugAddress("DESK-abcdefghijkmnpqrstuvwxyz")
	if a.Key() != "wdfekch3rc54idhjjsvapwl5lu" || a.Partition() != 70 {
		t.Errorf("key %s, partition %d: what is stored under them would be lost", a.Key(), a.Partition())
	}
	if endpoint.UserAddress("acme", "a").Partition() != endpoint.AccountAddress("ACME").Partition() {
		t.Error("an account's addresses are in two mailboxes")
	}
	if endpoint.UserAddress("acme", "a").Key() == endpoint.UserAddress("acme", "A").Key() {
		t.Error("users are case-sensitive (RFC 3261 19.1.4)")
	}
	n := endpoint.NumberAddress("15551234567")
	if n.Key() != "vdbvbyx3ajtxv7o23crezg3jy4" || n.Partition() != 218 {
		t.Errorf("key %s, partition %d: what is stored under them would be lost", n.Key(), n.Partition())
	}
	if endpoint.ProjectKey("acme", "p") == endpoint.ProjectKey("acme", "q") {
		t.Error("two projects share a key")
	}
}
