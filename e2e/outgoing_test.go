package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster/subject"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// place places a call that must be taken.
func (b *bed) place(t *testing.T, in control.NewCall) control.CallView {
	t.Helper()
	if in.AgentID == "" {
		in.AgentID = b.echo.Agent
	}
	var v control.CallView
	b.op.Do(t, "call", "create", in, &v)
	if v.Direction != "outbound" || v.State != string(call.StateCalling) {
		t.Errorf("the new call: %+v", v)
	}
	return v
}

// trunk makes a trunk of callees, tried in their order.
func (b *bed) trunk(t *testing.T, more rig.Fields, callees ...*rig.Callee) control.TrunkView {
	t.Helper()
	var addresses []rig.Fields
	for i, c := range callees {
		addresses = append(addresses, rig.Fields{"host": c.Host(), "port": c.Port(), "priority": i})
	}
	spec := rig.Fields{"name": "carrier", "addresses": addresses}
	for k, v := range more {
		spec[k] = v
	}
	var v control.TrunkView
	b.op.Do(t, "trunk", "create", rig.Fields{"spec": spec}, &v)
	return v
}

// recordOf waits for the one record of a call that was placed.
func (b *bed) recordOf(t *testing.T, id call.ID) call.Record {
	t.Helper()
	var rec call.Record
	rig.Until(t, settle, func() (string, bool) {
		all, err := b.op.Records()
		if err != nil {
			return err.Error(), false
		}
		for _, some := range all {
			for _, r := range some {
				if r.ID == id {
					rec = r
				}
			}
		}
		return "a record of call " + id.String(), rec.ID == id
	})
	if rec.Direction != "outbound" || rec.Stages.Invited.IsZero() || rec.Stages.Ended.IsZero() {
		t.Errorf("record %+v", rec)
	}
	return rec
}

// ended checks how a call that was placed is told.
func (b *bed) ended(t *testing.T, id call.ID, status int, cause call.Cause, by string) call.Record {
	t.Helper()
	rec := b.recordOf(t, id)
	if rec.Status != status || rec.Cause.Word != cause.Word || rec.EndedBy != by {
		t.Errorf("the record says %d, %s by %s; want %d, %s by %s", rec.Status, rec.Cause.Word, rec.EndedBy, status, cause.Word, by)
	}
	return rec
}

func TestACallIsPlacedAnsweredAndHeardBothWays(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	told := b.told(t)
	v := b.place(t, control.NewCall{To: callee.URI("bob"), Headers: []call.Header{{Name: "X-Order", Value: "7"}}})
	invite := callee.Next("INVITE")
	if invite.Header("X-Order") != "7" || !strings.Contains(invite.Header("From"), "anonymous") || strings.Contains(string(invite.Response), "edge.invalid") {
		t.Errorf("the INVITE:\n%s", invite.Response)
	}
	invite.Reply("180 Ringing", "a", "")
	rig.Until(t, settle, func() (string, bool) {
		var got control.CallView
		err := b.op.Try("call", "get", control.ID{ID: v.ID.String()}, &got)
		return "the call rings, it is " + got.State, err == nil && got.State == string(call.StateRinging)
	})
	if n := b.echo.Offers(); n != 0 {
		t.Errorf("the agent was asked %d times while it rings", n)
	}
	talk := invite.Answer("a")
	talk.Heard(50)
	talk.Bye(b.SIP)
	rec := b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier)
	s := rec.Stages
	order := []time.Time{s.Invited, s.Ringing, s.Answered, s.AgentChosen, s.AgentJoined}
	if !slices.IsSortedFunc(order, time.Time.Compare) || s.Ringing.IsZero() || s.AgentJoined.IsZero() || s.FirstRTP.IsZero() || s.FirstAgentRTP.IsZero() || rec.Codec != "PCMU" {
		t.Errorf("stages %+v, codec %s", s, rec.Codec)
	}
	want := []string{"call.started", "call.ringing", "call.answered", "agent.joined", "call.ended", "call.record"}
	rig.Until(t, settle, func() (string, bool) {
		got := told(v.ID)
		return fmt.Sprintf("events %v, they are %v", want, got), slices.Equal(got, want)
	})
	b.Idle(t, settle)
}

