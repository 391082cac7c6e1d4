package actors_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A domain is an account with rules at acme.<base domain>.
func domain(store *shelf) {
	store.domains = map[endpoint.Key]string{endpoint.AccountAddress("acme").Key(): "acme"}
	store.agents = map[string]endpoint.Agent{"bot": {ID: "bot", IsActive: true}, "sales": {ID: "sales", IsActive: true}, "support": {ID: "support", IsActive: true}}
	store.account.SIP = endpoint.SipSettings{DomainIdentifier: "acme", Ingress: endpoint.IPPolicy{Mode: endpoint.IPAny},
		Rules: []endpoint.RouteRule{{AgentID: "sales", ToUserPattern: "^sales$"}, {AgentID: "support", ToUserPattern: "support"}}}
}

func userInvite(user, callID string) endpoint.Invite {
	inv := invite(endpoint.UserAddress("acme", user), callID)
	inv.ToUser = user
	return inv
}

func TestAnAccountDecidesAboutItsDomain(t *testing.T) {
	for _, cold := range []bool{true, false} {
		t.Run(fmt.Sprint("cold ", cold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shelf, desk := newShelf(), newDesk()
				domain(shelf)
				shelf.account.Refusal = endpoint.RefuseExplicit
				bob := endpoint.UserAddress("acme", "bob")
				shelf.put("x", nil)
				shelf.endpoints[bob.Key()] = shelf.endpoints[endpoint.SlugAddress("x").Key()]
				var store actors.Store = shelf
				if !cold {
					store = warm{shelf}
				}
				d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
				for i, c := range []struct {
					user  string
					rule  endpoint.Rule
					agent string
					key   endpoint.Key
				}{
					{"bob", endpoint.RuleHandler, "bot", bob.Key()}, // an endpoint of its own comes first
					{"sales", endpoint.RuleRoute, "sales", endpoint.AccountAddress("acme").Key()},
					{"eu-support", endpoint.RuleRoute, "support", endpoint.AccountAddress("acme").Key()},
					{"nobody", endpoint.RuleFallback, "", endpoint.AccountAddress("acme").Key()},
				} {
					out := d.send(userInvite(c.user, fmt.Sprint("c", i)))
					synctest.Wait()
					if n := d.last(); out.Taken != (c.agent != "") || n.Verdict.Rule != c.rule || n.Verdict.Agent != c.agent || n.Key != c.key || n.Tenant != "acme" {
						t.Errorf("%s: %+v, told as %+v", c.user, out, n)
					}
					if job := len(desk.jobs); c.agent != "" && (desk.jobs[job-1].Agent.ID != c.agent || desk.jobs[job-1].Endpoint != c.key) {
						t.Errorf("%s: the job is %+v", c.user, desk.jobs[job-1])
					}
				}
				if out := d.send(invite(endpoint.UserAddress("other", "sales"), "c9")); out.Status != 404 || d.last().Verdict != endpoint.Unknown() {
					t.Errorf("a domain of nobody: %+v", out)
				}
				shelf.account.SIP.DomainIdentifier = "" // claimed, and not in use
				if out := d.send(userInvite("sales", "c10")); out.Status != 404 {
					t.Errorf("a domain that is not in use: %+v", out)
				}
			})
		})
	}
}

func TestAnAccountsOwnDomainStandsForItsLabels(t *testing.T) {
	for _, cold := range []bool{true, false} {
		t.Run(fmt.Sprint("cold ", cold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shelf, desk := newShelf(), newDesk()
				domain(shelf)
				shelf.hosts = map[endpoint.Key]string{endpoint.HostAddress("pbx.acme.example").Key(): "acme"}
				bob := endpoint.UserAddress("acme", "bob")
				number := shelf.put("x", nil)
				shelf.endpoints[bob.Key()] = shelf.endpoints[number.Key()]
				shelf.numbers = map[endpoint.Key]endpoint.Claims{endpoint.NumberAddress("15551234567").Key(): {
					Numbers: []endpoint.Number{{Tenant: "acme", Key: number.Key(), Partition: number.Partition()}}}}
				var store actors.Store = shelf
				if !cold {
					store = warm{shelf}
				}
				d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
				account := endpoint.AccountAddress("acme").Key()
				for i, c := range []struct {
					user, host string
					rule       endpoint.Rule
					key        endpoint.Key
				}{
					{"bob", "pbx.acme.example", endpoint.RuleHandler, bob.Key()},
					{"sales", "pbx.acme.example", endpoint.RuleRoute, account},
					{"+15551234567", "pbx.acme.example", endpoint.RuleFallback, account}, // the account's own affair
					{"+15551234567", "pbx.other.example", endpoint.RuleHandler, number.Key()},
					{"bob", "pbx.other.example", endpoint.RuleExists, endpoint.SlugAddress("bob").Key()},
				} {
					inv := invite(endpoint.Dialled(c.user, c.host, "sip.example"), fmt.Sprint("c", i))
					inv.ToUser = c.user
					x := d.explain("acme", inv)
					n := d.decide(inv)
					if n.Verdict.Rule != c.rule || n.Key != c.key {
						t.Errorf("%s@%s: %+v, want %s of %s", c.user, c.host, n, c.rule, c.key)
					}
					if x.Verdict != n.Verdict || x.Key != n.Key {
						t.Errorf("%s@%s: explained %+v, decided %+v", c.user, c.host, x, n)
					}
				}
			})
		})
	}
}

