package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

func TestInviteIsDecidedAndExplained(t *testing.T) {
	explicit, uniform := endpoint.RefuseExplicit, endpoint.RefuseUniform
	for name, c := range map[string]struct {
		style  endpoint.RefusalStyle
		change func(*endpoint.Endpoint)
		agent  *endpoint.Agent
		want   actors.Outcome
		reason endpoint.Reason
		rule   endpoint.Rule
	}{
		"accepted": {uniform, nil, &endpoint.Agent{ID: "bot", IsActive: true}, actors.Outcome{Taken: true}, "", endpoint.RuleHandler},
		"inactive, told": {explicit, func(e *endpoint.Endpoint) { e.IsActive = false }, nil,
			actors.Outcome{Status: 603, Reason: "endpoint_inactive"}, endpoint.ReasonInactive, endpoint.RuleActive},
		"inactive, hidden": {uniform, func(e *endpoint.Endpoint) { e.IsActive = false }, nil,
			actors.Outcome{Status: 404}, endpoint.ReasonInactive, endpoint.RuleActive},
		"a stranger": {explicit, func(e *endpoint.Endpoint) { e.IP.Mode = endpoint.IPNone }, nil,
			actors.Outcome{Status: 403, Reason: "source_not_allowed"}, endpoint.ReasonSourceNotAllowed, endpoint.RuleSource},
		"no agent": {uniform, nil, nil, actors.Outcome{Status: 480}, endpoint.ReasonNoAgent, endpoint.RuleAgent},
		"an agent that is off": {explicit, nil, &endpoint.Agent{ID: "bot"},
			actors.Outcome{Status: 603, Reason: "agent_inactive"}, endpoint.ReasonAgentInactive, endpoint.RuleAgent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, desk := newShelf(), newDesk()
				store.account.Refusal, store.agent = c.style, c.agent
				d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
				to := store.put("desk", c.change)
				if got := d.dial(to, "c1"); got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				synctest.Wait()
				n := d.last()
				if n.Verdict.Reason != c.reason || n.Verdict.Rule != c.rule || n.Key != to.Key() || n.Tenant != "acme" ||
					n.ID != endpoint.DecisionID("c1") || n.Source.Port() != 5060 || n.Transport != "udp" || len(d.decisions) != 1 {
					t.Errorf("the decision was told as %+v", n)
				}
				if c.want.Taken && (n.Call != 1 || n.Node != "m1") {
					t.Errorf("the call was told as %v on %q", n.Call, n.Node)
				}
			})
		})
	}
}

func TestUnknownAddressIsNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		if got := d.dial("s/nobody", "c1"); got != (actors.Outcome{Status: 404}) || d.last().Verdict != endpoint.Unknown() {
			t.Errorf("got %+v by %+v", got, d.last().Verdict)
		}
		store.put("nobody", nil) // nothing was remembered of it
		if got := d.dial("s/nobody", "c1"); !got.Taken {
			t.Errorf("after its creation: %+v", got)
		}
	})
}

// TestNotFoundMayBeShownAsAnotherStatus asks for what does not exist, is switched
// off, and does not know the source, of an account that hides which: all look the
// same still.
func TestNotFoundMayBeShownAsAnotherStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{NotFound: 603}, store, desk, desk)
		off := store.put("off", func(e *endpoint.Endpoint) { e.IsActive = false })
		closed := store.put("closed", func(e *endpoint.Endpoint) { e.IP.Mode = endpoint.IPNone })
		for _, to := range []endpoint.Address{"s/nobody", off, closed} {
			if got := d.dial(to, "c"+string(to)); got != (actors.Outcome{Status: 603}) || d.last().Shown != (endpoint.Shown{Status: 603}) {
				t.Errorf("%v: got %+v, told as %+v", to, got, d.last().Shown)
			}
		}
		explained := make(chan actors.Explanation, 1)
		d.Explain("acme", invite(off, "e1"), func(x actors.Explanation) { explained <- x })
		if x := <-explained; x.Shown.Status != 603 || x.Verdict.Reason != endpoint.ReasonInactive {
			t.Errorf("explained as %+v", x)
		}
		if got := d.dial(store.put("desk", nil), "c9"); !got.Taken {
			t.Errorf("an endpoint that is there: %+v", got)
		}
	})
}

// TestStrangersMayBeLeftWithoutAnAnswer asks for the same, of accounts that hide
// which it is and that say it: neither tells a scanner that somebody is here.
func TestStrangersMayBeLeftWithoutAnAnswer(t *testing.T) {
	for _, style := range []endpoint.RefusalStyle{endpoint.RefuseUniform, endpoint.RefuseExplicit} {
		synctest.Test(t, func(t *testing.T) {
			store, desk := newShelf(), newDesk()
			store.account.Refusal = style
			d := newDecider(t, actors.EndpointLimits{Silent: true}, store, desk, desk)
			closed := store.put("closed", func(e *endpoint.Endpoint) { e.IP.Mode = endpoint.IPNone })
			full := store.put("full", func(e *endpoint.Endpoint) { e.MaxCallsPerSecond = ptr(1) })
			for _, to := range []endpoint.Address{"s/nobody", closed} {
				if got := d.dial(to, "c"+string(to)); !got.Silent || got.Taken {
					t.Errorf("%s: %v: got %+v", style, to, got)
				}
			}
			for i := range 3 {
				if got := d.dial(full, fmt.Sprint("f", i)); got.Silent {
					t.Errorf("%s: a caller that is let in: %+v", style, got)
				}
			}
		})
	}
}

