package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

func TestCallRunsFromInviteToBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.answered(t, "c1")
		if ph.Count() != 1 || !ph.bridges[id].answered {
			t.Errorf("%d calls, bridge told of the answer: %v", ph.Count(), ph.bridges[id].answered)
		}
		time.Sleep(time.Minute)
		ph.says(t, id, "BYE")
		if want := "100, 180, 200, 200 BYE"; ph.log() != want {
			t.Errorf("sent %s, want %s", ph.log(), want)
		}
		if want := []string{"1 call.started", "2 call.ringing", "3 call.answered", "4 call.ended"}; !slices.Equal(ph.events, want) {
			t.Errorf("events %q", ph.events)
		}
		if want := []string{"call.started", "call.ringing", "call.answered", "call.ended"}; !slices.Equal(ph.bridges[id].heard, want) {
			t.Errorf("the agent heard %q", ph.bridges[id].heard)
		}
		rec := ph.records[0]
		if len(ph.records) != 1 || rec.ID != id || rec.Status != 200 || rec.Quality.PacketsReceived != 42 || rec.Codec != "PCMU" ||
			rec.Node != "m1" || rec.Agent != "bot" || rec.DecisionID != "d1" || ph.bridges[id].closed != 1 {
			t.Errorf("record %+v of %d, bridge closed %d times", rec, len(ph.records), ph.bridges[id].closed)
		}
		if ph.Count() != 0 || ph.Lingering() != 1 || len(ph.Live()) != 0 {
			t.Errorf("%d live, %d linger, %v counted", ph.Count(), ph.Lingering(), ph.Live())
		}
	})
}

func TestEndedCallLingersUntilItsDialogIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.answered(t, "c1")
		ph.says(t, id, "BYE")
		time.Sleep(64*t1 - time.Millisecond)
		ph.says(t, id, "BYE") // a retransmission
		if !ph.Holds(id) {
			t.Error("the dialog is not held")
		}
		time.Sleep(64*t1 + time.Millisecond)
		synctest.Wait()
		if err := ph.InDialog(id, call.Packet{Raw: []byte("BYE")}); !errors.Is(err, actors.ErrNotMine) || ph.Holds(id) {
			t.Errorf("got %v, want ErrNotMine; held: %v", err, ph.Holds(id))
		}
		if ph.Lingering() != 0 {
			t.Errorf("%d linger", ph.Lingering())
		}
	})
}

func TestAgentThatLeavesMakesABye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.answered(t, "c1")
		ph.bridges[id].post(call.Event{Kind: call.AgentLeft, Cause: call.CauseAgentHangup})
		synctest.Wait()
		if ph.Count() != 1 || len(ph.records) != 0 {
			t.Errorf("%d live and %d records before the BYE is answered", ph.Count(), len(ph.records))
		}
		ph.says(t, id, "200")
		if !strings.HasSuffix(ph.log(), "BYE agent_hangup") || ph.Count() != 0 || ph.records[0].Quality.PacketsReceived != 42 {
			t.Errorf("sent %s; %d live; %+v", ph.log(), ph.Count(), ph.records)
		}
	})
}

