package actors_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// flood sends n INVITEs at once, each of them as many times as copies says,
// and returns how many of them were taken.
func flood(d *decider, n, copies int, to func(i int) endpoint.Address) int {
	var taken atomic.Int64
	var callers sync.WaitGroup
	for i := range n {
		var once sync.Once
		for range copies {
			callers.Go(func() {
				if d.send(invite(to(i), fmt.Sprint("c", i))).Taken {
					once.Do(func() { taken.Add(1) })
				}
			})
		}
	}
	callers.Wait()
	return int(taken.Load())
}

func TestCapAdmitsExactlyAsManyCalls(t *testing.T) {
	for name, delay := range map[string]func() time.Duration{
		"an intake that answers at once": nil,
		"an intake that takes its time":  func() time.Duration { return time.Duration(rand.IntN(100)) * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, desk := newShelf(), newDesk()
				desk.delay = delay
				d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
				to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(7) })
				if got := flood(d, 200, 3, func(int) endpoint.Address { return to }); got != 7 || desk.taken() != 7 {
					t.Errorf("%d carriers heard yes and %d calls began, want 7", got, desk.taken())
				}
			})
		})
	}
}

func TestCapAdmitsExactlyUnderRealConcurrency(t *testing.T) {
	store, desk := newShelf(), newDesk()
	d := newDecider(t, actors.EndpointLimits{}, warm{store}, desk, desk)
	to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(7) })
	if got := flood(d, 200, 3, func(int) endpoint.Address { return to }); got != 7 || desk.taken() != 7 {
		t.Errorf("%d carriers heard yes and %d calls began, want 7", got, desk.taken())
	}
}

func TestProjectsCapHoldsAcrossPartitions(t *testing.T) {
	store, desk := newShelf(), newDesk()
	store.account.Projects = []endpoint.Project{{ID: "p1", Limits: endpoint.Limits{MaxConcurrentCalls: 9}}}
	d := newDecider(t, actors.EndpointLimits{}, warm{store}, desk, desk)
	var desks []endpoint.Address
	for i := range 40 {
		desks = append(desks, store.put(fmt.Sprint("desk", i), nil))
	}
	if got := flood(d, 200, 2, func(i int) endpoint.Address { return desks[i%40] }); got != 9 || desk.taken() != 9 {
		t.Errorf("%d carriers heard yes and %d calls began, want 9", got, desk.taken())
	}
	desk.report(endpoint.ProjectKey("acme", "p1"))
	if got := d.decide(invite(desks[0], "later")); got.Shown.Status != 486 || got.Verdict.Rule != endpoint.RuleProjectConcurrency {
		t.Errorf("reported calls and reservations were not told apart: %+v", got)
	}
}

func TestReportedCallsCountUntilTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, counting{desk})
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(2) })
		d.dial(to, "c1")
		d.dial(to, "c2")
		for i := range 100 {
			desk.report(to.Key())
			if got := d.dial(to, fmt.Sprint("x", i)); got.Status != 486 {
				t.Fatalf("after %d s: %+v", i, got)
			}
			time.Sleep(time.Second)
		}
		desk.report() // both ended
		if got := d.dial(to, "c3"); !got.Taken {
			t.Errorf("after their end: %+v", got)
		}
	})
}

func TestReservationEndsWithoutReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(1) })
		d.dial(to, "c1")
		time.Sleep(10*time.Second - time.Millisecond)
		if got := d.dial(to, "c2"); got.Status != 486 {
			t.Errorf("just before: %+v", got)
		}
		time.Sleep(time.Millisecond)
		if got := d.dial(to, "c3"); !got.Taken {
			t.Errorf("after 10 s: %+v", got)
		}
	})
}

func TestCallTooShortForAReportFreesItsPlaceAfterTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, counting{desk})
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(1) })
		d.dial(to, "c1")
		desk.report() // made up before the call, perhaps
		if got := d.dial(to, "c2"); got.Status != 486 {
			t.Errorf("after one report: %+v", got)
		}
		desk.report()
		time.Sleep(249 * time.Millisecond)
		if got := d.dial(to, "c3"); got.Status != 486 {
			t.Errorf("after two that may have lagged: %+v", got)
		}
		time.Sleep(time.Millisecond)
		if got := d.dial(to, "c4"); !got.Taken {
			t.Errorf("after two: %+v", got)
		}
	})
}

func TestRetransmissionOfTheLastCallIsNotRefusedByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls, e.MaxCallsPerSecond = ptr(1), ptr(1) })
		for i := range 5 {
			if got := d.dial(to, "c1"); !got.Taken {
				t.Errorf("copy %d: %+v", i, got)
			}
		}
		if desk.taken() != 1 {
			t.Errorf("%d calls", desk.taken())
		}
	})
}

func TestRateIsPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		store.account.Projects = []endpoint.Project{{ID: "p1", Limits: endpoint.Limits{CPS: 8}}}
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		own := store.put("own", func(e *endpoint.Endpoint) { e.MaxCallsPerSecond = ptr(5) })
		other := store.put("other", nil)
		next := 0
		burst := func(to endpoint.Address) (taken int) {
			for range 20 {
				next++
				if d.dial(to, fmt.Sprint("c", next)).Taken {
					taken++
				}
			}
			return taken
		}
		if got := burst(own); got != 5 {
			t.Errorf("the endpoint took %d at once, want 5", got)
		}
		if got := burst(other); got != 3 {
			t.Errorf("the project took %d more, want 3", got)
		}
		if rule := d.last().Verdict.Rule; rule != endpoint.RuleProjectRate {
			t.Errorf("the rule was %s", rule)
		}
		time.Sleep(time.Second)
		if got := burst(own); got != 5 {
			t.Errorf("a second later it took %d, want 5", got)
		}
	})
}

func TestRefusedOfferGivesItsPlaceBackAtOnce(t *testing.T) {
	store, desk := newShelf(), newDesk()
	var n atomic.Int64
	desk.answer = func(job actors.Job) (actors.Taken, error) {
		if n.Add(1)%2 == 1 {
			return actors.Taken{Status: 503}, nil
		}
		desk.calls[job.Key] = call.ID(n.Load())
		return actors.Taken{ID: call.ID(n.Load()), New: true}, nil
	}
	d := newDecider(t, actors.EndpointLimits{}, warm{store}, desk, desk)
	to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(3) })
	taken := 0
	for i := range 10 {
		if d.send(invite(to, fmt.Sprint("c", i))).Taken {
			taken++
		}
	}
	if taken != 3 || n.Load() != 6 {
		t.Errorf("%d taken of %d offers, want 3 of 6", taken, n.Load())
	}
}
