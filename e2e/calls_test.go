package e2e_test

import (
	"maps"
	"slices"
	"testing"

	"patchbay/e2e/rig"
)

func TestACarrierCallsAndHangsUp(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		run := b.Play(t, rig.Scenario{File: "carrier-hangs-up", Transport: transport, User: b.endpoint(t, nil).Slug})
		ringing, answer := run.One(180, "INVITE"), run.One(200, "INVITE")
		if tag := answer.ToTag(); tag == "" || tag != ringing.ToTag() {
			t.Errorf("the 180 has tag %q and the 200 %q, want the same", ringing.ToTag(), tag)
		}
		if trying := run.One(100, "INVITE"); trying.ToTag() != "" {
			t.Errorf("the 100 has a To-tag: it makes no dialog (RFC 3261 8.2.6.2)")
		}
	})
	b.Idle(t, settle)
}

func TestTheNodeHangsUpWhenItsOperatorSaysSo(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		ep := b.endpoint(t, nil)
		run := b.Begin(t, rig.Scenario{File: "node-hangs-up", Transport: transport, User: ep.Slug})
		b.op.Hangup(t, b.op.CallOf(t, ep, "established"))
		run.Finish()
	})
	b.Idle(t, settle)
}

func TestACallWhoseAgentDoesNotJoinInTimeGets480(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Settings{"media.agent_timeout": "1s"})
	both(t, func(t *testing.T, transport string) {
		slugs := map[string]string{
			"no worker answers":     b.op.Endpoint(t, b.op.Agent(t, "nats", nil).ID, nil).Slug,
			"the agent never dials": b.unanswered(t, nil).Slug,
		}
		rig.Together(t, len(slugs), slices.Collect(maps.Keys(slugs)), func(t *testing.T, name string) {
			b.Play(t, rig.Scenario{File: "no-agent", Transport: transport, User: slugs[name]})
		})
	})
	b.Idle(t, settle)
}

func TestACarrierCancelsBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		run := b.Play(t, rig.Scenario{File: "cancel", Transport: transport, User: b.unanswered(t, nil).Slug})
		ringing, refused := run.One(180, "INVITE"), run.One(487, "INVITE")
		if ringing.ToTag() == "" || refused.ToTag() != ringing.ToTag() {
			t.Errorf("the 180 has tag %q and the 487 %q, want the same", ringing.ToTag(), refused.ToTag())
		}
	})
	b.Idle(t, settle)
}

func TestACancelThatCrossesTheAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		b.Play(t, rig.Scenario{File: "cancel-crosses-200", Transport: transport, User: b.endpoint(t, nil).Slug})
	})
	b.Idle(t, settle)
}

func TestACancelThatOvertakesItsInviteStillEndsIt(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		carrier, invite := b.Dial(t, transport), b.invite(t, b.endpoint(t, nil).Slug)
		if got := carrier.Final(invite.Cancel()); got.Status() != 481 {
			t.Errorf("the CANCEL of an INVITE that has not come got %q, want 481", got.Line())
		}
		got := carrier.Final(invite)
		if got.Status() != 487 {
			t.Errorf("its INVITE got %q, want 487", got.Line())
		}
		carrier.Send(invite.AckOf(got))
	})
	if n := b.echo.Offers(); n != 0 {
		t.Errorf("the agent had %d offers, want none", n)
	}
	b.Idle(t, settle)
}
