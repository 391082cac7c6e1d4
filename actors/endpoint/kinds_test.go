package endpoint_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
)

// credential is an endpoint of a user with a password.
func credential(t *testing.T) endpoint.Endpoint {
	ep := validEndpoint(t)
	ep.Kind, ep.Slug, ep.User, ep.Domain, ep.NumericID = endpoint.KindCredential, "", "Desk7", "acme", "193962768711692"
	ep.Auth = endpoint.Auth{Mode: endpoint.AuthDigest, Username: "Desk7", HA1MD5: "sealed", HA1SHA256: "sealed"}
	return ep
}

// extension is an endpoint that we register for.
func extension(t *testing.T) endpoint.Endpoint {
	ep := validEndpoint(t)
	ep.Kind, ep.Slug = endpoint.KindRegister, ""
	ep.Register = &endpoint.OutRegistration{ID: ep.ID, Username: "1007", Server: "pbx.example.com:5060", Transport: "tls", PasswordEnc: "sealed",
		Status: endpoint.RegisterDisabled, Detail: endpoint.RegisterNotServed, Expires: time.Hour}
	return ep
}

// wildcard is an endpoint of all users of a domain.
func wildcard(t *testing.T) endpoint.Endpoint {
	ep := validEndpoint(t)
	ep.Kind, ep.Slug, ep.User, ep.Domain = endpoint.KindDomain, "", "*", "acme-carrier"
	return ep
}

func TestEveryKindCanBeStored(t *testing.T) {
	t.Parallel()
	for _, ep := range []endpoint.Endpoint{validEndpoint(t), credential(t), extension(t), wildcard(t)} {
		check(t, string(ep.Kind), ep.Validate())
		if addr, ok := ep.Address(); !ok || addr.Key() == "" {
			t.Errorf("%s has no address: it cannot be stored", ep.Kind)
		}
	}
}

func TestMistakesOfKindsNameTheirField(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		want   string
		ep     endpoint.Endpoint
		change func(*endpoint.Endpoint)
	}{
		{"auth.mode invalid", validEndpoint(t), func(e *endpoint.Endpoint) { e.Auth = endpoint.Auth{Mode: "digest", HA1MD5: "s", HA1SHA256: "s"} }},
		{"auth.mode invalid", credential(t), func(e *endpoint.Endpoint) { e.Auth = endpoint.Auth{} }},
		{"auth.password required", credential(t), func(e *endpoint.Endpoint) { e.Auth.HA1MD5 = "" }},
		{"auth.username invalid", credential(t), func(e *endpoint.Endpoint) { e.Auth.Username = "desk8" }},
		{"user too_long", credential(t), func(e *endpoint.Endpoint) { e.User, e.Auth.Username = long[:65], long[:65] }},
		{"user invalid", credential(t), func(e *endpoint.Endpoint) { e.User, e.Auth.Username = "a b", "a b" }},
		{"domain required", credential(t), func(e *endpoint.Endpoint) { e.Domain = "" }},
		{"slug invalid", credential(t), func(e *endpoint.Endpoint) { e.Slug = validEndpoint(t).Slug }},
		{"register required", extension(t), func(e *endpoint.Endpoint) { e.Register = nil }},
		{"register.username required", extension(t), func(e *endpoint.Endpoint) { e.Register.Username = "" }},
		{"register.username too_long", extension(t), func(e *endpoint.Endpoint) { e.Register.Username = long }},
		{"register.server required", extension(t), func(e *endpoint.Endpoint) { e.Register.Server = "" }},
		{"register.server too_long", extension(t), func(e *endpoint.Endpoint) { e.Register.Server = long }},
		{"register.server invalid", extension(t), func(e *endpoint.Endpoint) { e.Register.Server = "a b" }},
		{"register.outbound_proxy invalid", extension(t), func(e *endpoint.Endpoint) { e.Register.OutboundProxy = "user@proxy" }},
		{"register.transport invalid", extension(t), func(e *endpoint.Endpoint) { e.Register.Transport = "sctp" }},
		{"register.status invalid", extension(t), func(e *endpoint.Endpoint) { e.Register.Status = "fine" }},
		{"register.password required", extension(t), func(e *endpoint.Endpoint) { e.Register.PasswordEnc = "" }},
		{"register.expires_s out_of_range", extension(t), func(e *endpoint.Endpoint) { e.Register.Expires = time.Second }},
		{"domain invalid", wildcard(t), func(e *endpoint.Endpoint) { e.Domain = "Acme" }},
		{"user invalid", wildcard(t), func(e *endpoint.Endpoint) { e.User = "" }},
	} {
		c.change(&c.ep)
		check(t, string(c.ep.Kind)+": "+c.want, c.ep.Validate(), c.want)
	}
}

