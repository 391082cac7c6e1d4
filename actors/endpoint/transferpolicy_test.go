package endpoint_test

import (
	"strings"
	"testing"

	"patchbay/actors/endpoint"
)

func listing(targets ...string) *endpoint.TransferPolicy {
	return &endpoint.TransferPolicy{Targets: &targets}
}

func TestAgentsHaveOnlyThoseCalledWhoAreListed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy *endpoint.TransferPolicy
		to     string
		want   bool
	}{
		{nil, "+4930123", false},
		{&endpoint.TransferPolicy{Trunk: "t"}, "+4930123", false},
		{listing(), "+4930123", false},
		{listing("*"), "+4930123", true},
		{listing("*"), "sip:a@b.example", true},
		{listing("+49*"), "+4930123", true},
		{listing("+49*"), "+4930", true},
		{listing("+49*"), "+14930", false},
		{listing("+49*"), "4930123", false},
		{listing("+49*"), "sip:+4930123@premium.example", false},
		{listing("+4930123"), "+49301234", false},
		{listing("112", "+4930123"), "+4930123", true},
		{listing("sip:sales@pbx.example.com"), "sip:sales@pbx.example.com:5070;transport=tcp", true},
		{listing("sip:sales@pbx.example.com"), "sip:sales@PBX.example.com", true},
		{listing("sip:sales@pbx.example.com"), "sip:boss@pbx.example.com", false},
		{listing("sip:*@pbx.example.com"), "sip:boss@pbx.example.com", true},
		{listing("sip:*@pbx.example.com"), "sip:boss@pbx.example.com.evil.example", false},
		{listing("sip:*@pbx.example.com"), "+4930123", false},
	} {
		to, ok := endpoint.ParseTransfer(tc.to)
		if !ok {
			t.Fatalf("%s is no target", tc.to)
		}
		if got := tc.policy.Allows(to); got != tc.want {
			t.Errorf("%+v allows %s: %v", tc.policy, to, got)
		}
	}
}

func TestAnEndpointSaysOnlyWhatDiffersFromItsAccount(t *testing.T) {
	t.Parallel()
	var a endpoint.Account
	ep := &endpoint.Endpoint{}
	if a.Transfers(nil) != nil || a.Transfers(ep) != nil {
		t.Error("a policy where there is none")
	}
	a.SIP.Transfer = listing("+49*")
	a.SIP.Transfer.Trunk = "account's"
	if p := a.Transfers(ep); p.Trunk != "account's" || !p.Allows("+4930123") {
		t.Errorf("of the account: %+v", p)
	}
	ep.Transfer = &endpoint.TransferPolicy{Trunk: "own"}
	if p := a.Transfers(ep); p.Trunk != "own" || !p.Allows("+4930123") {
		t.Errorf("with a trunk of its own: %+v", p)
	}
	ep.Transfer = listing()
	if p := a.Transfers(ep); p.Trunk != "account's" || p.Allows("+4930123") {
		t.Errorf("with nobody listed: %+v", p)
	}
}

func TestPatternsOfTargetsAreChecked(t *testing.T) {
	t.Parallel()
	field := func(p *endpoint.TransferPolicy) string {
		var a endpoint.Account
		a.SIP.Transfer = p
		for _, found := range a.Validate() {
			if strings.HasPrefix(found.Field, "sip.transfer") {
				return found.Field
			}
		}
		return ""
	}
	for _, good := range []string{"*", "+49*", "+*", "112", "00*", "sip:*@pbx.example", "sip:a@192.0.2.1"} {
		if got := field(listing(good)); got != "" {
			t.Errorf("%s: %s", good, got)
		}
	}
	for _, bad := range []string{"", "+", "**", "+49*1", "tel:+49", "sip:*@*", "sip:a*@pbx.example", "sip:a@pbx.example:5060", "pbx.example", "49 30"} {
		if got := field(listing(bad)); got != "sip.transfer.targets[0]" {
			t.Errorf("%q: %q", bad, got)
		}
	}
	if got := field(&endpoint.TransferPolicy{Trunk: "carrier"}); got != "sip.transfer.trunk" {
		t.Errorf("a trunk that is no id: %q", got)
	}
	if got := field(listing(make([]string, endpoint.MaxTransferTargets+1)...)); got != "sip.transfer.targets" {
		t.Errorf("too many: %q", got)
	}
}
