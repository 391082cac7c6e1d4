package actors_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

func (d *decider) explain(tenant string, inv endpoint.Invite) actors.Explanation {
	out := make(chan actors.Explanation, 1)
	d.Explain(tenant, inv, func(x actors.Explanation) { out <- x })
	return <-out
}

// decide sends one INVITE and returns what was told of it.
func (d *decider) decide(inv endpoint.Invite) actors.Decision {
	out := make(chan struct{})
	d.Invite(inv, call.Packet{}, func(actors.Outcome) { close(out) })
	<-out
	for { // the observer hears of it right after the edge
		d.mu.Lock()
		i := slices.IndexFunc(d.decisions, func(n actors.Decision) bool { return n.ID == endpoint.DecisionID(inv.CallID) })
		if i >= 0 {
			defer d.mu.Unlock()
			return d.decisions[i]
		}
		d.mu.Unlock()
		time.Sleep(10 * time.Microsecond)
	}
}

var sources = []string{"203.0.113.9:5060", "198.51.100.1:5060", "[2001:db8::9]:5060"}

func someIP(t *rapid.T, name string) endpoint.IPPolicy {
	p := endpoint.IPPolicy{Mode: rapid.SampledFrom([]endpoint.IPMode{endpoint.IPAny, endpoint.IPAny, endpoint.IPList, endpoint.IPNone, ""}).Draw(t, name)}
	if entry, err := endpoint.ParseIPEntry("203.0.113.0/24"); err == nil {
		p.Entries = []endpoint.IPEntry{entry}
	}
	return p
}

func someLimit(t *rapid.T, name string) *int {
	n := rapid.IntRange(0, 3).Draw(t, name)
	if n == 0 {
		return nil
	}
	return &n
}

// someWorld is a shelf with an account that has rules, numbers and a webhook
// or not, and a few endpoints of every kind.
func someWorld(t *rapid.T) (*shelf, []endpoint.Address) {
	s := newShelf()
	domain(s)
	s.agents["off"] = endpoint.Agent{ID: "off"}
	acct := &s.account
	acct.Refusal = rapid.SampledFrom([]endpoint.RefusalStyle{endpoint.RefuseUniform, endpoint.RefuseExplicit}).Draw(t, "style")
	acct.SIP.Ingress = someIP(t, "ingress")
	acct.SIP.AllowAllAgents = rapid.Bool().Draw(t, "all agents")
	acct.SIP.Rules = append(acct.SIP.Rules, endpoint.RouteRule{AgentID: rapid.SampledFrom([]string{"off", "missing", "bot"}).Draw(t, "third rule"), ToUserPattern: "^desk"})
	if rapid.Bool().Draw(t, "webhook") {
		acct.SIP.Fallback = &endpoint.FallbackHandler{URL: "https://route.example"}
	}
	acct.Projects = []endpoint.Project{{ID: "p1", Limits: endpoint.Limits{MaxConcurrentCalls: rapid.IntRange(0, 4).Draw(t, "project cap")}}}
	addrs := []endpoint.Address{endpoint.UserAddress("acme", "sales"), endpoint.UserAddress("acme", "desk-1"), endpoint.UserAddress("other", "x"),
		endpoint.Dialled("sales", "pbx.acme.example", "sip.example"), endpoint.Dialled("15551234567", "pbx.other.example", "sip.example"),
		"s/nobody", endpoint.NumberAddress("15551234567"), endpoint.NumberAddress("15559999999")}
	for i := range 3 {
		addrs = append(addrs, s.put(fmt.Sprint("desk", i), func(e *endpoint.Endpoint) {
			e.ID, e.IP, e.IsActive = fmt.Sprint("e", i), someIP(t, "ip"), rapid.IntRange(0, 4).Draw(t, "active") > 0
			e.MaxConcurrentCalls = someLimit(t, "cap")
			e.Handler = rapid.SampledFrom([]endpoint.Handler{
				{Active: endpoint.HandlerAgent, AgentID: ptr("bot")}, {Active: endpoint.HandlerAgent, AgentID: ptr("off")}, {Active: endpoint.HandlerAgent, AgentID: ptr("missing")},
				{Active: endpoint.HandlerRules}, {Active: endpoint.HandlerRules}, {}, {Active: "laml_webhooks"}}).Draw(t, "handler")
			if rapid.IntRange(0, 5).Draw(t, "deleted") == 0 {
				e.DeletedAt = ptr(time.Unix(1, 0))
			}
		}))
	}
	last := addrs[len(addrs)-1]
	s.hosts = map[endpoint.Key]string{endpoint.HostAddress("pbx.acme.example").Key(): "acme"}
	s.numbers = map[endpoint.Key]endpoint.Claims{endpoint.NumberAddress("15551234567").Key(): {Numbers: []endpoint.Number{{Tenant: "acme", Key: last.Key(), Partition: last.Partition(),
		Trunk: netip.MustParsePrefix("203.0.113.0/24")}}}}
	return s, addrs
}

