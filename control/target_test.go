package control_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/control"
)

// TestATargetIsCalledByItsTrunkAsWhomItMay asks what a media node asks.
func TestATargetIsCalledByItsTrunkAsWhomItMay(t *testing.T) {
	t.Parallel()
	ops, r, _ := newDesk(t)
	plain := trunkOf(t, ops, `{"addresses":[{"host":"sbc.example.net"}],"username":"acme-7","password":"p","from":{"default":"15550777"},"max_concurrent_calls":2}`)
	loose := trunkOf(t, ops, `{"addresses":[{"host":"sbc.example.net"}],"from":{"policy":"any"}}`)
	caller := call.Party{User: "+4930123", Host: "carrier.example"}
	hidden := call.Party{User: "anonymous", Host: "anonymous.invalid"}
	for name, tc := range map[string]struct {
		trunk         control.TrunkView
		them          call.Party
		us            string
		from, diverts string
	}{
		"as the caller":            {loose, caller, "+15550100", "sip:+4930123@", "<sip:+15550100@"},
		"as what was called":       {plain, caller, "+15550100", "sip:+15550100@", ""},
		"as the trunk has it":      {plain, caller, "+15550199", "sip:15550777@", ""},
		"of a bearer slug":         {plain, caller, "", "sip:15550777@", ""},
		"a caller who hides":       {loose, hidden, "+15550100", "sip:+15550100@", ""},
		"who hides, and no number": {loose, hidden, "redacted", "", ""},
	} {
		q := actors.TargetQuestion{Call: 6, Tenant: "acme", Node: "m1", Target: 9, Them: tc.them, Us: call.Party{User: tc.us}, Codec: "PCMU",
			Transfer: call.Transfer{To: "+15550199", Trunk: tc.trunk.ID, Headers: []call.Header{{Name: "X-Ticket", Value: "7"}}}}
		a := ops.Target(t.Context(), q)
		if a.Job == nil {
			t.Errorf("%s: %+v", name, a)
			continue
		}
		d := a.Job.Dial
		if d.ID != 9 || d.For != 6 || a.Job.Agent != nil || d.RingTimeoutMs != control.DefaultRingMs || !strings.HasPrefix(d.From, tc.from) || tc.from == "" && d.From != "" ||
			d.Hops[0] != "sip:+15550199@sbc.example.net" || field(d.Headers, "X-Ticket") != "7" {
			t.Errorf("%s: %+v, dial %+v", name, a.Job, d)
		}
		if by := field(d.Headers, "Referred-By"); !strings.HasPrefix(by, "<sip:") || strings.Contains(by, "redacted") {
			t.Errorf("%s: Referred-By %q", name, by)
		}
		if got := field(d.Headers, "Diversion"); !strings.HasPrefix(got, tc.diverts) || tc.diverts == "" && got != "" {
			t.Errorf("%s: Diversion %q", name, got)
		}
	}
	if len(r.caps) == 0 || !slices.ContainsFunc(r.caps, func(caps []actors.Cap) bool { return len(caps) == 1 && caps[0].What == "trunk" && caps[0].Calls == 2 }) {
		t.Errorf("it counts for %+v", r.caps)
	}
}

func field(all []call.Header, name string) string {
	for _, h := range all {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

func TestATargetThatCannotBeCalledHasAReason(t *testing.T) {
	t.Parallel()
	ops, r, _ := newDesk(t)
	trunk := trunkOf(t, ops, `{"addresses":[{"host":"sbc.example.net"}],"max_concurrent_calls":2}`).ID
	idle := trunkOf(t, ops, `{"addresses":[{"host":"sbc.example.net"}],"is_active":false}`).ID
	for name, tc := range map[string]struct {
		transfer call.Transfer
		want     string
	}{
		"no trunk":             {call.Transfer{To: "+15550199"}, call.ReasonNoTrunk},
		"another's":            {call.Transfer{To: "+15550199", Trunk: "b07a9d3e-52c4-4e0b-8f61-0c9d7a3e1f24"}, call.ReasonNoTrunk},
		"not active":           {call.Transfer{To: "+15550199", Trunk: idle}, call.ReasonNoTrunk},
		"nobody":               {call.Transfer{To: "nobody", Trunk: trunk}, call.ReasonBadTarget},
		"somebody else's name": {call.Transfer{To: "+15550199", Trunk: trunk, From: "+15550999"}, call.ReasonBadTarget},
	} {
		if a := ops.Target(t.Context(), actors.TargetQuestion{Call: 6, Tenant: "acme", Target: 9, Transfer: tc.transfer}); a.Job != nil || a.Reason != tc.want {
			t.Errorf("%s: %+v", name, a)
		}
	}
	r.full = &control.Error{Code: control.CodeLimit, Message: "trunk: as many calls as it may have at once"}
	if a := ops.Target(t.Context(), actors.TargetQuestion{Call: 6, Tenant: "acme", Target: 9, Transfer: call.Transfer{To: "+15550199", Trunk: trunk}}); a.Reason != call.ReasonLimit {
		t.Errorf("full: %+v", a)
	}
}

// The id of nothing is no other call, and then there is nobody to transfer to.
func TestATransferNamesSomebody(t *testing.T) {
	t.Parallel()
	live := map[call.ID]control.CallView{7: {ID: 7, Tenant: "acme", State: string(call.StateEstablished)}}
	ops := &control.Operations{Calls: calls{live}}
	for _, other := range []call.ID{0, 7} {
		_, err := ops.TransferCall(t.Context(), "acme", control.CallTransfer{ID: call.ID(7).String(), Replaces: other.String()})
		var told *control.Error
		if !errors.As(err, &told) || told.Code != control.CodeInvalid || live[7].Transfer != nil {
			t.Errorf("%s: %v, %+v", other, err, live[7].Transfer)
		}
	}
}
