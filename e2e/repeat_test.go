package e2e_test

import (
	"testing"
	"time"

	"patchbay/e2e/rig"
)

func TestARepeatedInviteIsOneCall(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		echo := b.op.Echo(t)
		ep := b.op.Endpoint(t, echo.Agent, nil)
		carrier, invite := b.Dial(t, transport), b.invite(ep.Slug)
		for _, pause := range []time.Duration{0, 0, 5, 20, 100, 200} {
			time.Sleep(pause * time.Millisecond) // between copies, as a carrier's timer A would
			carrier.Send(invite)
		}
		answer := carrier.Status(200, "INVITE")
		carrier.Send(invite.Within(answer, "ACK", 1))
		var live int
		for _, c := range b.op.Calls(t) {
			if c.Endpoint == ep.Key {
				live++
			}
		}
		if live != 1 {
			t.Errorf("%d calls are live, want 1", live)
		}
		carrier.Silent(time.Second, "a response with another tag", func(r rig.Response) bool {
			return r.Status() > 100 && r.ToTag() != answer.ToTag()
		})
		if n := echo.Offers(); n != 1 {
			t.Errorf("the agent had %d offers, want 1", n)
		}
		if got := carrier.Final(invite.Within(answer, "BYE", 2)); got.Status() != 200 {
			t.Errorf("BYE got %q, want 200", got.Line())
		}
	})
	b.Idle(t, settle)
}

func TestTheSameInviteByAnotherPathIsMerged(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		carrier, invite := b.Dial(t, transport), b.invite(b.unanswered(t, nil).Slug)
		carrier.Send(invite)
		ringing := carrier.Status(180, "INVITE")
		other := invite
		other.Branch = ""
		other = other.Fresh()
		merged := carrier.Final(other)
		if merged.Status() != 482 {
			t.Errorf("the copy with another branch got %q, want 482 (RFC 3261 8.2.2.2)", merged.Line())
		}
		carrier.Send(other.AckOf(merged))
		carrier.Send(invite.Cancel())
		ended := carrier.Status(487, "INVITE")
		carrier.Send(invite.AckOf(ended))
		if ended.ToTag() != ringing.ToTag() {
			t.Errorf("the first copy ended with tag %q, want %q", ended.ToTag(), ringing.ToTag())
		}
	})
	b.Idle(t, settle)
}

func TestACallThatIsNeverAcknowledgedEnds(t *testing.T) {
	t.Parallel()
	const t1 = 50 * time.Millisecond
	b := newBed(t, rig.Settings{"sip.t1": t1.String()})
	both(t, func(t *testing.T, transport string) {
		began := time.Now()
		run := b.Play(t, rig.Scenario{File: "no-ack", Transport: transport, User: b.endpoint(t, nil).Slug})
		if took := time.Since(began); took < 64*t1 {
			t.Errorf("the BYE came after %v, want 64*T1 = %v at least", took, 64*t1)
		}
		if n := len(run.Received(200, "INVITE")); n < 5 {
			t.Errorf("the 200 came %d times, want it repeated until the end, on every transport (RFC 3261 13.3.1.4)", n)
		}
	})
	b.Idle(t, settle)
}

func TestWhatIsNotServedIsSaidPlainly(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		ep := b.endpoint(t, nil)
		rig.Together(t, 2, []string{"options", "unknown-method"}, func(t *testing.T, file string) {
			b.Play(t, rig.Scenario{File: file, Transport: transport, User: ep.Slug})
		})
	})
}

func TestARequestOfADialogThatIsNotOursGets481(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		c := b.call(t, transport, b.endpoint(t, nil).Slug)
		forged := c.invite.Within(c.answer, "BYE", 5)
		forged.To = "<" + c.invite.URI + ">;tag=0123456789abcdef0123456789abcdef"
		forged.URI = c.invite.URI
		if got := c.Final(forged); got.Status() != 481 {
			t.Errorf("a BYE with a forged tag got %q, want 481", got.Line())
		}
		stranger := c.invite.Within(c.answer, "BYE", 6)
		stranger.FromTag = "someone-else"
		if got := c.Final(stranger); got.Status() != 481 {
			t.Errorf("a BYE with another From-tag got %q, want 481", got.Line())
		}
		if got := c.Final(c.invite.Within(c.answer, "OPTIONS", 7)); got.Status() != 200 {
			t.Errorf("afterwards the call's own OPTIONS got %q, want 200", got.Line())
		}
		c.bye(t)
	})
	b.Idle(t, settle)
}