func TestAcceptedJobSaysAllTheMediaNodeNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		store.account.Projects = []endpoint.Project{{ID: "p1"}}
		store.account.SIP.DefaultCodecs = []string{"G722"}
		to := store.put("desk", func(e *endpoint.Endpoint) {
			e.CallerIDTrusted, e.Media.Codecs = ptr(true), &[]string{"OPUS@48000H@20I", "PCMU"}
		})
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		d.Invite(invite(to, "c1"), call.Packet{Raw: []byte("INVITE")}, func(actors.Outcome) {})
		synctest.Wait()
		job := desk.jobs[0]
		if job.V != 1 || job.Cancel || job.Key != (call.TransactionKey{CallID: "c1", FromTag: "f", CSeq: 1}) || job.Branch != "z9hG4bK-c1" ||
			job.Tenant != "acme" || job.Endpoint != to.Key() || job.Project != endpoint.ProjectKey("acme", "p1") ||
			job.DecisionID != endpoint.DecisionID("c1") || string(job.Packet.Raw) != "INVITE" {
			t.Errorf("got %+v", job)
		}
		if !slices.Equal(job.Codecs, []string{"OPUS", "PCMU"}) {
			t.Errorf("it may be carried with %v", job.Codecs)
		}
		if !job.Agent.TrustCallerID || store.agent.TrustCallerID {
			t.Error("the endpoint's word on trust belongs to this job only")
		}
	})
}

func TestRejectionByCapIsRememberedAndOthersAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(1) })
		d.dial(to, "c1")
		if got := d.dial(to, "c2"); got.Status != 486 {
			t.Fatalf("got %+v", got)
		}
		time.Sleep(11 * time.Second) // the first call has never been seen: its place is free
		if got := d.dial(to, "c2"); got.Status != 486 {
			t.Errorf("a retransmission got another answer: %+v", got)
		}
		if len(d.decisions) != 2 {
			t.Errorf("%d decisions were told, want 2", len(d.decisions))
		}
		time.Sleep(22 * time.Second)
		if got := d.dial(to, "c2"); !got.Taken {
			t.Errorf("after 32 s: %+v", got)
		}
	})
}

func TestMemoryForgetsTheOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{Remembered: 3}, store, desk, desk)
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(1) })
		for i := range 10 {
			d.dial(to, fmt.Sprint("c", i))
		}
		if _, remembered := d.Resident(); remembered != 3 {
			t.Errorf("%d decisions are kept, want 3", remembered)
		}
		before := len(d.decisions)
		d.dial(to, "c9")
		d.dial(to, "c2")
		if n := len(d.decisions) - before; n != 1 {
			t.Errorf("%d of the two were decided anew, want the forgotten one", n)
		}
	})
}

func TestSlowStoreHoldsUpItsEndpointOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		slow, fast := sameMailbox(store)
		store.read = func(ctx context.Context, key endpoint.Key) error {
			if key != slow.Key() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		began := time.Now()
		waited := make(chan time.Duration, 1)
		d.Invite(invite(slow, "c1"), call.Packet{}, func(o actors.Outcome) {
			if o.Status != 503 || o.RetryAfter != actors.RetryAfter {
				t.Errorf("got %+v", o)
			}
			waited <- time.Since(began)
		})
		if got := d.dial(fast, "c2"); !got.Taken || time.Since(began) != 0 {
			t.Errorf("got %+v after %v", got, time.Since(began))
		}
		if took := <-waited; took != 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		synctest.Wait() // the decision is told after the answer
		if why := d.last().Verdict.Reason; why != endpoint.ReasonUnavailable {
			t.Errorf("reason %s", why)
		}
	})
}

func TestStopWaitsForReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		var read atomic.Int32
		store.read = func(ctx context.Context, _ endpoint.Key) error {
			<-ctx.Done()
			time.Sleep(time.Second) // it takes its time to notice
			read.Add(1)
			return ctx.Err()
		}
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		d.Invite(invite(store.put("desk", nil), "c1"), call.Packet{}, func(actors.Outcome) {})
		synctest.Wait()
		d.Stop()
		if read.Load() != 1 {
			t.Error("a read outlived what it was for")
		}
	})
}

// sameMailbox returns two addresses of one partition.
func sameMailbox(store *shelf) (a, b endpoint.Address) {
	a = store.put("a", nil)
	for i := 0; ; i++ {
		if b = store.put(fmt.Sprint("b", i), nil); b.Partition() == a.Partition() {
			return a, b
		}
	}
}

