package e2e_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/control"
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
		carrier, invite := b.Dial(t, transport), b.invite(b.endpoint(t, nil).Slug)
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

// TestWheneverTheCancelComesTheCallHasOneEnd sweeps the CANCEL over the time
// that a call takes to be answered.
func TestWheneverTheCancelComesTheCallHasOneEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	slug := b.endpoint(t, nil).Slug
	var cancelled, answered atomic.Int32
	both(t, func(t *testing.T, transport string) {
		const steps = 40
		began := time.Now()
		whole := b.call(t, transport, slug)
		span := 2 * time.Since(began)
		whole.bye(t)
		for step, reached := 0, false; step < steps || !reached && step < 4*steps; step++ { // as far as a call that is answered
			carrier, invite := b.Dial(t, transport), b.invite(slug)
			carrier.Send(invite)
			time.Sleep(span * time.Duration(step) / steps) // until the moment to test
			carrier.Send(invite.Cancel())
			ends := map[string]rig.Response{} // by method
			for len(ends) < 2 {
				got := carrier.Expect("final response", func(r rig.Response) bool { return r.Status() >= 200 })
				_, method, _ := strings.Cut(got.Header("CSeq"), " ")
				if before, twice := ends[method]; twice && before.Line() != got.Line() {
					t.Fatalf("step %d: %s got %q, then %q", step, method, before.Line(), got.Line())
				}
				ends[method] = got
			}
			if got := ends["CANCEL"]; got.Status() != 200 && got.Status() != 481 { // 481: it came first
				t.Errorf("step %d: CANCEL got %q, want 200 or 481", step, got.Line())
			}
			switch final := ends["INVITE"]; final.Status() {
			case 487:
				cancelled.Add(1)
				carrier.Send(invite.AckOf(final))
			case 200:
				reached = true
				answered.Add(1)
				(&talk{carrier, invite, final}).end(t)
			default:
				t.Errorf("step %d: INVITE got %q, want 487 or 200", step, final.Line())
			}
			carrier.Close()
		}
	})
	t.Logf("%d calls were cancelled, %d answered", cancelled.Load(), answered.Load())
	if cancelled.Load() == 0 || answered.Load() == 0 {
		t.Errorf("%d calls were cancelled and %d answered: the sweep missed one side", cancelled.Load(), answered.Load())
	}
	b.Idle(t, settle)
}

func TestBothSidesMayHangUpAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	both(t, func(t *testing.T, transport string) {
		ep := b.endpoint(t, nil)
		for range 10 {
			c := b.call(t, transport, ep.Slug)
			call := b.op.CallOf(t, ep, "established")
			var hangup sync.WaitGroup
			hangup.Go(func() {
				err := b.op.Try("call", "hangup", control.ID{ID: call.ID.String()}, nil)
				var told *control.Error
				if errors.As(err, &told) && told.Code == control.CodeNotFound {
					err = nil // the carrier was faster
				}
				if err != nil {
					t.Errorf("hangup: %v", err)
				}
			})
			c.Send(c.invite.Within(c.answer, "BYE", 2))
			c.Expect("200 to the carrier's BYE", func(r rig.Response) bool {
				if r.Method() == "BYE" {
					c.Reply(r)
				}
				return r.Status() == 200 && strings.HasSuffix(r.Header("CSeq"), "2 BYE")
			})
			hangup.Wait()
			if bye, ok := c.Next(50 * time.Millisecond); ok && bye.Method() == "BYE" {
				c.Reply(bye)
			}
			c.Close()
		}
	})
	b.Idle(t, settle)
}