// told listens to the events of every call, and returns those of one, in order.
func (b *bed) told(t *testing.T) func(call.ID) []string {
	t.Helper()
	sub, err := b.op.Inside.SubscribeSync(subject.EventAll)
	if err == nil {
		err = b.op.Inside.Flush() // calls are placed by another connection
	}
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string][]string{}
	return func(id call.ID) []string {
		for {
			m, err := sub.NextMsg(10 * time.Millisecond)
			if err != nil {
				return seen[id.String()]
			}
			var ev struct {
				Call  string `json:"call_id"`
				Type  string `json:"type"`
				Facts struct {
					Direction string `json:"direction"`
				} `json:"facts"`
			}
			if json.Unmarshal(m.Data, &ev) == nil && (ev.Facts.Direction == "outbound" || ev.Type == "call.record") {
				seen[ev.Call] = append(seen[ev.Call], ev.Type)
			}
		}
	}
}

func TestAPlacedCallIsRefusedInTheCarriersWords(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	for status, cause := range map[string]call.Cause{"486 Busy Here": call.CauseCalledBusy, "603 Decline": call.CauseCalledDeclined,
		"404 Not Found": call.CauseCalledNotFound, "302 Moved Temporarily": call.CauseCalledRedirected, "407 Proxy Authentication Required": call.CauseCredentials} {
		callee := rig.NewCallee(t, rig.Loopback())
		v := b.place(t, control.NewCall{To: callee.URI("bob")})
		callee.Next("INVITE").Reply(status, "a", "")
		callee.Next("ACK")
		b.ended(t, v.ID, int(status[0]-'0')*100+int(status[1]-'0')*10+int(status[2]-'0'), cause, call.ByCarrier)
	}
	if n := b.echo.Offers(); n != 0 {
		t.Errorf("the agent had %d offers", n)
	}
	b.Idle(t, settle)
}

func TestAPlacedCallThatNobodyAnswersIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, control.NewCall{To: callee.URI("bob"), RingTimeoutMs: 1000})
	invite := callee.Next("INVITE")
	invite.Reply("180 Ringing", "a", "")
	cancel := callee.Next("CANCEL")
	cancel.Reply("200 OK", "a", "")
	invite.Reply("487 Request Terminated", "a", "")
	callee.Next("ACK")
	if cancel.Header("Via") != invite.Header("Via") || cancel.Header("CSeq") != strings.Replace(invite.Header("CSeq"), "INVITE", "CANCEL", 1) {
		t.Errorf("the CANCEL is not the INVITE's (RFC 3261 9.1):\n%s", cancel.Response)
	}
	b.ended(t, v.ID, 487, call.CauseCalledNoAnswer, call.ByNode)
	b.Idle(t, settle)
}

func TestAPlacedCallIsCancelledByItsOwner(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, control.NewCall{To: callee.URI("bob")})
	invite := callee.Next("INVITE")
	b.op.Do(t, "call", "hangup", control.ID{ID: v.ID.String()}, nil)
	callee.Quiet(200*time.Millisecond, "CANCEL") // before any response there is none to be sent (RFC 3261 9.1)
	invite.Reply("183 Session Progress", "a", "")
	callee.Next("CANCEL").Reply("200 OK", "a", "")
	invite.Reply("487 Request Terminated", "a", "")
	callee.Next("ACK")
	b.ended(t, v.ID, 487, call.CauseOperator, call.ByOperator)
	b.Idle(t, settle)
}

