package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster"
	"patchbay/cluster/placement"
)

// one checks that a call's carrier has heard of one call, and how it ended.
func (x *exchange) one(callID, status string) {
	x.t.Helper()
	x.eventually(callID+" has "+status, func() bool { return x.air.has(callID, status) })
	finals, dialogs := x.air.finals(callID)
	if len(finals) != 1 || len(dialogs) != 1 || !strings.HasPrefix(finals[0], status) {
		x.t.Errorf("%s: finals %v in dialogs %v, want one %s", callID, finals, dialogs, status)
	}
}

func count(nodes ...*mediaNode) (n int) {
	for _, m := range nodes {
		n += m.Count()
	}
	return n
}

func TestTwoDecidersThatTakeTheSameInviteAtTheSameMomentMakeOneCall(t *testing.T) {
	t.Parallel()
	const calls = 1000
	x := newExchange(t)
	m1, m2 := x.media("m1", 1, 10_000), x.media("m2", 2, 10_000)
	d1, d2 := x.decider("d1"), x.decider("d2")
	x.shelf.put("desk", nil)
	x.see(2, d1, d2)
	for i := range calls {
		m := x.invite("desk", "alice", fmt.Sprint("c", i))
		var both sync.WaitGroup
		for _, d := range []*decider{d1, d2} {
			both.Go(func() {
				out := make(chan actors.Outcome, 1)
				d.Invite(m.Invite, m.Packet, func(o actors.Outcome) { out <- o })
				if o := <-out; !o.Taken {
					t.Errorf("%s: %+v", m.CallID, o)
				}
			})
		}
		both.Wait()
	}
	for i := range calls {
		x.one(fmt.Sprint("c", i), "200")
	}
	if got := count(m1, m2); got != calls || m1.Count() == 0 || m2.Count() == 0 {
		t.Errorf("%d and %d calls, want %d in all", m1.Count(), m2.Count(), calls)
	}
}

// see waits until deciders know of so many media nodes.
func (x *exchange) see(nodes int, deciders ...*decider) {
	x.t.Helper()
	for _, d := range deciders {
		x.eventually("a decider knows the media nodes", func() bool { return len(d.presence.Media()) == nodes })
	}
}

func TestAnOwnerThatDiesBetweenAnInviteAndItsRetransmissionLeavesOneCall(t *testing.T) {
	t.Parallel()
	const calls = 200
	x := newExchange(t)
	m1, m2 := x.media("m1", 1, 10_000), x.media("m2", 2, 10_000)
	deciders := []*decider{x.decider("d1"), x.decider("d2"), x.decider("d3")}
	x.see(2, deciders...)
	address := x.shelf.put("desk", nil)
	one, other := x.router(time.Second), x.router(time.Second)
	owner := x.settled(address.Partition(), deciders...)
	var first sync.WaitGroup
	messages := make([]message, calls)
	slots := make(chan struct{}, 16) // INVITEs at once
	for i := range calls {
		messages[i] = x.invite("desk", "alice", fmt.Sprint("c", i))
		slots <- struct{}{}
		first.Go(func() {
			defer func() { <-slots }()
			if i%2 == 0 { // by another edge, before the first has its outcome
				first.Go(func() { pass(other, messages[i], false) })
			}
			pass(one, messages[i], false)
		})
		if i == calls/2 {
			go owner.kill()
		}
	}
	for _, m := range messages { // and after it
		if o := pass(other, m, false); !o.Taken {
			t.Errorf("%s again: %+v", m.CallID, o)
		}
	}
	first.Wait()
	for _, m := range messages {
		x.one(m.CallID, "200")
	}
	if got := count(m1, m2); got != calls {
		t.Errorf("%d calls, want %d", got, calls)
	}
}

func TestACopyOfAnAcceptedInviteIsNotRefusedByTheNextDeciderBecauseOfTheCap(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	m1 := x.media("m1", 1, 100)
	deciders := []*decider{x.decider("d1"), x.decider("d2")}
	x.see(1, deciders...)
	for _, policy := range []endpoint.CapPolicy{endpoint.CapShare, endpoint.CapStrict} {
		most := 3
		x.shelf.put(string(policy), func(e *endpoint.Endpoint) { e.MaxConcurrentCalls, e.CapPolicy = &most, policy })
	}
	r := x.router(patience)
	for slug, refused := range map[string]int{"share": 486, "strict": 480} {
		owner := x.settled(endpoint.SlugAddress(endpoint.Slug(slug)).Partition(), deciders...)
		for i := range 3 {
			if o := pass(r, x.invite(slug, "alice", fmt.Sprint(slug, i)), false); !o.Taken {
				t.Fatalf("%s: %+v", slug, o)
			}
		}
		other := deciders[0]
		if owner == other {
			other = deciders[1]
		}
		ask := func(callID string) actors.Outcome {
			m, out := x.invite(slug, "alice", callID), make(chan actors.Outcome, 1)
			other.Invite(m.Invite, m.Packet, func(o actors.Outcome) { out <- o })
			return <-out
		}
		for i := range 3 {
			for range 2 { // and once more, from memory
				if o := ask(fmt.Sprint(slug, i)); !o.Taken {
					t.Errorf("%s: a copy got %+v", slug, o)
				}
			}
			x.one(fmt.Sprint(slug, i), "200")
		}
		for range 2 {
			if o := ask(slug + "-one-more"); o.Status != refused {
				t.Errorf("%s: one call too many got %+v, want %d", slug, o, refused)
			}
		}
	}
	if got := m1.Count(); got != 6 {
		t.Errorf("%d calls", got)
	}
}

