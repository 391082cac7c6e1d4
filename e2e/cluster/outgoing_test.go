package cluster_test

import (
	"net/netip"
	"testing"

	"patchbay/actors/call"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// TestCallsThatAClusterPlaces is about calls whose messages take any edge, and
// whose node dies.
func TestCallsThatAClusterPlaces(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{Brokers: 1, Actors: 1, Settings: rig.Settings{"sip.allow_private_trunks": "true"}})
	for range 3 { // each leaves by any edge
		b.anyEdgeHears(t)
	}
	t.Run("a media node killed while its call rings: CANCEL, and one record", b.diesRinging)
	t.Run("a media node killed during its call: BYE, and one record", b.diesAnswered)
}

// place places a call to a callee.
func (b *bed) place(t *testing.T, callee *rig.Callee) control.CallView {
	t.Helper()
	var v control.CallView
	b.Op.Do(t, "call", "create", control.NewCall{AgentID: b.Agent, To: callee.URI("bob")}, &v)
	return v
}

// recordOf waits for the one record of a call that was placed.
func (b *bed) recordOf(t *testing.T, id call.ID) (rec call.Record) {
	t.Helper()
	rig.Until(t, settle, func() (string, bool) {
		all, err := b.Op.Records()
		if err != nil {
			return err.Error(), false
		}
		found := 0
		for _, some := range all {
			for _, r := range some {
				if r.ID == id {
					rec = r
					found++
				}
			}
		}
		if found > 1 {
			t.Fatalf("call %s has %d records", id, found)
		}
		return "a record of call " + id.String(), found == 1
	})
	return rec
}

// anyEdgeHears has each response come to another edge than the INVITE left by.
func (b *bed) anyEdgeHears(t *testing.T) {
	t.Helper()
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, callee)
	invite := callee.Next("INVITE")
	others := b.others(t, invite.From)
	invite.By(others[0]).Reply("180 Ringing", "a", "")
	b.rings(t, v.ID)
	talk := invite.By(others[1]).Answer("a")
	talk.Heard(25)
	talk.Bye(others[0])
	if rec := b.recordOf(t, v.ID); rec.Status != 200 || rec.EndedBy != call.ByCarrier || rec.Stages.Ringing.IsZero() {
		t.Errorf("record %+v", rec)
	}
}

// rings waits until a call rings.
func (b *bed) rings(t *testing.T, id call.ID) {
	t.Helper()
	rig.Until(t, settle, func() (string, bool) {
		var got control.CallView
		err := b.Op.Try("call", "get", control.ID{ID: id.String()}, &got)
		return "the call rings, it is " + got.State, err == nil && got.State == string(call.StateRinging)
	})
}

// others are the edges beside that at an address.
func (b *bed) others(t *testing.T, at netip.AddrPort) (all []netip.AddrPort) {
	t.Helper()
	for _, edge := range b.SIP() {
		if edge != at {
			all = append(all, edge)
		}
	}
	if len(all) != len(b.Edges)-1 {
		t.Fatalf("the INVITE came from %s, which is none of %v", at, b.SIP())
	}
	return all
}

// kept waits until JetStream has an entry of the only live call.
func (b *bed) kept(t *testing.T) {
	t.Helper()
	b.Op.Kept(t, settle, 1)
}

func (b *bed) diesRinging(t *testing.T) {
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, callee)
	invite := callee.Next("INVITE")
	invite.Reply("180 Ringing", "a", "")
	b.rings(t, v.ID)
	b.kept(t)
	victim := b.Node(v.Node)
	victim.Kill()
	cancel := callee.Next("CANCEL")
	cancel.Reply("200 OK", "a", "")
	invite.Reply("487 Request Terminated", "a", "")
	callee.Next("ACK")
	if cancel.Header("Call-ID") != invite.Header("Call-ID") || cancel.Header("CSeq")[:2] != invite.Header("CSeq")[:2] {
		t.Errorf("the CANCEL is of another INVITE:\n%s", cancel.Response)
	}
	if rec := b.recordOf(t, v.ID); rec.Cause.Word != call.CauseNodeLost.Word || rec.Direction != "outbound" {
		t.Errorf("record %+v", rec)
	}
	victim.Run()
}

func (b *bed) diesAnswered(t *testing.T) {
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, callee)
	talk := callee.Next("INVITE").Answer("a")
	talk.Heard(25)
	b.kept(t)
	victim := b.Node(v.Node)
	victim.Kill()
	callee.Next("BYE").Reply("200 OK", "", "")
	if rec := b.recordOf(t, v.ID); rec.Cause.Word != call.CauseNodeLost.Word || rec.Status != 200 {
		t.Errorf("record %+v", rec)
	}
	victim.Run()
}