// TestOfTwoPhonesThatAnswerAPlacedCallOneGetsIt answers one INVITE from two
// branches of a forking proxy (RFC 3261 13.2.2.4).
func TestOfTwoPhonesThatAnswerAPlacedCallOneGetsIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	v := b.place(t, control.NewCall{To: callee.URI("bob")})
	invite := callee.Next("INVITE")
	invite.Reply("180 Ringing", "a", "")
	invite.Reply("180 Ringing", "b", "")
	talk := invite.Answer("b")
	_, sdp := invite.Media("a")
	invite.Reply("200 OK", "a", sdp)
	ack := callee.Next("ACK")
	bye := callee.Next("BYE")
	bye.Reply("200 OK", "", "")
	if ack.ToTag() != "a" || bye.ToTag() != "a" {
		t.Errorf("ACK for %q and BYE for %q, want the second to answer, a", ack.ToTag(), bye.ToTag())
	}
	talk.Heard(25)
	talk.Bye(b.SIP)
	b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier)
	b.Idle(t, settle)
}

func TestATrunkThatAsksForCredentialsGetsThem(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	trunk := b.trunk(t, rig.Fields{"username": "acme", "password": "s3cret-of-the-trunk", "from": rig.Fields{"default": "+15550100"}, "headers": rig.Fields{"X-Trunk": "one"}}, callee)
	if !trunk.PasswordSet || trunk.Password != "" {
		t.Errorf("the trunk reads %+v", trunk)
	}
	v := b.place(t, control.NewCall{To: "+1 555 0199", Trunk: trunk.ID})
	invite := callee.Next("INVITE")
	if !strings.HasPrefix(invite.Line(), "INVITE sip:+15550199@") || !strings.Contains(invite.Header("From"), "sip:+15550100@") || invite.Header("X-Trunk") != "one" {
		t.Errorf("the INVITE:\n%s", invite.Response)
	}
	invite.Reply("407 Proxy Authentication Required", "x", "", `Proxy-Authenticate: Digest realm="carrier.example", nonce="abc", algorithm=MD5, qop="auth"`)
	callee.Next("ACK")
	again := callee.Next("INVITE")
	proof := again.Header("Proxy-Authorization")
	if !strings.Contains(proof, `username="acme"`) || !strings.Contains(proof, `realm="carrier.example"`) || strings.Contains(string(again.Response), "s3cret") {
		t.Errorf("the second INVITE proves itself by %q", proof)
	}
	talk := again.Answer("a")
	talk.Heard(10)
	talk.Bye(b.SIP)
	if rec := b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier); rec.Trunk != trunk.ID {
		t.Errorf("the record names trunk %q", rec.Trunk)
	}
	b.Idle(t, settle)
}

func TestAPlacedCallGoesToTheNextAddressOfItsTrunk(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	full, silent, last := rig.NewCallee(t, rig.Loopback()), rig.NewCallee(t, rig.Loopback()), rig.NewCallee(t, rig.Loopback())
	trunk := b.trunk(t, nil, full, silent, last)
	v := b.place(t, control.NewCall{To: "15550199", Trunk: trunk.ID})
	full.Next("INVITE").Reply("503 Service Unavailable", "x", "")
	full.Next("ACK")
	silent.Next("INVITE")
	talk := last.Next("INVITE").Answer("a")
	talk.Heard(10)
	talk.Bye(b.SIP)
	b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier)
	b.Idle(t, settle)
}

func TestEarlyMediaReachesTheAgentWhereTheCallAsksForIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	callee := rig.NewCallee(t, rig.Loopback())
	for _, early := range []bool{false, true} {
		offers := b.echo.Offers()
		v := b.place(t, control.NewCall{To: callee.URI("bob"), EarlyMedia: early})
		invite := callee.Next("INVITE")
		talk, sdp := invite.Media("a")
		invite.Reply("183 Session Progress", "a", sdp)
		if early {
			rig.WaitFor(t, settle, "the agent is asked before the answer", func() bool { return b.echo.Offers() == offers+1 })
		}
		invite.Reply("200 OK", "a", sdp)
		callee.Next("ACK")
		talk.Heard(10)
		talk.Bye(b.SIP)
		rec := b.ended(t, v.ID, 200, call.CauseNormal, call.ByCarrier)
		if got := rec.Stages.AgentChosen.Before(rec.Stages.Answered); got != early {
			t.Errorf("early_media %v: the agent was there before the answer: %v", early, got)
		}
	}
	b.Idle(t, settle)
}
