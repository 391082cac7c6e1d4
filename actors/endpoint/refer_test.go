package endpoint_test

import (
	"net/netip"
	"testing"

	"patchbay/actors/endpoint"
)

func TestWhomACarrierMayHaveUsCall(t *testing.T) {
	t.Parallel()
	peer := netip.MustParseAddr("203.0.113.9")
	trunk := &endpoint.Trunk{ID: "t1", IsActive: true, Domain: "pbx.example.net", Addresses: []endpoint.TrunkAddress{{Host: "sbc.example.net"}}}
	off := &endpoint.Trunk{ID: "t1", Domain: "pbx.example.net"}
	for name, tc := range map[string]struct {
		policy  *endpoint.ReferPolicy
		user    string
		host    string
		trunk   *endpoint.Trunk
		attends bool
		reason  endpoint.Reason // "": may
		number  bool
	}{
		"without a policy":                  {nil, "bob", "203.0.113.9", nil, false, endpoint.ReasonReferPolicy, false},
		"at the carrier's own address":      {&endpoint.ReferPolicy{}, "bob", "203.0.113.9", nil, false, "", false},
		"at its own address, IPv6 mapped":   {&endpoint.ReferPolicy{}, "bob", "[::ffff:203.0.113.9]", nil, false, "", false},
		"elsewhere":                         {&endpoint.ReferPolicy{}, "bob", "premium.example", nil, false, endpoint.ReasonReferTarget, false},
		"a number elsewhere":                {&endpoint.ReferPolicy{}, "+19005550100", "premium.example", nil, false, endpoint.ReasonReferTarget, false},
		"at a host that is named":           {&endpoint.ReferPolicy{Hosts: []string{"pbx.example.com"}}, "bob", "PBX.example.com", nil, false, "", false},
		"under a host that is named":        {&endpoint.ReferPolicy{Hosts: []string{"example.com"}}, "bob", "evil.example.com", nil, false, endpoint.ReasonReferTarget, false},
		"a user that is named":              {&endpoint.ReferPolicy{Targets: []string{"2*", "bob"}}, "bob", "203.0.113.9", nil, false, "", false},
		"a user that begins as one":         {&endpoint.ReferPolicy{Targets: []string{"2*"}}, "2002", "203.0.113.9", nil, false, "", false},
		"a user that is not named":          {&endpoint.ReferPolicy{Targets: []string{"2*", "bob"}}, "+19005550100", "203.0.113.9", nil, false, endpoint.ReasonReferTarget, false},
		"a number, by its digits":           {&endpoint.ReferPolicy{Targets: []string{"+15550100"}}, "15550100", "203.0.113.9", nil, false, "", false},
		"a number through a trunk":          {&endpoint.ReferPolicy{Trunk: "t1", Targets: []string{"+1555*"}}, "+15550100", "whatever.example", trunk, false, "", true},
		"another number through it":         {&endpoint.ReferPolicy{Trunk: "t1", Targets: []string{"+1555*"}}, "+19005550100", "pbx.example.net", trunk, false, endpoint.ReasonReferTarget, false},
		"a user at the trunk's domain":      {&endpoint.ReferPolicy{Trunk: "t1"}, "bob", "pbx.example.net", trunk, false, "", false},
		"a user at the trunk's address":     {&endpoint.ReferPolicy{Trunk: "t1"}, "bob", "sbc.example.net", trunk, false, "", false},
		"a number whose call is taken over": {&endpoint.ReferPolicy{Trunk: "t1"}, "2002", "sbc.example.net", trunk, true, "", false},
		"the same elsewhere":                {&endpoint.ReferPolicy{Trunk: "t1"}, "2002", "premium.example", trunk, true, endpoint.ReasonReferTarget, false},
		"through a trunk that is off":       {&endpoint.ReferPolicy{Trunk: "t1"}, "+15550100", "sbc.example.net", off, false, endpoint.ReasonReferTrunk, false},
		"through a trunk that is not there": {&endpoint.ReferPolicy{Trunk: "t1"}, "+15550100", "203.0.113.9", nil, false, endpoint.ReasonReferTrunk, false},
	} {
		v, number := tc.policy.DecideReferral(endpoint.Referral{User: tc.user, Host: tc.host, Peer: peer, Replaces: tc.attends}, tc.trunk)
		if (v.Action == endpoint.Accept) != (tc.reason == "") || v.Reason != tc.reason || number != tc.number || tc.reason != "" && v.Status != 603 {
			t.Errorf("%s: got %+v, %v", name, v, number)
		}
	}
}

func TestAPolicyForReferIsReadWithCare(t *testing.T) {
	t.Parallel()
	trunk := endpoint.Trunk{V: 1, ID: "5f0c8a5e-7a3c-4d57-9b1e-2c4a6d8e0f11", Tenant: "acme", Name: "t", Addresses: []endpoint.TrunkAddress{{Host: "h.example"}}}
	for field, policy := range map[string]*endpoint.ReferPolicy{
		"":                        {Hosts: []string{"pbx.example.com", "192.0.2.1"}, Targets: []string{"2*", "*", "bob", "+1555*", "+*"}},
		"accept_refer.trunk":      {Trunk: "5f0c8a5e-7a3c-4d57-9b1e-2c4a6d8e0f11"},
		"accept_refer.hosts[0]":   {Hosts: []string{"PBX.example.com"}},
		"accept_refer.hosts[1]":   {Hosts: []string{"a.example", "sip:x"}},
		"accept_refer.targets[0]": {Targets: []string{""}},
		"accept_refer.targets[1]": {Targets: []string{"bob", "a b"}},
		"accept_refer":            {Hosts: make([]string, 17)},
	} {
		trunk.AcceptRefer = policy
		problems := trunk.Validate()
		if field == "" && len(problems) > 0 || field != "" && (len(problems) != 1 || problems[0].Field != field) {
			t.Errorf("%q: %+v", field, problems)
		}
	}
}