func TestACancelThroughAnotherEdgeAfterItsOwnersDeathEndsTheCall(t *testing.T) {
	t.Parallel()
	const calls = 50
	x := newExchange(t)
	m1, m2 := x.media("m1", 1, 10_000), x.media("m2", 2, 10_000)
	deciders := []*decider{x.decider("d1"), x.decider("d2")}
	x.see(2, deciders...)
	address := x.shelf.put("desk", nil)
	one, other := x.router(time.Second), x.router(time.Second)
	owner := x.settled(address.Partition(), deciders...)
	for i := range calls {
		if o := pass(one, x.invite("desk", "ring", fmt.Sprint("c", i)), false); !o.Taken {
			t.Fatalf("%+v", o)
		}
	}
	owner.kill()
	for i := range calls {
		if o := pass(other, x.request("CANCEL", "desk", "ring", fmt.Sprint("c", i)), true); !o.Taken {
			t.Errorf("c%d: %+v", i, o)
		}
	}
	for i := range calls {
		x.one(fmt.Sprint("c", i), "487")
		if !x.air.has(fmt.Sprint("c", i), "200 CANCEL") {
			t.Errorf("the CANCEL of c%d has no answer", i)
		}
	}
	x.eventually("no call is left", func() bool { return count(m1, m2) == 0 })
}

func TestAFullNodePassesACallOnAndItsCopiesAfterIt(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	nodes := map[string]*mediaNode{"m1": x.media("m1", 1, 1), "m2": x.media("m2", 2, 1)}
	d1, d2 := x.decider("d1"), x.decider("d2")
	x.see(2, d1, d2)
	x.shelf.put("desk", nil)
	decide := func(d *decider, m message) actors.Outcome {
		out := make(chan actors.Outcome, 1)
		d.Invite(m.Invite, m.Packet, func(o actors.Outcome) { out <- o })
		return <-out
	}
	decide(d1, x.invite("desk", "ring", "fills-it"))
	var full, next *mediaNode
	x.eventually("a node is full", func() bool {
		for _, n := range nodes {
			if n.Count() == 1 {
				full = n
			} else {
				next = n
			}
		}
		return full != nil
	})
	var m message
	for i := 0; ; i++ { // one that the full node comes first for
		m = x.invite("desk", "alice", fmt.Sprint("c", i))
		if placement.Before(key(m), full.Node, next.Node) {
			break
		}
	}
	if o := decide(d1, m); !o.Taken || next.Count() != 1 {
		t.Fatalf("%+v, %d calls at the next node", o, next.Count())
	}
	full.HangupAll(call.CauseOperator)
	x.eventually("there is room again", func() bool { return full.Count() == 0 })
	for _, d := range []*decider{d1, d2} { // one that remembers, and one that does not
		if o := decide(d, m); !o.Taken {
			t.Errorf("a copy: %+v", o)
		}
	}
	x.one(m.CallID, "200")
	if full.Count() != 0 || next.Count() != 1 {
		t.Errorf("%d and %d calls, want 0 and 1", full.Count(), next.Count())
	}
}

func key(m message) call.TransactionKey {
	return call.TransactionKey{CallID: m.CallID, FromTag: m.FromTag, CSeq: m.CSeq}
}