// TestExplainGivesTheLiveVerdictAndRule explains generated calls to generated
// endpoints and then places them: verdict, rule, reason, agent and what the
// carrier is shown are the same, whatever the calls before have used up.
func TestExplainGivesTheLiveVerdictAndRule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		shelf, addrs := someWorld(rt)
		var store actors.Store = shelf
		if rapid.Bool().Draw(rt, "warm") {
			store = warm{shelf}
		}
		desk := newDesk()
		d := newDecider(noCleanup{t}, actors.EndpointLimits{}, store, desk, desk)
		defer d.Stop()
		for i := range rapid.IntRange(1, 12).Draw(rt, "calls") {
			inv := invite(rapid.SampledFrom(addrs).Draw(rt, "address"), fmt.Sprint("c", i))
			inv.Source = netip.MustParseAddrPort(rapid.SampledFrom(sources).Draw(rt, "source"))
			inv.ToUser = rapid.SampledFrom([]string{"", "sales", "eu-support", "desk-7", "agent_" + otherBot, "nobody"}).Draw(rt, "to")
			x := d.explain("acme", inv)
			jobs := desk.taken()
			if again := d.explain("acme", inv); again != x || desk.taken() != jobs {
				rt.Fatalf("explaining changes what is explained: %+v, then %+v", x, again)
			}
			n := d.decide(inv)
			if x.Verdict != n.Verdict || x.Shown != n.Shown || x.Key != n.Key || x.DecisionID != n.ID || x.Tenant != n.Tenant {
				rt.Fatalf("%s to %s, to user %q: explained %+v, decided %+v", inv.Source, inv.Address, inv.ToUser, x, n)
			}
		}
	})
}

// noCleanup lets a property test stop its deciders itself.
type noCleanup struct{ testing.TB }

func (noCleanup) Cleanup(func()) {}

func TestExplainLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", func(e *endpoint.Endpoint) {
			e.ID, e.MaxConcurrentCalls, e.MaxCallsPerSecond = "e1", ptr(1), ptr(1)
		})
		for range 100 {
			if x := d.explain("acme", invite(to, "c1")); x.Verdict.Action != endpoint.Accept || x.EndpointID != "e1" || x.Calls != 0 {
				t.Fatalf("got %+v", x)
			}
		}
		synctest.Wait()
		if len(d.decisions) != 0 || len(desk.jobs) != 0 {
			t.Errorf("%d decisions told, %d jobs", len(d.decisions), len(desk.jobs))
		}
		d.dial(to, "c1")
		if x := d.explain("acme", invite(to, "c2")); x.Verdict.Rule != endpoint.RuleRate || x.Calls != 1 || !x.Waits {
			t.Errorf("with the place taken: %+v", x)
		}
	})
}

// Whether it is another tenant's or nobody's, and where a number or a domain of
// his leads, must not show.
func TestWhatIsAnotherTenantsIsExplainedAsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, nothing, desk := newShelf(), newShelf(), newDesk()
		domain(store)
		slug := store.put("desk", nil)
		number := endpoint.NumberAddress("15551234567")
		store.numbers = map[endpoint.Key]endpoint.Claims{number.Key(): {Numbers: []endpoint.Number{{Tenant: "acme", Key: slug.Key(), Partition: slug.Partition()}}}}
		store.hosts = map[endpoint.Key]string{endpoint.HostAddress("pbx.acme.example").Key(): "acme"}
		bob := endpoint.UserAddress("acme", "bob")
		store.endpoints[bob.Key()] = store.endpoints[slug.Key()]
		there := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		nowhere := newDecider(t, actors.EndpointLimits{}, nothing, desk, desk)
		for _, addr := range []endpoint.Address{slug, number, bob, endpoint.UserAddress("acme", "sales"), endpoint.Dialled("bob", "pbx.acme.example", "sip.example"),
			endpoint.Dialled("sales", "pbx.acme.example", "sip.example"), endpoint.Dialled("15551234567", "pbx.acme.example", "sip.example"),
			endpoint.Dialled("15551234567", "pbx.nobody.example", "sip.example")} {
			inv := invite(addr, "c1")
			foreign, absent := there.explain("other", inv), nowhere.explain("other", inv)
			if foreign != absent || foreign.Verdict != endpoint.Unknown() || foreign.Shown.Status != 404 {
				t.Errorf("%s: foreign %+v, absent %+v", addr.Reveal(), foreign, absent)
			}
			if own := there.explain("acme", inv); own.Tenant != "acme" {
				t.Errorf("%s: one's own is %+v", addr.Reveal(), own)
			}
		}
	})
}

func TestExplainSaysWhatStandsInTheWayOfADecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := store.put("desk", nil)
		store.read = func(context.Context, endpoint.Key) error { return errors.New("no store") }
		d := newDecider(t, actors.EndpointLimits{Mailbox: 1}, store, desk, desk)
		if x := d.explain("acme", invite(to, "c1")); x.Verdict.Reason != endpoint.ReasonUnavailable || x.Shown.Status != 503 {
			t.Errorf("without a store: %+v", x)
		}
		d.Stop()
		var wg sync.WaitGroup
		wg.Go(func() {
			if x := d.explain("acme", invite(to, "c2")); x.Verdict.Reason != endpoint.ReasonDraining {
				t.Errorf("after the end: %+v", x)
			}
		})
		wg.Wait()
	})
}