// A slug that was given up may be imported again, by anybody; a number that
// led to it must not lead there.
func TestANumberDoesNotLeadToAnotherTenantsEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf, desk := newShelf(), newDesk()
		slug := shelf.put("desk", func(ep *endpoint.Endpoint) { ep.Tenant = "other" })
		shelf.numbers = map[endpoint.Key]endpoint.Claims{endpoint.NumberAddress("15551234567").Key(): {
			Numbers: []endpoint.Number{{Tenant: "acme", Key: slug.Key(), Partition: slug.Partition()}}}}
		d := newDecider(t, actors.EndpointLimits{}, shelf, desk, desk)
		if n := d.decide(invite(endpoint.NumberAddress("15551234567"), "c1")); n.Verdict != endpoint.Unknown() {
			t.Errorf("by number: %+v", n)
		}
		if n := d.decide(invite(slug, "c2")); n.Verdict.Action != endpoint.Accept {
			t.Errorf("by slug: %+v", n)
		}
	})
}

// TestCallsThatWaitForOneReadEachGetTheirOwnAgent lets many INVITEs to the
// same address, for agents of different rules, wait for one slow read.
func TestCallsThatWaitForOneReadEachGetTheirOwnAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		domain(store)
		store.read = func(context.Context, endpoint.Key) error { time.Sleep(20 * time.Millisecond); return nil }
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		users := []string{"sales", "support-1", "sales", "nobody", "support-2", "sales"}
		outs := make([]actors.Outcome, len(users))
		for i, user := range users {
			inv := invite(endpoint.UserAddress("acme", "desk"), fmt.Sprint("c", i)) // one Request-URI, several To
			inv.ToUser = user
			d.Invite(inv, call.Packet{}, func(o actors.Outcome) { outs[i] = o })
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i, user := range users {
			if outs[i].Taken != (user != "nobody") {
				t.Errorf("%s: %+v", user, outs[i])
			}
		}
		got := map[string]int{}
		for _, job := range desk.jobs {
			got[job.Agent.ID]++
		}
		if got["sales"] != 3 || got["support"] != 2 {
			t.Errorf("agents got %v", got)
		}
	})
}

func TestStrangersToADomainUseUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		domain(store)
		store.account.SIP.Ingress = endpoint.IPPolicy{}
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		if out := d.send(userInvite("sales", "c1")); out != (actors.Outcome{Status: 404}) || d.last().Verdict.Reason != endpoint.ReasonSourceNotAllowed {
			t.Errorf("got %+v by %+v", out, d.last().Verdict)
		}
	})
}

func TestANumberLeadsToItsEndpoint(t *testing.T) {
	for _, cold := range []bool{true, false} {
		t.Run(fmt.Sprint("cold ", cold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shelf, desk := newShelf(), newDesk()
				to := shelf.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(2) })
				dialled := endpoint.NumberAddress("15551234567")
				shelf.numbers = map[endpoint.Key]endpoint.Claims{dialled.Key(): {Numbers: []endpoint.Number{
					{Tenant: "acme", Key: to.Key(), Partition: to.Partition(), Trunk: netip.MustParsePrefix("203.0.113.0/24")}}}}
				var store actors.Store = shelf
				if !cold {
					store = warm{shelf}
				}
				d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
				for i, addr := range []endpoint.Address{dialled, to} { // by number and by slug: one endpoint, one cap
					if out := d.dial(addr, fmt.Sprint("c", i)); !out.Taken || desk.jobs[i].Endpoint != to.Key() {
						t.Errorf("%s: %+v", addr, out)
					}
				}
				if out := d.dial(dialled, "c3"); out.Status != 486 || d.last().Verdict.Rule != endpoint.RuleConcurrency {
					t.Errorf("over the cap: %+v", out)
				}
				if out := d.dial(dialled, "c0"); !out.Taken || len(desk.jobs) != 3 {
					t.Errorf("a copy of the first: %+v, %d jobs", out, len(desk.jobs))
				}
				stranger := invite(dialled, "c4")
				stranger.Source = netip.MustParseAddrPort("198.51.100.1:5060")
				if out := d.send(stranger); out.Status != 404 || d.last().Verdict != endpoint.Unknown() {
					t.Errorf("from another trunk: %+v", out)
				}
				if out := d.dial(endpoint.NumberAddress("15559999999"), "c5"); out.Status != 404 {
					t.Errorf("a number of nobody: %+v", out)
				}
			})
		})
	}
}

func TestANumberWhoseEndpointIsGoneIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		gone := endpoint.SlugAddress("gone")
		dialled := endpoint.NumberAddress("100")
		store.numbers = map[endpoint.Key]endpoint.Claims{dialled.Key(): {Numbers: []endpoint.Number{{Tenant: "acme", Key: gone.Key(), Partition: gone.Partition()}}}}
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		if out := d.dial(dialled, "c1"); out.Status != 404 {
			t.Errorf("got %+v", out)
		}
	})
}