func TestDecidersThatSeeDifferentNodesMakeTwoCopiesOfWhichOneYields(t *testing.T) {
	t.Parallel()
	const calls = 100
	x := newExchange(t)
	m1, m2 := x.media("m1", 1, 10_000), x.media("m2", 2, 10_000)
	only := func(n *mediaNode) *cluster.Intake {
		return x.intake(x.connect(), func() []placement.Node { return []placement.Node{n.Node} })
	}
	one, other := only(m1), only(m2)
	for i := range calls {
		m := x.invite("desk", "ring", fmt.Sprint("c", i))
		job := actors.Job{V: 1, Key: key(m), Branch: m.Branch, Tenant: "acme", Endpoint: "k", Agent: &endpoint.Agent{V: 1, ID: "bot", IsActive: true}, Packet: m.Packet}
		var both sync.WaitGroup
		for _, in := range []*cluster.Intake{one, other} {
			both.Add(1)
			in.Offer(context.Background(), job, func(taken actors.Taken, err error) {
				defer both.Done()
				if err != nil || taken.Status != 0 {
					t.Errorf("%+v, %v", taken, err)
				}
			})
		}
		both.Wait()
	}
	x.eventually("each call has one copy left", func() bool { return count(m1, m2) == calls })
	if m1.Count() == 0 || m2.Count() == 0 {
		t.Errorf("%d and %d calls: the order is the same for every key", m1.Count(), m2.Count())
	}
	if got := m1.gaveWay.Load() + m2.gaveWay.Load(); got != calls {
		t.Errorf("observers heard of %d copies that yielded, want %d", got, calls)
	}
	// A call is over before it has its record.
	x.eventually("each copy that yielded has its record", func() bool { return len(m1.written())+len(m2.written()) >= calls })
	records := slices.Concat(m1.written(), m2.written())
	if len(records) != calls {
		t.Errorf("%d records of copies, want %d", len(records), calls)
	}
	for _, r := range records {
		if r.Cause != call.CauseMergedRequest || r.EndedBy != call.ByNode {
			t.Errorf("a copy ended with %+v by %s", r.Cause, r.EndedBy)
		}
	}
	for i := range calls {
		if finals, _ := x.air.finals(fmt.Sprint("c", i)); len(finals) != 0 {
			t.Errorf("the carrier of c%d heard %v, and the other copy still rings", i, finals)
		}
	}
}

func TestACapIsExactWhileItsOwnersChangeUnderLoad(t *testing.T) {
	t.Parallel()
	const most = 12
	x := newExchange(t)
	m1, m2 := x.media("m1", 1, 10_000), x.media("m2", 2, 10_000)
	d1, d2 := x.decider("d1"), x.decider("d2")
	x.see(2, d1, d2)
	limit := most
	address := x.shelf.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls = &limit })
	r := x.router(time.Second)
	owner := x.owner(address.Partition(), d1, d2)
	stop, highest := make(chan struct{}), 0
	var load sync.WaitGroup
	load.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			pass(r, x.invite("desk", "alice", fmt.Sprint("c", n)), false)
			highest = max(highest, count(m1, m2))
			if n%20 == 0 { // some hang up
				for _, m := range []*mediaNode{m1, m2} {
					for _, ids := range m.Live() {
						_ = m.Hangup(ids[rand.IntN(len(ids))], call.CauseOperator)
					}
				}
			}
		}
	})
	for range 3 {
		owner.drain(true)
		next := d1
		if owner == d1 {
			next = d2
		}
		x.owner(address.Partition(), next)
		owner.drain(false)
		owner = x.owner(address.Partition(), d1, d2)
	}
	close(stop)
	load.Wait()
	if highest > most {
		t.Errorf("%d calls at once, the cap is %d", highest, most)
	}
	n := 0
	x.eventually("the owner admits as many as the cap says", func() bool {
		n++
		pass(r, x.invite("desk", "alice", fmt.Sprint("late", n)), false)
		return count(m1, m2) == most
	})
}

func TestANumbersCallsAreForTheOwnerOfItsEndpointToDecide(t *testing.T) {
	t.Parallel()
	const most = 4
	x := newExchange(t)
	m1 := x.media("m1", 1, 100)
	d1, d2 := x.decider("d1"), x.decider("d2")
	x.see(1, d1, d2)
	limit := most
	x.shelf.numbers = x.shelf.put("desk", func(e *endpoint.Endpoint) { e.MaxConcurrentCalls, e.CapPolicy = &limit, endpoint.CapStrict })
	owner := x.settled(x.shelf.numbers.Partition(), d1, d2)
	r := x.router(patience)
	taken, elsewhere := 0, 0
	for i := 0; elsewhere < 2*most; i++ {
		digits := fmt.Sprint(4930_000_000 + i)
		if x.settled(endpoint.NumberAddress(digits).Partition(), d1, d2) == owner {
			continue // both are one node's
		}
		elsewhere++
		if pass(r, x.invite(digits, "alice", "c"+digits), false).Taken {
			taken++
		}
	}
	if taken != most || m1.Count() != most {
		t.Errorf("%d calls taken, %d began, want %d: strict caps are kept by the owner alone", taken, m1.Count(), most)
	}
}
