package actors_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// A tenure is what a decider is told of itself.
type tenure struct {
	mu      sync.Mutex
	as      endpoint.Standing
	settled bool
}

func (t *tenure) Standing(uint8, time.Time) (endpoint.Standing, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.as, t.settled
}

func (t *tenure) set(as endpoint.Standing, settled bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.as, t.settled = as, settled
}

func newTenured(t testing.TB, store actors.Store, intake actors.Intake, load actors.Load, ten actors.Tenure) *actors.Endpoints {
	e := actors.NewEndpoints(actors.EndpointLimits{Mailbox: 1024, Remembered: 1024, StoreTimeout: time.Second},
		actors.EndpointPorts{Store: store, Intake: intake, Load: load, Tenure: ten}, actors.EndpointObserver{})
	t.Cleanup(e.Stop)
	return e
}

func decide(e *actors.Endpoints, inv endpoint.Invite) actors.Outcome {
	out := make(chan actors.Outcome, 1)
	e.Invite(inv, call.Packet{}, func(o actors.Outcome) { out <- o })
	return <-out
}

func TestADeciderThatIsNewLooksForTheCallBeforeItRefusesForALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk, ten := newShelf(), newDesk(), &tenure{}
		known := func(job actors.Job) bool { return job.Known }
		desk.answer = func(job actors.Job) (actors.Taken, error) {
			switch {
			case job.Known && job.Key.CallID == "accepted elsewhere":
				return actors.Taken{ID: 7, Node: "m1"}, nil
			case job.Known:
				return actors.Taken{Status: 481, Node: "m1"}, nil
			}
			return actors.Taken{ID: 9, New: true, Node: "m1"}, nil
		}
		e := newTenured(t, store, desk, desk, ten)
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(1) })
		if got := decide(e, invite(to, "first")); !got.Taken {
			t.Fatalf("%+v", got)
		}
		for range 2 { // the second time from memory
			if got := decide(e, invite(to, "accepted elsewhere")); !got.Taken {
				t.Errorf("the call is there: %+v", got)
			}
			if got := decide(e, invite(to, "nobody's")); got.Status != 486 {
				t.Errorf("no call is there: %+v", got)
			}
		}
		if got := len(slices.DeleteFunc(slices.Clone(desk.jobs), func(j actors.Job) bool { return !known(j) })); got != 3 {
			t.Errorf("media nodes were asked %d times, want once for the refused one, twice for the accepted", got)
		}
		ten.set(endpoint.Standing{}, true)
		jobs := len(desk.jobs)
		if got := decide(e, invite(to, "late")); got.Status != 486 || len(desk.jobs) != jobs {
			t.Errorf("an owner of long standing: %+v after %d jobs", got, len(desk.jobs)-jobs)
		}
	})
}

func TestCopiesWaitWhileACallIsLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		var ask func(actors.Taken, error)
		intake := intakeFunc(func(_ context.Context, _ actors.Job, done func(actors.Taken, error)) { ask = done })
		e := newTenured(t, store, intake, desk, &tenure{as: endpoint.Standing{Deciders: 2}})
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls, e.CapPolicy = ptr(1), endpoint.CapStrict })
		outcomes := make(chan actors.Outcome, 2)
		for range 2 {
			e.Invite(invite(to, "c1"), call.Packet{}, func(o actors.Outcome) { outcomes <- o })
		}
		synctest.Wait()
		ask(actors.Taken{Status: 503}, nil)
		for range 2 {
			if got := <-outcomes; got.Status != 480 {
				t.Errorf("got %+v", got)
			}
		}
	})
}

func TestADeciderThatIsNotTheOwnerCountsWhatOthersMayNotHaveHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk, ten := newShelf(), newDesk(), &tenure{as: endpoint.Standing{Deciders: 2}, settled: true}
		e := newTenured(t, store, desk, counting{desk}, ten)
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(10) })
		if got := decide(e, invite(to, "c1")); !got.Taken {
			t.Fatalf("%+v", got)
		}
		if got := decide(e, invite(to, "c2")); got.Status != 486 {
			t.Errorf("a second one at once: %+v", got)
		}
		desk.report(to.Key()) // we have heard of it, others may not have
		if got := decide(e, invite(to, "c3")); got.Status != 486 {
			t.Errorf("once it is reported: %+v", got)
		}
		time.Sleep(time.Second)
		if got := decide(e, invite(to, "c4")); !got.Taken {
			t.Errorf("once all have heard: %+v", got)
		}
		ten.set(endpoint.Standing{}, true)
		for i := range 8 {
			if got := decide(e, invite(to, string(rune('p'+i)))); !got.Taken {
				t.Errorf("the owner, call %d: %+v", i+3, got)
			}
		}
		if got := decide(e, invite(to, "too many")); got.Status != 486 {
			t.Errorf("the owner, beyond the cap: %+v", got)
		}
	})
}

func TestAnOfferUnderWayIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		var answer func(actors.Taken, error)
		intake := intakeFunc(func(_ context.Context, _ actors.Job, done func(actors.Taken, error)) { answer = done })
		e := newTenured(t, store, intake, desk, &tenure{})
		to := store.put("desk", nil)
		e.Invite(invite(to, "c1"), call.Packet{}, func(actors.Outcome) {})
		synctest.Wait()
		if !e.Offering(to.Partition()) || e.Offering(to.Partition()+1) {
			t.Error("the offer is not known, or at another partition")
		}
		answer(actors.Taken{ID: 1, New: true}, nil)
		synctest.Wait()
		if e.Offering(to.Partition()) {
			t.Error("an offer that was answered is still under way")
		}
	})
}

func TestANumberIsExplainedAsItsEndpointsOwnerWouldDecide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		e := newTenured(t, store, desk, desk, &tenure{as: endpoint.Standing{Deciders: 3, Rank: 2}})
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls, e.CapPolicy = ptr(1), endpoint.CapStrict })
		number := endpoint.NumberAddress("15551234567")
		store.numbers = map[endpoint.Key]endpoint.Claims{number.Key(): {V: 1, Numbers: []endpoint.Number{{V: 1, Tenant: "acme", Key: to.Key(), Partition: to.Partition()}}}}
		explain := func(a endpoint.Address) actors.Explanation {
			out := make(chan actors.Explanation, 1)
			e.Explain("acme", invite(a, "c1"), func(x actors.Explanation) { out <- x })
			return <-out
		}
		if got := explain(number); got.Verdict.Action != endpoint.Accept || got.Deciders != 0 {
			t.Errorf("the number: %+v", got)
		}
		if got := explain(to); got.Verdict.Reason != endpoint.ReasonNoOwner || got.Deciders != 3 {
			t.Errorf("the endpoint, whose owner nobody knows: %+v", got)
		}
	})
}