func TestTimersOfTheCallFire(t *testing.T) {
	for name, c := range map[string]struct {
		agent endpoint.Agent
		after time.Duration
		sent  string
	}{
		"no agent":                     {endpoint.Agent{}, 20 * time.Second, "100, 480"},
		"no agent, by its own timeout": {endpoint.Agent{JoinTimeoutMs: 3000}, 3 * time.Second, "100, 480"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ph := newPhone(t, nil)
			j := job("c1")
			j.Agent = &c.agent
			ph.Offer(j)
			time.Sleep(c.after - time.Millisecond)
			if ph.log() != "100" {
				t.Errorf("%s: early: %s", name, ph.log())
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if ph.log() != c.sent {
				t.Errorf("%s: sent %s, want %s", name, ph.log(), c.sent)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, func(l *actors.CallLimits) { l.MaxDuration = time.Minute })
		ph.answered(t, "c1")
		time.Sleep(time.Minute)
		synctest.Wait()
		if !strings.HasSuffix(ph.log(), "BYE max_duration") {
			t.Errorf("sent %s", ph.log())
		}
	})
}

func TestFullNodeAndDrainingNodeTakeNoNewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, func(l *actors.CallLimits) { l.MaxCalls = 2 })
		first := ph.ring(t, "c1")
		ph.ring(t, "c2")
		if got := ph.Offer(job("c3")); got.Status != 503 || got.Node != "m1" {
			t.Errorf("full: %+v", got)
		}
		if err := ph.Hangup(first, call.CauseOperator); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := ph.Offer(job("c3")); got.Status != 503 {
			t.Errorf("a copy of what went on to the next node: %+v", got)
		}
		if got := ph.Offer(cancelOf("c3")); got.Status != 481 {
			t.Errorf("its CANCEL: %+v", got)
		}
		if got := ph.Offer(job("c5")); !got.New {
			t.Errorf("with a call ended: %+v", got)
		}
		ph.Drain()
		if got := ph.Offer(job("c4")); got.Status != 503 {
			t.Errorf("draining: %+v", got)
		}
		if got := ph.Offer(job("c2")); got.Status != 0 || got.New {
			t.Errorf("a retransmission while draining: %+v", got)
		}
		if ph.Count() != 2 {
			t.Errorf("%d calls", ph.Count())
		}
	})
}

func TestRefusedInviteBecomesNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		for name, c := range map[string]struct {
			refuse func(call.Packet) error
			want   int
		}{
			"refusal": {func(call.Packet) error {
				return fmt.Errorf("new: %w", &call.Refusal{Response: call.Response{Status: 488}, Why: "no codec"})
			}, 488},
			"fault": {func(call.Packet) error { return errors.New("broken") }, 500},
			"panic": {func(call.Packet) error { panic("broken") }, 500},
		} {
			ph.refuse = c.refuse
			if got := ph.Offer(job(name)); got.Status != c.want || got.New {
				t.Errorf("%s: %+v", name, got)
			}
		}
		ph.refuse = nil
		without := job("c1")
		without.Agent = nil
		if got := ph.Offer(without); got.Status != 500 {
			t.Errorf("a job without an agent: %+v", got)
		}
		if ph.Count() != 0 || len(ph.Live()) != 0 || ph.panics != 1 {
			t.Errorf("%d calls, %v, %d panics", ph.Count(), ph.Live(), ph.panics)
		}
		ph.ring(t, "refusal") // nothing was left behind
	})
}

func TestCallKnowsWhatTheDeciderSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		j := job("c1")
		j.Project, j.Agent.TrustCallerID, j.Codecs = "pr", true, []string{"PCMU"}
		id := ph.Offer(j).ID
		synctest.Wait()
		req := ph.request[id]
		if req.Tenant != "acme" || req.Endpoint != "ep" || req.Asked.Agent.ID != "bot" || !req.Invitation.From.Trusted ||
			time.Until(req.Asked.Deadline) != 20*time.Second || !slices.Equal(req.Codecs, []string{"PCMU"}) {
			t.Errorf("the switchboard was asked for %+v", req)
		}
		live := ph.Live()
		if !slices.Equal(live["ep"], []call.ID{id}) || !slices.Equal(live["pr"], []call.ID{id}) || len(live) != 2 {
			t.Errorf("counted as %v", live)
		}
	})
}

func TestChangesOfTheCensusAreAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		changed := func() bool {
			select {
			case <-ph.Changed():
				return true
			default:
				return false
			}
		}
		id := ph.ring(t, "c1")
		if !changed() || changed() {
			t.Error("the beginning was not announced once")
		}
		_ = ph.Hangup(id, call.CauseOperator)
		synctest.Wait()
		if !changed() || changed() {
			t.Error("the end was not announced once")
		}
	})
}

func TestListAndGetShowLiveCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		var ids []call.ID
		for i := range 10 {
			ids = append(ids, ph.ring(t, fmt.Sprint("c", i)))
			time.Sleep(time.Millisecond)
		}
		_ = ph.Hangup(ids[3], call.CauseOperator)
		synctest.Wait()
		ids = slices.Delete(ids, 3, 4)
		all, err := ph.List(t.Context())
		var got []call.ID
		for _, s := range all {
			got = append(got, s.ID)
		}
		if err != nil || !slices.Equal(got, ids) {
			t.Errorf("listed %v, %v, want %v", got, err, ids)
		}
		s, err := ph.Get(t.Context(), ids[0])
		if err != nil || s.State != call.StateTrying || s.Tenant != "acme" || s.Endpoint != "ep" || s.Agent != "bot" || s.From.User != "alice" ||
			s.Source != "203.0.113.9:5060" || s.Since.IsZero() || s.Quality.PacketsReceived != 42 || s.Node != "m1" || s.V != 1 {
			t.Errorf("got %+v, %v", s, err)
		}
		if _, err := ph.Get(t.Context(), 99); !errors.Is(err, actors.ErrNotMine) {
			t.Errorf("got %v", err)
		}
		if len(ph.started) != 10 || ph.started[0].ID != ids[0] {
			t.Errorf("%d starts were told", len(ph.started))
		}
	})
}

func TestListGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		id := ph.ring(t, "c1")
		hold := make(chan struct{})
		ph.notify = func(call.ID, string) { <-hold }
		ph.bridges[id].post(call.Event{Kind: call.AgentChosen})
		synctest.Wait() // its loop is stuck
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := ph.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(hold)
	})
}

func TestHangupAllEndsEveryCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, nil)
		for i := range 5 {
			ph.ring(t, fmt.Sprint("ringing", i))
			ph.answered(t, fmt.Sprint("answered", i))
		}
		ph.Drain()
		ph.HangupAll(call.CauseDrain)
		synctest.Wait()
		if n := strings.Count(ph.log(), "BYE node_drained"); n != 5 {
			t.Errorf("%d BYEs", n)
		}
		if ph.Count() != 5 || len(ph.records) != 5 {
			t.Errorf("%d calls wait for the answer to their BYE, %d records", ph.Count(), len(ph.records))
		}
		ph.Stop()
		if ph.Count() != 0 || len(ph.records) != 10 {
			t.Errorf("after the stop %d calls are live, %d have records", ph.Count(), len(ph.records))
		}
	})
}

func TestCallsLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		ph := newPhone(t, nil)
		for i := range 40 {
			switch id := ph.ring(t, fmt.Sprint("c", i)); i % 4 {
			case 0:
				_ = ph.Offer(cancelOf(fmt.Sprint("c", i)))
			case 1:
				ph.bridges[id].post(call.Event{Kind: call.AgentFailed, Status: 480})
			case 2:
				_ = ph.Hangup(id, call.CauseOperator)
			}
			_ = ph.Offer(cancelOf(fmt.Sprint("early", i)))
		}
		time.Sleep(20*time.Second + 3*64*t1 + actors.Linger)
		synctest.Wait()
		if ph.Count() != 0 || ph.Lingering() != 0 || ph.Remembered() != 0 || len(ph.Live()) != 0 || len(ph.records) != 40 {
			t.Errorf("%d live, %d linger, %d keys, %v counted, %d records", ph.Count(), ph.Lingering(), ph.Remembered(), ph.Live(), len(ph.records))
		}
		if n := grown(before); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
	})
}

func TestLingeringCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ph := newPhone(t, func(l *actors.CallLimits) { l.MaxCalls = 2 })
		var ids []call.ID
		for i := range 10 {
			id := ph.ring(t, fmt.Sprint("c", i))
			_ = ph.Hangup(id, call.CauseOperator)
			synctest.Wait()
			ids = append(ids, id)
		}
		if ph.Lingering() != 4 {
			t.Errorf("%d linger, want twice MaxCalls", ph.Lingering())
		}
		if err := ph.InDialog(ids[0], call.Packet{Raw: []byte("ACK")}); !errors.Is(err, actors.ErrNotMine) {
			t.Errorf("the oldest: %v", err)
		}
		if err := ph.InDialog(ids[9], call.Packet{Raw: []byte("ACK")}); err != nil {
			t.Errorf("the newest: %v", err)
		}
	})
}
