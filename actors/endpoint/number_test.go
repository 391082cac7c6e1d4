package endpoint_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

func TestNumbersAreReadWithAndWithoutPlus(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"+15551234567": "15551234567", "15551234567": "15551234567", "+1-555-123.4567": "15551234567", "(555)1234": "5551234",
		"+15551234567;phone-context=x": "15551234567", "100": "100", "+999999999999999": "999999999999999",
	} {
		if got, ok := endpoint.ParseNumber(text); !ok || got != want {
			t.Errorf("%s: got %q, %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "+", "12", "++1555", "1555x", "sales", "9999999999999999", "-1555", "+1 555", "demo-aaaaaaaaaaaaaaaaaaaaaaaa", "١٢٣٤"} {
		if got, ok := endpoint.ParseNumber(text); ok {
			t.Errorf("%q is no number, got %q", text, got)
		}
	}
}

func TestWhatWasDialled(t *testing.T) {
	t.Parallel()
	const base = "sip.example"
	for _, c := range []struct{ user, host, want string }{
		{"+15551234567", "192.0.2.1", "n/15551234567"},
		{"15551234567", "2001:db8::1", "n/15551234567"},
		{"+15551234567", "sip.example", "n/15551234567"},
		{"Desk-ABC", "192.0.2.1", "s/desk-abc"},
		{"12", "192.0.2.1", "s/12"},
		{"+15551234567", "acme.sip.example", "a/acme/+15551234567"},
		{"Bob", "ACME.SIP.example.", "a/acme/Bob"},
		{"bob", "a.b.sip.example", "s/bob"},
		{"Bob", "SIP.Acme.example.", "d/sip.acme.example/Bob"},
		{"+15551234567", "sip.acme.example", "d/sip.acme.example/+15551234567"},
		{"Demo-aaaaaaaaaaaaaaaaaaaaaaaa", "sip.acme.example", "s/demo-aaaaaaaaaaaaaaaaaaaaaaaa"},
		{"bob", "edge-1", "s/bob"},
		{"bob", "10.0.0.1.2", "s/bob"},
		{"bob", "my_pbx.example", "s/bob"},
		{"bob", strings.Repeat("a.", 126) + "ab", "s/bob"},
	} {
		if got := endpoint.Dialled(c.user, c.host, base); got.Reveal() != c.want {
			t.Errorf("%s@%s: got %s, want %s", c.user, c.host, got.Reveal(), c.want)
		}
	}
	addr := endpoint.UserAddress("acme", "bob")
	if acct, ok := addr.Account(); !ok || acct != "a/acme" || acct.Partition() != addr.Partition() {
		t.Errorf("the account of %s is %s, %v", addr, acct, ok)
	}
	if _, ok := endpoint.SlugAddress("x").Account(); ok {
		t.Error("a slug has no account")
	}
}

func TestAnAddressAtAHostIsTheAccountsOrWhatItIsAnywhere(t *testing.T) {
	t.Parallel()
	for user, c := range map[string]struct{ theirs, nobodys string }{
		"bob": {"a/acme/bob", "s/bob"}, "+1 (555) 123": {"a/acme/+1 (555) 123", "s/+1 (555) 123"},
		"+15551234567": {"a/acme/+15551234567", "n/15551234567"}, "a/b": {"a/acme/a/b", "s/a/b"},
	} {
		addr := endpoint.Dialled(user, "sip.acme.example", "sip.example")
		host, is, ok := addr.AtHost()
		if !ok || host != endpoint.HostAddress("sip.acme.example") || host.Partition() != addr.Partition() {
			t.Errorf("%q: the host is %v, %v", user, host.Reveal(), ok)
			continue
		}
		if is("acme").Reveal() != c.theirs || is("").Reveal() != c.nobodys {
			t.Errorf("%q: got %s and %s", user, is("acme").Reveal(), is("").Reveal())
		}
	}
	if shown := fmt.Sprint(endpoint.Dialled("demo-aaaaaaaaaaaaaaaaaaaaaaa", "sip.acme.example", "sip.example")); shown != "d/sip.acme.example/****" {
		t.Errorf("a slug with a mistake is shown as %s", shown)
	}
	for _, addr := range []endpoint.Address{"s/bob", "a/acme/bob", "n/123"} {
		if _, _, ok := addr.AtHost(); ok {
			t.Errorf("%s is at a host", addr)
		}
	}
}

func number(tenant, trunk string) endpoint.Number {
	n := endpoint.Number{V: 1, ID: salesBot, Tenant: tenant, Digits: "15551234567", EndpointID: supportBot}
	if trunk != "" {
		n.Trunk = netip.MustParsePrefix(trunk)
	}
	return n
}

func TestTheNarrowestTrunkCounts(t *testing.T) {
	t.Parallel()
	claims := endpoint.Claims{Numbers: []endpoint.Number{number("any", ""), number("wide", "203.0.113.0/24"), number("narrow", "203.0.113.8/29"), number("six", "2001:db8::/32")}}
	for source, want := range map[string]string{
		"203.0.113.9": "narrow", "203.0.113.200": "wide", "198.51.100.1": "any", "::ffff:203.0.113.9": "narrow", "2001:db8::1": "six",
	} {
		if got := claims.Find(netip.MustParseAddr(source)); got == nil || got.Tenant != want {
			t.Errorf("%s: got %+v, want %s", source, got, want)
		}
	}
	claims.Numbers = claims.Numbers[1:]
	if got := claims.Find(netip.MustParseAddr("198.51.100.1")); got != nil {
		t.Errorf("a stranger to every trunk got %+v", got)
	}
}

func TestASecondClaimIsAConflict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b endpoint.Number
		want bool
	}{
		{number("acme", ""), number("acme", ""), true},
		{number("acme", ""), number("acme", "203.0.113.0/24"), false},
		{number("acme", "203.0.113.0/24"), number("acme", "203.0.113.0/29"), false},
		{number("acme", ""), number("other", "203.0.113.0/24"), true}, // it would take a part of the calls
		{number("acme", "203.0.113.0/24"), number("other", "203.0.113.0/29"), true},
		{number("acme", "203.0.113.0/24"), number("other", "198.51.100.0/24"), false},
	} {
		if c.a.Conflicts(&c.b) != c.want || c.b.Conflicts(&c.a) != c.want {
			t.Errorf("%s %s and %s %s: want %v", c.a.Tenant, c.a.Trunk, c.b.Tenant, c.b.Trunk, c.want)
		}
	}
}

func TestNumberMistakesNameTheirField(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*endpoint.Number){
		"number invalid":       func(n *endpoint.Number) { n.Digits = "+1555" },
		"trunk invalid":        func(n *endpoint.Number) { n.Trunk = netip.MustParsePrefix("203.0.113.9/24") },
		"endpoint_id required": func(n *endpoint.Number) { n.EndpointID = "" },
		"tenant required":      func(n *endpoint.Number) { n.Tenant = "" },
		"id invalid":           func(n *endpoint.Number) { n.ID = "x" },
		"v out_of_range":       func(n *endpoint.Number) { n.V = 0 },
	} {
		n := number("acme", "")
		change(&n)
		check(t, want, n.Validate(), want)
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"+15551234567", "(555)1234", "12", ";", "+", "1555;x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		digits, ok := endpoint.ParseNumber(s)
		if !ok {
			return
		}
		if again, ok := endpoint.ParseNumber(digits); !ok || again != digits || len(digits) < 3 || len(digits) > 15 {
			t.Errorf("%q is %q, and that is %q", s, digits, again)
		}
		if _, err := endpoint.ParseSlug(s); err == nil {
			t.Errorf("%q is both number and slug", s)
		}
	})
}
