package endpoint_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
)

const (
	salesBot   = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0001"
	supportBot = "6b1d0f6e-0d1e-4a77-9a55-2f1f6a4f0002"
)

// routed is an account that routes calls itself.
func routed(change func(*endpoint.SipSettings)) endpoint.Account {
	a := endpoint.Account{V: 1, ID: projectID, Tenant: "acme", Name: "Acme", SIP: endpoint.SipSettings{
		Ingress: endpoint.IPPolicy{Mode: endpoint.IPAny},
		Rules: []endpoint.RouteRule{
			{AgentID: salesBot, ToUserPattern: `^\+?15551234567$|^sales$`},
			{AgentID: supportBot, ToUserPattern: "support"},
			{AgentID: supportBot},
		}}}
	if change != nil {
		change(&a.SIP)
	}
	return a
}

func TestRulesAreAskedInOrder(t *testing.T) {
	t.Parallel()
	rule := func(n int, agent string) endpoint.Verdict {
		return endpoint.Verdict{Action: endpoint.Accept, Agent: agent, Rule: endpoint.RuleRoute, Route: n}
	}
	all := func(s *endpoint.SipSettings) { s.AllowAllAgents = true }
	hook := func(s *endpoint.SipSettings) {
		s.Fallback = &endpoint.FallbackHandler{URL: "https://route.example/sip"}
	}
	none := endpoint.Verdict{Status: 404, Reason: endpoint.ReasonNoRoute, Rule: endpoint.RuleFallback}
	for name, c := range map[string]struct {
		user   string
		change func(*endpoint.SipSettings)
		want   endpoint.Verdict
	}{
		"a pattern fits":                       {"sales", nil, rule(1, salesBot)},
		"a number with +":                      {"+15551234567", nil, rule(1, salesBot)},
		"a number without +":                   {"15551234567", nil, rule(1, salesBot)},
		"a pattern is searched, not anchored":  {"eu-support-1", nil, rule(2, supportBot)},
		"parameters of the user are no part":   {"sales;phone-context=x", nil, rule(1, salesBot)},
		"case counts":                          {"Sales", nil, none},
		"without a pattern the agent is named": {"agent_" + supportBot, nil, rule(3, supportBot)},
		"all agents, if allowed":               {"agent_" + salesBot, all, endpoint.Verdict{Action: endpoint.Accept, Agent: salesBot, Rule: endpoint.RuleAllAgents}},
		"all agents, in any case":              {"agent_" + strings.ToUpper(salesBot), all, endpoint.Verdict{Action: endpoint.Accept, Agent: salesBot, Rule: endpoint.RuleAllAgents}},
		"all agents are agents only":           {"agent_sales-", all, none},
		"a rule comes before all agents":       {"agent_" + supportBot, all, rule(3, supportBot)},
		"the webhook comes last":               {"nobody", hook, endpoint.Verdict{Action: endpoint.Consult, Rule: endpoint.RuleFallback}},
		"nothing fits and there is no webhook": {"nobody", nil, none},
		"a user that is too long fits nothing": {"support" + strings.Repeat("x", 300), nil, none},
		"no user":                              {"", nil, none},
	} {
		for _, compiled := range []bool{false, true} {
			a := routed(c.change)
			if compiled {
				a.Compile()
			}
			inv := endpoint.Invite{Source: netip.MustParseAddrPort("203.0.113.9:5060"), ToUser: c.user}
			if got := endpoint.DecideAccount(a, endpoint.Usage{}, inv); got != c.want {
				t.Errorf("%s (compiled %v): got %+v, want %+v", name, compiled, got, c.want)
			}
		}
	}
}