func TestColdEndpointKeepsTheOrderOfItsInvites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		store.read = func(context.Context, endpoint.Key) error { time.Sleep(50 * time.Millisecond); return nil }
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", nil)
		busy := 0
		for i := range 300 {
			d.Invite(invite(to, fmt.Sprintf("c%03d", i)), call.Packet{}, func(o actors.Outcome) {
				if o.Status == 503 {
					busy++
				}
			})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if busy != 300-256 {
			t.Errorf("%d were refused, want those beyond 256 that may wait", busy)
		}
		if len(desk.jobs) != 256 || !slices.IsSortedFunc(desk.jobs, func(a, b actors.Job) int { return compare(a.Key.CallID, b.Key.CallID) }) {
			t.Errorf("%d jobs, out of order", len(desk.jobs))
		}
		if store.reads != 1 {
			t.Errorf("%d reads, want one for all", store.reads)
		}
	})
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestWarmEndpointIsDecidedWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, warm{store}, desk, desk)
		to := store.put("desk", nil)
		if got := d.dial(to, "c1"); !got.Taken || store.reads != 0 {
			t.Errorf("got %+v with %d reads", got, store.reads)
		}
		if got := d.dial("s/nobody", "c2"); got.Status != 404 || store.reads != 0 {
			t.Errorf("got %+v with %d reads", got, store.reads)
		}
	})
}

func TestIntakesAnswerIsTheOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		taken      actors.Taken
		err        error
		want       actors.Outcome
		reason     endpoint.Reason
		remembered bool
	}{
		"full":      {actors.Taken{Status: 503}, nil, actors.Outcome{Status: 503, RetryAfter: actors.RetryAfter}, endpoint.ReasonNoMedia, true},
		"silent":    {actors.Taken{}, errors.New("no answer"), actors.Outcome{Status: 503, RetryAfter: actors.RetryAfter}, endpoint.ReasonNoMedia, true},
		"merged":    {actors.Taken{Status: 482}, nil, actors.Outcome{Status: 482}, endpoint.ReasonMerged, false},
		"cancelled": {actors.Taken{Status: 487}, nil, actors.Outcome{Status: 487}, endpoint.ReasonCancelled, true},
		"bad":       {actors.Taken{Status: 488}, nil, actors.Outcome{Status: 488}, endpoint.ReasonBadInvite, true},
		"broken":    {actors.Taken{Status: 500}, nil, actors.Outcome{Status: 500}, endpoint.ReasonInternal, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, desk := newShelf(), newDesk()
				desk.answer = func(actors.Job) (actors.Taken, error) { return c.taken, c.err }
				d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
				to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(1) })
				if got := d.dial(to, "c1"); got != c.want || d.last().Verdict.Reason != c.reason {
					t.Errorf("got %+v, %s", got, d.last().Verdict.Reason)
				}
				if got := d.dial(to, "c1"); got != c.want {
					t.Errorf("a retransmission got %+v", got)
				}
				if again := len(desk.jobs) == 2; again == c.remembered {
					t.Errorf("%d offers: remembered is %v", len(desk.jobs), !again)
				}
				desk.answer = nil
				if got := d.dial(to, "c2"); got.Taken == (c.err != nil) {
					t.Errorf("the next call got %+v: a refusal frees its place, silence does not", got)
				}
			})
		})
	}
}

func TestCopiesThatComeEarlyShareTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		desk.delay = func() time.Duration { return 100 * time.Millisecond }
		desk.answer = func(actors.Job) (actors.Taken, error) { return actors.Taken{Status: 503}, nil }
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", nil)
		var got []int
		for range 20 {
			d.Invite(invite(to, "c1"), call.Packet{}, func(o actors.Outcome) { got = append(got, o.Status) })
		}
		merged := invite(to, "c1")
		merged.Branch = "z9hG4bK-other"
		d.Invite(merged, call.Packet{}, func(o actors.Outcome) {
			if o.Status != 482 {
				t.Errorf("the copy with another branch got %+v", o)
			}
		})
		time.Sleep(time.Second)
		synctest.Wait()
		slices.Sort(got)
		// The first, 16 that wait, and 3 that are left to the first one's answer.
		if want := slices.Concat(make([]int, 3), slices.Repeat([]int{503}, 17)); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		if len(desk.jobs) != 1 {
			t.Errorf("%d offers, want 1", len(desk.jobs))
		}
	})
}

func TestRetransmissionOfACallGoesToItsMediaNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(1) })
		d.dial(to, "c1")
		store.put("desk", func(e *endpoint.Endpoint) { e.IsActive = false }) // the call has begun all the same
		again := invite(to, "c1")
		again.Branch = "z9hG4bK-other"
		if got := d.send(again); !got.Taken || len(desk.jobs) != 2 || desk.jobs[1].Branch != again.Branch {
			t.Errorf("got %+v, %d offers", got, len(desk.jobs))
		}
	})
}
