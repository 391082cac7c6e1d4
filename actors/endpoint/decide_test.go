package endpoint_test

import (
	"net/netip"
	"testing"
	"time"

	"patchbay/actors/endpoint"
)

const (
	agentID   = "0d1f7c2a-6a0b-4a53-9a6a-2f1f4ce0b6a1"
	projectID = "11111111-2222-4333-8444-555555555555"
)

func ptr[T any](v T) *T { return &v }

func openEndpoint() endpoint.Endpoint {
	return endpoint.Endpoint{V: 1, Tenant: "acme", Kind: endpoint.KindSlug, IsActive: true,
		IP:      endpoint.IPPolicy{Mode: endpoint.IPAny},
		Handler: endpoint.Handler{Active: endpoint.HandlerAgent, AgentID: ptr(agentID)}}
}

var invite = endpoint.Invite{Source: netip.MustParseAddrPort("203.0.113.9:5060")}

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	var spent endpoint.Bucket
	for spent.Allows(now, 2) {
		spent.Take(now, 2)
	}
	refuse := func(status int, why endpoint.Reason, by endpoint.Rule) endpoint.Verdict {
		return endpoint.Verdict{Status: status, Reason: why, Rule: by}
	}
	accept := endpoint.Verdict{Action: endpoint.Accept, Agent: agentID, Rule: endpoint.RuleHandler}
	limits := func(l endpoint.Limits) endpoint.Account {
		return endpoint.Account{Projects: []endpoint.Project{{ID: projectID, Limits: l}}}
	}
	for name, c := range map[string]struct {
		change func(*endpoint.Endpoint)
		acct   endpoint.Account
		use    endpoint.Usage
		want   endpoint.Verdict
	}{
		"an open endpoint accepts": {want: accept},
		"ai_agent is an agent too": {change: func(e *endpoint.Endpoint) {
			e.Handler = endpoint.Handler{Active: endpoint.HandlerAIAgent, AIAgentID: ptr(agentID)}
		}, want: accept},
		"a deleted endpoint is unknown": {change: func(e *endpoint.Endpoint) { e.DeletedAt = ptr(now) },
			want: refuse(404, endpoint.ReasonUnknown, endpoint.RuleExists)},
		"a stranger is refused": {change: func(e *endpoint.Endpoint) { e.IP = endpoint.IPPolicy{Mode: endpoint.IPNone} },
			want: refuse(403, endpoint.ReasonSourceNotAllowed, endpoint.RuleSource)},
		"a stranger does not learn that it is inactive": {change: func(e *endpoint.Endpoint) { e.IP, e.IsActive = endpoint.IPPolicy{}, false },
			want: refuse(403, endpoint.ReasonSourceNotAllowed, endpoint.RuleSource)},
		"an inactive endpoint declines": {change: func(e *endpoint.Endpoint) { e.IsActive = false },
			want: refuse(603, endpoint.ReasonInactive, endpoint.RuleActive)},
		"the rate is a cap": {change: func(e *endpoint.Endpoint) { e.MaxCallsPerSecond = ptr(2) },
			use: endpoint.Usage{Now: now, Rate: spent}, want: refuse(486, endpoint.ReasonRate, endpoint.RuleRate)},
		"the rate comes back with time": {change: func(e *endpoint.Endpoint) { e.MaxCallsPerSecond = ptr(2) },
			use: endpoint.Usage{Now: now.Add(500 * time.Millisecond), Rate: spent}, want: accept},
		"the project's rate is a cap": {acct: limits(endpoint.Limits{CPS: 2}), use: endpoint.Usage{Now: now, ProjectRate: spent},
			want: refuse(486, endpoint.ReasonRate, endpoint.RuleProjectRate)},
		"below the cap there is room": {change: func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(2) },
			use: endpoint.Usage{Calls: 1}, want: accept},
		"at the cap it is busy": {change: func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(2) },
			use: endpoint.Usage{Calls: 2}, want: refuse(486, endpoint.ReasonConcurrency, endpoint.RuleConcurrency)},
		"at the project's cap it is busy": {acct: limits(endpoint.Limits{MaxConcurrentCalls: 3}), use: endpoint.Usage{ProjectCalls: 3},
			want: refuse(486, endpoint.ReasonConcurrency, endpoint.RuleProjectConcurrency)},
		"another project's limits do not count": {change: func(e *endpoint.Endpoint) { e.ProjectID = agentID },
			acct: endpoint.Account{Projects: []endpoint.Project{{ID: projectID, Limits: endpoint.Limits{MaxConcurrentCalls: 3}}, {ID: agentID}}},
			use:  endpoint.Usage{ProjectCalls: 3}, want: accept},
		"digest is never left out": {change: func(e *endpoint.Endpoint) { e.Auth.Mode = endpoint.AuthDigest },
			want: refuse(480, endpoint.ReasonDigest, endpoint.RuleServed)},
		"encryption is never left out": {change: func(e *endpoint.Endpoint) { e.Media.Encryption = endpoint.EncryptionRequired },
			want: refuse(488, endpoint.ReasonEncryption, endpoint.RuleServed)},
		"the account's encryption is its endpoints'": {acct: endpoint.Account{SIP: endpoint.SipSettings{DefaultEncryption: endpoint.EncryptionRequired}},
			want: refuse(488, endpoint.ReasonEncryption, endpoint.RuleServed)},
		"an endpoint's own word is before the account's": {change: func(e *endpoint.Endpoint) { e.Media.Encryption = endpoint.EncryptionOptional },
			acct: endpoint.Account{SIP: endpoint.SipSettings{DefaultEncryption: endpoint.EncryptionRequired}}, want: accept},
		"what is not served uses up no cap": {change: func(e *endpoint.Endpoint) {
			e.Media.Encryption, e.MaxConcurrentCalls = endpoint.EncryptionRequired, ptr(2)
		}, use: endpoint.Usage{Calls: 2}, want: refuse(488, endpoint.ReasonEncryption, endpoint.RuleServed)},
		"nobody answers": {change: func(e *endpoint.Endpoint) { e.Handler = endpoint.Handler{} },
			want: refuse(404, endpoint.ReasonNoAgent, endpoint.RuleHandler)},
		"the agent has no id": {change: func(e *endpoint.Endpoint) { e.Handler.AgentID = nil },
			want: refuse(404, endpoint.ReasonNoAgent, endpoint.RuleHandler)},
		"other handlers are not served yet": {change: func(e *endpoint.Endpoint) { e.Handler.Active = "relay_topic" },
			want: refuse(480, endpoint.ReasonUnsupported, endpoint.RuleHandler)},
	} {
		ep := openEndpoint()
		if c.change != nil {
			c.change(&ep)
		}
		if got := endpoint.Decide(ep, c.acct, c.use, invite); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestZeroEndpointLetsNobodyIn(t *testing.T) {
	t.Parallel()
	v := endpoint.Decide(endpoint.Endpoint{}, endpoint.Account{}, endpoint.Usage{}, invite)
	if v.Action != endpoint.Reject || v.Status != 403 {
		t.Errorf("got %+v", v)
	}
	if shown := (endpoint.Verdict{}).Shown(""); shown.Status != 603 {
		t.Errorf("the zero verdict shows %+v", shown)
	}
}

func TestAgentMustExistAndBeActive(t *testing.T) {
	t.Parallel()
	v := endpoint.Decide(openEndpoint(), endpoint.Account{}, endpoint.Usage{}, invite)
	for name, c := range map[string]struct {
		agent  *endpoint.Agent
		status int
		reason endpoint.Reason
	}{
		"missing":  {nil, 480, endpoint.ReasonNoAgent},
		"inactive": {&endpoint.Agent{ID: agentID}, 603, endpoint.ReasonAgentInactive},
		"active":   {&endpoint.Agent{ID: agentID, IsActive: true}, 0, ""},
	} {
		if got := v.CheckAgent(c.agent); got.Status != c.status || got.Reason != c.reason {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if got := endpoint.Unknown().CheckAgent(nil); got != endpoint.Unknown() {
		t.Errorf("a rejection became %+v", got)
	}
}

func TestUniformRefusalsLookAlike(t *testing.T) {
	t.Parallel()
	ep := openEndpoint()
	ep.IsActive = false
	inactive := endpoint.Decide(ep, endpoint.Account{}, endpoint.Usage{}, invite)
	ep.IP = endpoint.IPPolicy{Mode: endpoint.IPNone}
	stranger := endpoint.Decide(ep, endpoint.Account{}, endpoint.Usage{}, invite)
	ep.DeletedAt = ptr(time.Now())
	deleted := endpoint.Decide(ep, endpoint.Account{}, endpoint.Usage{}, invite)
	for _, style := range []endpoint.RefusalStyle{"", endpoint.RefuseUniform, "misspelt"} {
		for name, v := range map[string]endpoint.Verdict{"unknown": endpoint.Unknown(), "inactive": inactive, "stranger": stranger, "deleted": deleted} {
			if got := v.Shown(style); got != (endpoint.Shown{Status: 404}) {
				t.Errorf("%s in style %q shows %+v", name, style, got)
			}
		}
	}
	for name, c := range map[string]struct {
		v    endpoint.Verdict
		want endpoint.Shown
	}{
		"inactive": {inactive, endpoint.Shown{Status: 603, Reason: "endpoint_inactive"}},
		"stranger": {stranger, endpoint.Shown{Status: 403, Reason: "source_not_allowed"}},
	} {
		if got := c.v.Shown(endpoint.RefuseExplicit); got != c.want {
			t.Errorf("%s in explicit style shows %+v, want %+v", name, got, c.want)
		}
	}
}

func TestCapsAreShownInEveryStyle(t *testing.T) {
	t.Parallel()
	v := endpoint.Verdict{Status: 486, Reason: endpoint.ReasonConcurrency}
	if got := v.Shown(endpoint.RefuseUniform); got != (endpoint.Shown{Status: 486}) {
		t.Errorf("uniform: %+v", got)
	}
	if got := v.Shown(endpoint.RefuseExplicit); got != (endpoint.Shown{Status: 486, Reason: "concurrency_limit"}) {
		t.Errorf("explicit: %+v", got)
	}
	if got := endpoint.Unavailable(endpoint.ReasonBusy).Shown(""); got.Status != 503 {
		t.Errorf("our own trouble: %+v", got)
	}
}

func TestDecisionIDFollowsFromTheCallID(t *testing.T) {
	t.Parallel()
	const want = "rjb4vqhcr3sote62"
	if got := endpoint.DecisionID("a84b4c76e66710@pc33.atlanta.example.com"); got != want {
		t.Errorf("got %s, want %s: owners look decisions up by it", got, want)
	}
	if endpoint.DecisionID("a") == endpoint.DecisionID("b") {
		t.Error("two calls share a decision id")
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	ep, acct := benchmarkPolicy(t)
	if n := testing.AllocsPerRun(100, func() { endpoint.Decide(ep, acct, endpoint.Usage{}, invite) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func benchmarkPolicy(t testing.TB) (endpoint.Endpoint, endpoint.Account) {
	ep := openEndpoint()
	ep.IP = listOf(t, "198.51.100.0/24", "203.0.113.0/24")
	ep.MaxConcurrentCalls, ep.MaxCallsPerSecond = ptr(10), ptr(10)
	return ep, endpoint.Account{Projects: []endpoint.Project{{Limits: endpoint.Limits{CPS: 100, MaxConcurrentCalls: 100}}}}
}

func BenchmarkDecide(b *testing.B) {
	ep, acct := benchmarkPolicy(b)
	use := endpoint.Usage{Now: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if endpoint.Decide(ep, acct, use, invite).Action != endpoint.Accept {
			b.Fatal("refused")
		}
	}
}

func TestAnEndpointWhoseProjectIsGoneHasTheAccountsLimits(t *testing.T) {
	t.Parallel()
	acct := endpoint.Account{Projects: []endpoint.Project{{ID: "first", Limits: endpoint.Limits{MaxConcurrentCalls: 3}}, {ID: "second", Limits: endpoint.Limits{MaxConcurrentCalls: 5}}}}
	for project, want := range map[string]int{"": 3, "first": 3, "second": 5, "gone": 3} {
		if got := acct.Limits(project).MaxConcurrentCalls; got != want {
			t.Errorf("%q: %d, want %d", project, got, want)
		}
	}
	if got := (&endpoint.Account{}).Limits("gone"); got != (endpoint.Limits{}) {
		t.Errorf("without projects: %+v", got)
	}
}