func TestARuleThatChangedIsNotMatchedByItsOldPattern(t *testing.T) {
	t.Parallel()
	a := routed(nil)
	a.Compile()
	a.SIP.Rules[0].ToUserPattern = "^billing$"
	if v := a.Route(&endpoint.Invite{ToUser: "sales"}); v.Action == endpoint.Accept {
		t.Errorf("the old pattern still counts: %+v", v)
	}
	if v := a.Route(&endpoint.Invite{ToUser: "billing"}); v.Route != 1 {
		t.Errorf("the new one does not: %+v", v)
	}
}

func TestIngressAndLimitsComeBeforeRules(t *testing.T) {
	t.Parallel()
	inv := endpoint.Invite{Source: netip.MustParseAddrPort("203.0.113.9:5060"), ToUser: "sales"}
	for name, c := range map[string]struct {
		change func(*endpoint.Account)
		use    endpoint.Usage
		want   endpoint.Verdict
	}{
		"an account that says nothing admits nobody": {func(a *endpoint.Account) { a.SIP.Ingress = endpoint.IPPolicy{} }, endpoint.Usage{},
			endpoint.Verdict{Status: 403, Reason: endpoint.ReasonSourceNotAllowed, Rule: endpoint.RuleSource}},
		"an empty list admits nobody": {func(a *endpoint.Account) { a.SIP.Ingress = endpoint.IPPolicy{Mode: endpoint.IPList} }, endpoint.Usage{},
			endpoint.Verdict{Status: 403, Reason: endpoint.ReasonSourceNotAllowed, Rule: endpoint.RuleSource}},
		"the first project's cap": {func(a *endpoint.Account) {
			a.Projects = []endpoint.Project{{ID: projectID, Limits: endpoint.Limits{MaxConcurrentCalls: 1}}}
		}, endpoint.Usage{ProjectCalls: 1}, endpoint.Verdict{Status: 486, Reason: endpoint.ReasonConcurrency, Rule: endpoint.RuleProjectConcurrency}},
	} {
		a := routed(nil)
		c.change(&a)
		if got := endpoint.DecideAccount(a, c.use, inv); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAnEndpointMayFollowItsAccountsRules(t *testing.T) {
	t.Parallel()
	ep := openEndpoint()
	ep.Handler = endpoint.Handler{Active: endpoint.HandlerRules}
	inv := invite
	inv.ToUser = "sales"
	a := routed(func(s *endpoint.SipSettings) { s.Ingress = endpoint.IPPolicy{} }) // the endpoint's own list counts
	if v := endpoint.Decide(ep, a, endpoint.Usage{}, inv); v.Route != 1 || v.Agent != salesBot {
		t.Errorf("got %+v", v)
	}
}

func TestSIPMistakesNameTheirField(t *testing.T) {
	t.Parallel()
	secrets := func(n int) []endpoint.SecretRef { return make([]endpoint.SecretRef, n) }
	for want, change := range map[string]func(*endpoint.SipSettings){
		"sip.rules too_many":                    func(s *endpoint.SipSettings) { s.Rules = make([]endpoint.RouteRule, 21) },
		"sip.rules[1].agent_id required":        func(s *endpoint.SipSettings) { s.Rules[1].AgentID = "" },
		"sip.rules[0].to_user_pattern too_long": func(s *endpoint.SipSettings) { s.Rules[0].ToUserPattern = strings.Repeat("ä", 201) },
		"sip.rules[0].to_user_pattern invalid":  func(s *endpoint.SipSettings) { s.Rules[0].ToUserPattern = `(?=look-ahead)` },
		"sip.rules[2].to_user_pattern invalid":  func(s *endpoint.SipSettings) { s.Rules[2].ToUserPattern = `(a)\1` },
		"sip.rules[1].to_user_pattern invalid":  func(s *endpoint.SipSettings) { s.Rules[1].ToUserPattern = `x{1000}` }, // a large program
		"sip.start_call_agent invalid":          func(s *endpoint.SipSettings) { s.StartCallAgent = "bot" },
		"sip.domain_label invalid":              func(s *endpoint.SipSettings) { s.DomainIdentifier = "a.b" },
		"sip.ingress.mode invalid":              func(s *endpoint.SipSettings) { s.Ingress.Mode = "some" },
		"sip.fallback.url required":             func(s *endpoint.SipSettings) { s.Fallback = &endpoint.FallbackHandler{Secrets: secrets(1)} },
		"sip.fallback.url invalid": func(s *endpoint.SipSettings) {
			s.Fallback = &endpoint.FallbackHandler{URL: "ftp://x", Secrets: secrets(1)}
		},
		"sip.fallback.secrets required": func(s *endpoint.SipSettings) { s.Fallback = &endpoint.FallbackHandler{URL: "https://x.example"} },
		"sip.fallback.secrets too_many": func(s *endpoint.SipSettings) {
			s.Fallback = &endpoint.FallbackHandler{URL: "https://x.example", Secrets: secrets(11)}
		},
		"sip.fallback.timeout_ms out_of_range": func(s *endpoint.SipSettings) {
			s.Fallback = &endpoint.FallbackHandler{URL: "https://x.example", Secrets: secrets(1), TimeoutMs: 20_001}
		},
	} {
		a := routed(change)
		check(t, want, a.Validate(), want)
	}
	a := routed(func(s *endpoint.SipSettings) {
		s.Rules[0].ToUserPattern = strings.Repeat("ä", 200)
		s.Fallback = &endpoint.FallbackHandler{URL: "https://x.example/sip?a=1", Secrets: secrets(10), TimeoutMs: 100}
		s.StartCallAgent, s.DomainIdentifier = salesBot, "acme-2"
	})
	check(t, "all good", a.Validate())
}

func TestAnAddressEndpointNeedsUserAndLabel(t *testing.T) {
	t.Parallel()
	ep := validEndpoint(t)
	ep.Kind, ep.Slug, ep.User, ep.Domain = endpoint.KindAddress, "", "sales", "acme"
	check(t, "good", ep.Validate())
	if addr, ok := ep.Address(); !ok || addr.Reveal() != "a/acme/sales" {
		t.Errorf("address %s, %v", addr.Reveal(), ok)
	}
	ep.User = "sa/les"
	check(t, "user", ep.Validate(), "user invalid")
	ep.User, ep.Domain = "sales", ""
	check(t, "label", ep.Validate(), "domain required")
	if _, ok := ep.Address(); ok {
		t.Error("an endpoint without a domain has an address")
	}
}

// TestNoPatternStopsADecision plays patterns against users: whatever is
// accepted at write decides quickly and the same way, compiled or not.
func TestNoPatternStopsADecision(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := routed(func(s *endpoint.SipSettings) {
			s.Rules = []endpoint.RouteRule{{AgentID: salesBot, ToUserPattern: rapid.StringMatching(`[a-c.*+?()|\[\]{}0-3^$\\]{1,24}`).Draw(t, "pattern")}}
		})
		inv := endpoint.Invite{ToUser: rapid.StringMatching(`[a-d0-3]{0,40}`).Draw(t, "user")}
		plain := a.Route(&inv)
		a.Compile()
		if compiled := a.Route(&inv); plain != compiled {
			t.Fatalf("%+v, compiled %+v", plain, compiled)
		}
		if len(a.Validate()) > 0 && plain.Action == endpoint.Accept {
			t.Fatalf("a pattern that cannot be stored matches: %+v", plain)
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	a := routed(func(s *endpoint.SipSettings) {
		for len(s.Rules) < endpoint.MaxRules {
			s.Rules = append([]endpoint.RouteRule{{AgentID: supportBot, ToUserPattern: "^queue-[0-9]+$"}}, s.Rules...)
		}
	})
	a.Compile()
	inv := endpoint.Invite{ToUser: "sales"}
	b.ReportAllocs()
	for b.Loop() {
		if a.Route(&inv).Action != endpoint.Accept {
			b.Fatal("not accepted")
		}
	}
}
