package actors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

func TestCancelGoesToTheMediaNodeWhateverElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		stuck := make(chan struct{})
		defer close(stuck)
		store.read = func(context.Context, endpoint.Key) error { <-stuck; return nil }
		d := newDecider(t, actors.EndpointLimits{Mailbox: 1}, store, desk, desk)
		d.Invite(invite("s/desk", "c1"), call.Packet{}, func(actors.Outcome) {})
		for _, c := range []struct {
			taken actors.Taken
			err   error
			want  actors.Outcome
		}{
			{actors.Taken{ID: 1}, nil, actors.Outcome{Taken: true}},
			{actors.Taken{Status: 481}, nil, actors.Outcome{Status: 481}},
			{actors.Taken{}, errors.New("no answer"), actors.Outcome{Status: 503}},
		} {
			desk.answer = func(job actors.Job) (actors.Taken, error) {
				if !job.Cancel || job.Branch != "z9hG4bK-c1" || string(job.Packet.Raw) != "CANCEL" {
					t.Errorf("got %+v", job)
				}
				return c.taken, c.err
			}
			var got actors.Outcome
			d.Cancel(invite("s/desk", "c1"), call.Packet{Raw: []byte("CANCEL")}, func(o actors.Outcome) { got = o })
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		}
	})
}

func TestFullMailboxIs503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		hold := make(chan struct{})
		intake := intakeFunc(func(_ context.Context, job actors.Job, done func(actors.Taken, error)) {
			<-hold // an intake that blocks, against its contract
			done(desk.take(job))
		})
		d := newDecider(t, actors.EndpointLimits{Mailbox: 1}, warm{store}, intake, desk)
		to := store.put("desk", nil)
		reply := func(o actors.Outcome) {
			if !o.Taken {
				t.Errorf("got %+v", o)
			}
		}
		d.Invite(invite(to, "c1"), call.Packet{}, reply)
		synctest.Wait()
		d.Invite(invite(to, "c2"), call.Packet{}, reply)
		if got := d.dial(to, "c3"); got != (actors.Outcome{Status: 503, RetryAfter: actors.RetryAfter}) || d.last().Verdict.Reason != endpoint.ReasonBusy {
			t.Errorf("got %+v, %s", got, d.last().Verdict.Reason)
		}
		close(hold)
	})
}

func TestPanicCostsOneInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := store.put("desk", nil)
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		desk.answer = func(actors.Job) (actors.Taken, error) { defer desk.mu.Lock(); desk.mu.Unlock(); panic("intake") }
		if got := d.dial(to, "c1"); got.Status != 500 {
			t.Errorf("a panic in the intake: %+v", got)
		}
		desk.answer = nil
		if got := d.dial(to, "c1"); !got.Taken {
			t.Errorf("the retransmission after it: %+v", got)
		}
		store.read = func(context.Context, endpoint.Key) error { panic("store") }
		if got := d.dial(to, "c2"); got.Status != 503 {
			t.Errorf("a panic in the store: %+v", got)
		}
		store.read = nil
		if got := d.dial(to, "c3"); !got.Taken || d.panics != 2 {
			t.Errorf("the next call: %+v, %d panics", got, d.panics)
		}
	})
}

// A followsNobody is an Elsewhere with a fault.
type followsNobody struct{}

func (followsNobody) Follow(actors.Led, func(actors.Outcome, error)) { panic("elsewhere") }

func TestPanicBehindAReadCostsOneInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		to := store.put("desk", nil)
		dialled := endpoint.NumberAddress("15551234567")
		store.numbers = map[endpoint.Key]endpoint.Claims{dialled.Key(): {Numbers: []endpoint.Number{{Tenant: "acme", Key: to.Key(), Partition: to.Partition()}}}}
		panics := 0
		e := actors.NewEndpoints(actors.EndpointLimits{Mailbox: 16, Remembered: 16, StoreTimeout: time.Second},
			actors.EndpointPorts{Store: store, Intake: desk, Load: desk, Tenure: &tenure{as: endpoint.Standing{Deciders: 2}}, Elsewhere: followsNobody{}},
			actors.EndpointObserver{HostObserver: actors.HostObserver{Panicked: func(int, any, []byte) { panics++ }}})
		t.Cleanup(e.Stop)
		e.Invite(invite(dialled, "c1"), call.Packet{}, func(actors.Outcome) {})
		synctest.Wait()
		if got := decide(e, invite(to, "c2")); !got.Taken || panics != 1 {
			t.Errorf("the next call: %+v, %d panics", got, panics)
		}
	})
}

func TestSilenceLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		store, desk := newShelf(), newDesk()
		store.account.Projects = []endpoint.Project{{ID: "p1", Limits: endpoint.Limits{CPS: 1000, MaxConcurrentCalls: 1000}}}
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		for i := range 500 {
			to := store.put(fmt.Sprint("desk", i%50), func(e *endpoint.Endpoint) { e.MaxConcurrentCalls, e.MaxCallsPerSecond = ptr(5), ptr(5) })
			d.dial(to, fmt.Sprint("c", i))
			d.dial("s/nobody", fmt.Sprint("c", i))
		}
		if endpoints, decisions := d.Resident(); endpoints < 50 || decisions != 500 {
			t.Errorf("%d endpoints and %d decisions in use", endpoints, decisions)
		}
		time.Sleep(40*time.Second + actors.Linger)
		synctest.Wait()
		if endpoints, decisions := d.Resident(); endpoints != 0 || decisions != 0 {
			t.Errorf("%d endpoints and %d decisions are left", endpoints, decisions)
		}
		if n := grown(before); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
	})
}

func TestStoppedDeciderRefusesAsDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, desk := newShelf(), newDesk()
		d := newDecider(t, actors.EndpointLimits{}, store, desk, desk)
		to := store.put("desk", nil)
		d.dial(to, "c1")
		d.Stop()
		if got := d.dial(to, "c2"); got.Status != 503 || d.last().Verdict.Reason != endpoint.ReasonDraining {
			t.Errorf("got %+v", got)
		}
	})
}

func BenchmarkInviteToVerdict(b *testing.B) {
	store, desk := newShelf(), newDesk()
	var calls uint64
	intake := intakeFunc(func(_ context.Context, _ actors.Job, done func(actors.Taken, error)) {
		calls++
		done(actors.Taken{ID: call.ID(calls), New: true, Node: "m1"}, nil)
	})
	d := actors.NewEndpoints(actors.EndpointLimits{Mailbox: 1024, Remembered: 4096, StoreTimeout: time.Second},
		actors.EndpointPorts{Store: warm{store}, Intake: intake, Load: counting{desk}}, actors.EndpointObserver{})
	defer d.Stop()
	to := store.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = ptr(100_000) })
	out := make(chan actors.Outcome, 1)
	reply := func(o actors.Outcome) { out <- o }
	inv := invite(to, "c")
	b.ReportAllocs()
	for b.Loop() {
		inv.CSeq++
		d.Invite(inv, call.Packet{}, reply)
		if o := <-out; !o.Taken {
			b.Fatalf("got %+v", o)
		}
		if inv.CSeq%8 == 0 {
			desk.report()
		}
	}
}
