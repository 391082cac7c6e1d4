package endpoint_test

import (
	"net/netip"
	"testing"
	"time"

	"patchbay/actors/endpoint"
)

func TestWhoMayTakeACallOver(t *testing.T) {
	t.Parallel()
	pbx, stranger := netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("192.0.2.66")
	entry, err := endpoint.ParseIPEntry("203.0.113.0/24")
	if err != nil {
		t.Fatal(err)
	}
	listed := endpoint.IPPolicy{Mode: endpoint.IPList, Entries: []endpoint.IPEntry{entry}}
	open := endpoint.IPPolicy{Mode: endpoint.IPAny}
	deleted := time.Now()
	for name, tc := range map[string]struct {
		ep     *endpoint.Endpoint
		acct   endpoint.Account
		asks   endpoint.Takeover
		status int // 0: may
		reason endpoint.Reason
	}{
		"in the list":                     {ep: &endpoint.Endpoint{IP: listed, IsActive: true}, asks: endpoint.Takeover{Source: pbx}},
		"not in the list":                 {ep: &endpoint.Endpoint{IP: listed, IsActive: true}, asks: endpoint.Takeover{Source: stranger}, status: 403, reason: endpoint.ReasonSourceNotAllowed},
		"not in the list, and the peer":   {ep: &endpoint.Endpoint{IP: listed, IsActive: true}, asks: endpoint.Takeover{Source: stranger, SamePeer: true, Addressed: true}, status: 403, reason: endpoint.ReasonSourceNotAllowed},
		"open, by the tags alone":         {ep: &endpoint.Endpoint{IP: open, IsActive: true}, asks: endpoint.Takeover{Source: stranger}, status: 403, reason: endpoint.ReasonNotReplaceable},
		"open, from the peer that leaves": {ep: &endpoint.Endpoint{IP: open, IsActive: true}, asks: endpoint.Takeover{Source: pbx, SamePeer: true}},
		"open, by the address":            {ep: &endpoint.Endpoint{IP: open, IsActive: true}, asks: endpoint.Takeover{Source: stranger, Addressed: true}},
		"switched off since":              {ep: &endpoint.Endpoint{IP: open}, asks: endpoint.Takeover{Source: pbx, SamePeer: true}, status: 603, reason: endpoint.ReasonInactive},
		"deleted since":                   {ep: &endpoint.Endpoint{IP: open, IsActive: true, DeletedAt: &deleted}, asks: endpoint.Takeover{Source: pbx, SamePeer: true}, status: 404, reason: endpoint.ReasonUnknown},
		"closed":                          {ep: &endpoint.Endpoint{IP: endpoint.IPPolicy{Mode: endpoint.IPNone}, IsActive: true}, asks: endpoint.Takeover{Source: pbx, SamePeer: true}, status: 403, reason: endpoint.ReasonSourceNotAllowed},
		"an account's, in its list":       {acct: endpoint.Account{SIP: endpoint.SipSettings{Ingress: listed}}, asks: endpoint.Takeover{Source: pbx}},
		"an account's, not in its list":   {acct: endpoint.Account{SIP: endpoint.SipSettings{Ingress: listed}}, asks: endpoint.Takeover{Source: stranger}, status: 403, reason: endpoint.ReasonSourceNotAllowed},
	} {
		v := endpoint.DecideTakeover(tc.ep, &tc.acct, tc.asks)
		if (v.Action == endpoint.Accept) != (tc.status == 0) || v.Status != tc.status || v.Reason != tc.reason {
			t.Errorf("%s: got %+v", name, v)
		}
		if tc.status == 403 && v.Shown(endpoint.RefuseUniform).Status != 404 {
			t.Errorf("%s: a stranger is shown %+v", name, v.Shown(endpoint.RefuseUniform))
		}
	}
}