func TestADigestStandsForAPassword(t *testing.T) {
	t.Parallel()
	// RFC 7616 3.9.1: the same user, realm and password by both algorithms.
	weak, strong := endpoint.HA1("Mufasa", "http-auth@example.org", "Circle of Life")
	if weak != "3d78807defe7de2157e2b0b6573a855f" || strong != "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232" {
		t.Errorf("got %s and %s", weak, strong)
	}
}

func TestNamesThatNobodyElseMayHave(t *testing.T) {
	t.Parallel()
	first, second := credential(t), credential(t)
	second.User, second.NumericID = "dESK7", "193962768711693"
	a, b := first.Unique(), second.Unique()
	if len(a) != 2 || a[0] == b[0] || a[1] != b[1] {
		t.Errorf("a username in another case is another: %v, %v", a, b)
	}
	if got := (&endpoint.Endpoint{Kind: endpoint.KindSlug}).Unique(); got != nil {
		t.Errorf("a slug claims %v", got)
	}
	pbx, other := extension(t), extension(t)
	other.Register.Server = "PBX.example.com:5060"
	if !slices.Equal(pbx.Unique(), other.Unique()) {
		t.Error("one extension can be registered twice")
	}
}

func TestNumericIDsAreBelowWhatJSONReadersCanTellApart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		id := endpoint.NewNumericID(rapid.Uint64().Draw(rt, "random"))
		if len(id) != 15 || !endpoint.IsNumericID(id) {
			rt.Errorf("%s", id)
		}
	})
	for id, want := range map[string]bool{"193962768711692": true, "37371860103666": true, "093962768711692": false, "19396276871169x": false,
		"1939627687116920": false, agentID: false, "": false} {
		if endpoint.IsNumericID(id) != want {
			t.Errorf("%q: want %v", id, want)
		}
	}
}

func TestCodecsOfACallAreTheEndpointsElseTheAccounts(t *testing.T) {
	t.Parallel()
	acct := endpoint.Account{SIP: endpoint.SipSettings{DefaultCodecs: []string{"PCMU", "PCMA"}}}
	for name, c := range map[string]struct {
		codecs *[]string
		want   []string
	}{
		"absent inherits": {nil, []string{"PCMU", "PCMA"}},
		"empty inherits":  {&[]string{}, []string{"PCMU", "PCMA"}},
		"its own":         {&[]string{"OPUS@48000H@20I", "G729"}, []string{"OPUS", "G729"}},
	} {
		ep := endpoint.Endpoint{Media: endpoint.MediaPolicy{Codecs: c.codecs}}
		if got := acct.Codecs(&ep); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if got := (&endpoint.Account{}).Codecs(nil); got != nil {
		t.Errorf("nothing said is %v", got)
	}
}

func TestAThrottleCountsAnyWindow(t *testing.T) {
	t.Parallel()
	throttle := endpoint.Throttle{Rules: []endpoint.ThrottleRule{{MaxCalls: 2, WindowSeconds: 10}, {MaxCalls: 3, WindowSeconds: 60}}}
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var past endpoint.Throttled
	for _, c := range []struct{ at, wait int }{{0, 0}, {9, 0}, {9, 1}, {10, 0}, {15, 45}, {20, 40}, {60, 0}, {61, 8}, {69, 0}} {
		next, wait := throttle.Take(past, start.Add(time.Duration(c.at)*time.Second))
		if wait != time.Duration(c.wait)*time.Second {
			t.Errorf("at %d s: wait %v, want %d s", c.at, wait, c.wait)
		}
		past = next
	}
	full := endpoint.Throttle{Rules: []endpoint.ThrottleRule{{MaxCalls: endpoint.MaxThrottleCalls, WindowSeconds: 1}}}
	past = endpoint.Throttled{}
	for i := range 3 * endpoint.MaxThrottleCalls {
		var wait time.Duration
		if past, wait = full.Take(past, start.Add(time.Duration(i)*time.Second)); wait != 0 || len(past.Calls) > endpoint.MaxThrottleCalls {
			t.Fatalf("call %d: wait %v, %d remembered", i, wait, len(past.Calls))
		}
	}
}
