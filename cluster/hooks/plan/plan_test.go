package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/cluster/hooks/plan"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// documented are the terms that Ultravox documents, with our limits.
func documented() plan.Terms {
	return plan.Terms{First: 30 * time.Second, Retries: 10, AtOnce: 64, PerTarget: 4, BreakAfter: 5, BreakFor: 30 * time.Second, Waiting: 1000, PerTenant: 5000}
}

func TestTheScheduleIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	terms := documented()
	want := 30 * time.Second
	var all time.Duration
	for n := range 10 {
		wait, ok := terms.Wait(n)
		if !ok || wait != want {
			t.Errorf("after try %d: %v, %v, want %v", n, wait, ok, want)
		}
		all, want = all+wait, want*2
	}
	if _, ok := terms.Wait(10); ok {
		t.Error("an eleventh retry")
	}
	if last, _ := terms.Wait(9); last != 15360*time.Second || terms.Lifetime() != all || all.Hours() < 8.4 || all.Hours() > 8.6 {
		t.Errorf("last gap %v, in all %v", last, all)
	}
}

// TestTriesFollowTheSchedule fails every try of one delivery and looks when each
// one comes.
func TestTriesFollowTheSchedule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		terms := plan.Terms{First: time.Duration(rapid.IntRange(1, 60_000).Draw(rt, "first ms")) * time.Millisecond,
			Retries: rapid.IntRange(0, 12).Draw(rt, "retries"), AtOnce: 1, PerTarget: 1, BreakAfter: 1000, BreakFor: time.Second, Waiting: 10, PerTenant: 10}
		p, now := plan.New(terms), begin
		p.Add(&plan.Delivery{ID: "d", Target: "t", Lane: "l", Born: now, Next: now})
		for n := 0; ; n++ {
			out := p.Start(now)
			if len(out) != 1 || p.Start(now) != nil {
				rt.Fatalf("try %d: %d start", n, len(out))
			}
			v := p.Judge(out[0], plan.Failed, now)
			p.Settle(out[0], v, now)
			if v.Dead {
				if n != terms.Retries || p.Len() != 0 {
					rt.Fatalf("dead after try %d of %d, %d left", n, terms.Retries, p.Len())
				}
				return
			}
			if want := now.Add(min(terms.First<<n, 24*time.Hour)); !v.Next.Equal(want) || !p.Next().Equal(want) {
				rt.Fatalf("try %d: next %v and %v, want %v", n+1, v.Next, p.Next(), want)
			}
			if now = v.Next; p.Start(now.Add(-1)) != nil {
				rt.Fatal("it starts early")
			}
		}
	})
}

// A world runs a plan against targets that fail as they like, in virtual time.
type world struct {
	rt       *rapid.T
	p        *plan.Plan
	terms    plan.Terms
	now      time.Time
	underway []*plan.Delivery
	lanes    map[string]*plan.Delivery // under way
	last     map[string]uint64         // order of the last that left its lane
	ends     map[string]string
}

func (w *world) start() {
	per := map[string]int{}
	for _, d := range append(slices.Clone(w.underway), w.p.Start(w.now)...) {
		per[d.Target]++
		if slices.Contains(w.underway, d) {
			continue
		}
		if key := d.Target + "/" + d.Lane; w.lanes[key] != nil {
			w.rt.Fatalf("two of lane %s at once", key)
		} else {
			w.lanes[key] = d
		}
		if d.Next.After(w.now) {
			w.rt.Fatalf("%s starts %v early", d.ID, d.Next.Sub(w.now))
		}
		w.underway = append(w.underway, d)
	}
	if len(w.underway) > w.terms.AtOnce || w.p.UnderWay() != len(w.underway) {
		w.rt.Fatalf("%d under way, the plan says %d, at most %d", len(w.underway), w.p.UnderWay(), w.terms.AtOnce)
	}
	for target, n := range per {
		if n > w.terms.PerTarget {
			w.rt.Fatalf("%d under way to %s", n, target)
		}
	}
}

func (w *world) end(i int, r plan.Result) {
	d := w.underway[i]
	w.underway = slices.Delete(w.underway, i, i+1)
	key := d.Target + "/" + d.Lane
	delete(w.lanes, key)
	v := w.p.Judge(d, r, w.now)
	if v.Done || v.Dead {
		if d.Order < w.last[key] {
			w.rt.Fatalf("%s leaves lane %s after %d", d.ID, key, w.last[key])
		}
		w.last[key] = d.Order
		w.finish(d, map[bool]string{true: "done", false: "dead"}[v.Done])
	}
	w.p.Settle(d, v, w.now)
	for _, g := range w.p.Given() {
		w.finish(g.Delivery, g.Why)
		w.p.Settle(g.Delivery, plan.Verdict{Dead: true}, w.now)
	}
}

func (w *world) finish(d *plan.Delivery, how string) {
	if w.ends[d.ID] != "" {
		w.rt.Fatalf("%s ends twice: %s, %s", d.ID, w.ends[d.ID], how)
	}
	w.ends[d.ID] = how
}

// TestEveryDeliveryEndsOnceAndInOrder plays targets that fail, hang and come
// back, and wants: each delivery ends exactly once, those of a lane in order and
// one at a time, and no limit is passed.
func TestEveryDeliveryEndsOnceAndInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		terms := plan.Terms{First: time.Second, Retries: 3, AtOnce: rapid.IntRange(1, 6).Draw(rt, "at once"), PerTarget: rapid.IntRange(1, 3).Draw(rt, "per target"),
			BreakAfter: rapid.IntRange(1, 4).Draw(rt, "break after"), BreakFor: 5 * time.Second, Waiting: 1000, PerTenant: 1000}
		w := &world{rt: rt, p: plan.New(terms), terms: terms, now: begin, lanes: map[string]*plan.Delivery{}, last: map[string]uint64{}, ends: map[string]string{}}
		n := rapid.IntRange(1, 60).Draw(rt, "deliveries")
		for i := range n {
			w.p.Add(&plan.Delivery{ID: fmt.Sprint(i), Tenant: "a", Target: fmt.Sprint("t", rapid.IntRange(0, 3).Draw(rt, "target")),
				Lane: fmt.Sprint("l", rapid.IntRange(0, 3).Draw(rt, "lane")), Order: uint64(i), Born: w.now, Next: w.now})
			if rapid.Bool().Draw(rt, "run") {
				w.step()
			}
		}
		for range 100_000 {
			if w.p.Len() == 0 {
				break
			}
			w.step()
		}
		if len(w.ends) != n || w.p.Len() != 0 || w.p.UnderWay() != 0 {
			rt.Fatalf("%d of %d ended, %d wait, %d under way", len(w.ends), n, w.p.Len(), w.p.UnderWay())
		}
	})
}

// step starts what is due, ends one of those under way, or lets time pass.
func (w *world) step() {
	w.start()
	if len(w.underway) > 0 {
		r := rapid.SampledFrom([]plan.Result{plan.Failed, plan.Failed, plan.Delivered}).Draw(w.rt, "result")
		w.now = w.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(w.rt, "took ms")) * time.Millisecond)
		w.end(rapid.IntRange(0, len(w.underway)-1).Draw(w.rt, "which"), r)
		return
	}
	next := w.p.Next()
	if next.IsZero() {
		if w.p.Len() > 0 {
			w.rt.Fatalf("%d wait, and nothing is to be waited for", w.p.Len())
		}
		return
	}
	if next.After(w.now) {
		w.now = next
	}
}

// run delivers everything that is due to targets that answer as told, until
// nothing is due before until, and returns the tries by target.
func run(t *testing.T, p *plan.Plan, now *time.Time, until time.Time, answer func(d *plan.Delivery) plan.Result) (tries map[string]int) {
	t.Helper()
	tries = map[string]int{}
	for {
		for _, d := range p.Start(*now) {
			tries[d.Target]++
			p.Settle(d, p.Judge(d, answer(d), *now), *now)
		}
		for _, g := range p.Given() {
			p.Settle(g.Delivery, plan.Verdict{Dead: true}, *now)
		}
		next := p.Next()
		if next.IsZero() || next.After(until) {
			return tries
		}
		if next.After(*now) {
			*now = next
		}
	}
}

func TestATargetThatFailsIsLeftAloneAndTriedByOne(t *testing.T) {
	t.Parallel()
	terms := documented()
	p, now := plan.New(terms), begin
	for i := range 100 {
		p.Add(&plan.Delivery{ID: fmt.Sprint(i), Target: "dead", Lane: fmt.Sprint(i), Born: now, Next: now})
	}
	first := p.Start(now)
	if len(first) != terms.PerTarget {
		t.Fatalf("%d at once to a target that nothing is known against", len(first))
	}
	for _, d := range first {
		v := p.Judge(d, plan.Failed, now)
		if p.Settle(d, v, now); v.Down {
			t.Error("it is left alone already")
		}
	}
	one := p.Start(now)
	if len(one) != 1 {
		t.Fatalf("%d at once to a target that failed", len(one))
	}
	v := p.Judge(one[0], plan.Failed, now)
	p.Settle(one[0], v, now)
	if !v.Down || p.Start(now) != nil || p.Open(now) != 1 || !p.Next().Equal(now.Add(terms.BreakFor)) {
		t.Fatalf("after 5 failures: down %v, %d open, next in %v", v.Down, p.Open(now), p.Next().Sub(now))
	}
	now = now.Add(terms.BreakFor)
	probe := p.Start(now)
	if len(probe) != 1 {
		t.Fatalf("%d try after the pause", len(probe))
	}
	v = p.Judge(probe[0], plan.Delivered, now)
	if p.Settle(probe[0], v, now); v.Down || p.Open(now) != 0 || len(p.Start(now)) != terms.PerTarget {
		t.Error("a success does not end it")
	}
}

// TestADeadTargetCostsOthersNothing has a target that never answers beside one
// that does, and wants everything of the latter delivered at once.
func TestADeadTargetCostsOthersNothing(t *testing.T) {
	t.Parallel()
	terms := documented()
	p, now := plan.New(terms), begin
	for i := range 500 {
		p.Add(&plan.Delivery{ID: fmt.Sprint("d", i), Target: "dead", Lane: fmt.Sprint(i), Born: now, Next: now})
		p.Add(&plan.Delivery{ID: fmt.Sprint("g", i), Target: "good", Lane: fmt.Sprint(i), Born: now, Next: now})
	}
	var hanging []*plan.Delivery
	good := 0
	for range 500 {
		for _, d := range p.Start(now) {
			if d.Target == "dead" {
				hanging = append(hanging, d)
				continue
			}
			good++
			p.Settle(d, p.Judge(d, plan.Delivered, now), now)
		}
	}
	if good != 500 || len(hanging) != terms.PerTarget {
		t.Fatalf("%d of 500 delivered while %d hang", good, len(hanging))
	}
	for _, d := range hanging {
		p.Settle(d, p.Judge(d, plan.Failed, now), now)
	}
	tries := run(t, p, &now, begin.Add(time.Hour), func(*plan.Delivery) plan.Result { return plan.Failed })
	if most := int(time.Hour/terms.BreakFor) + 2; tries["dead"] > most {
		t.Errorf("%d tries in an hour, at most %d", tries["dead"], most)
	}
	run(t, p, &now, begin.Add(48*time.Hour), func(*plan.Delivery) plan.Result { return plan.Failed })
	if p.Len() != 0 || now.Sub(begin) > terms.Lifetime()+2*terms.BreakFor {
		t.Errorf("%d still wait after %v", p.Len(), now.Sub(begin))
	}
}

func TestARetryHoldsBackItsLaneAndNoOther(t *testing.T) {
	t.Parallel()
	p, now := plan.New(documented()), begin
	add := func(id, lane string, order uint64) {
		p.Add(&plan.Delivery{ID: id, Target: "t", Lane: lane, Order: order, Born: now, Next: now})
	}
	add("a1", "a", 1)
	add("a2", "a", 2)
	add("b1", "b", 1)
	var sent []string
	fails := 3
	run(t, p, &now, begin.Add(time.Hour), func(d *plan.Delivery) plan.Result {
		if sent = append(sent, d.ID); d.ID == "a1" && fails > 0 {
			fails--
			return plan.Failed
		}
		return plan.Delivered
	})
	if want := []string{"a1", "b1", "a1", "a1", "a1", "a2"}; !slices.Equal(sent, want) {
		t.Errorf("sent %v, want %v", sent, want)
	}
}

func TestWhatMayBeOutOfOrderWaitsForWhatComesBeforeIt(t *testing.T) {
	t.Parallel()
	p, now := plan.New(documented()), begin
	p.Add(&plan.Delivery{ID: "3", Target: "t", Lane: "a", Order: 3, Born: now, Next: now.Add(10 * time.Second), Held: true})
	p.Add(&plan.Delivery{ID: "x", Target: "t", Lane: "x", Order: 3, Born: now, Next: now.Add(10 * time.Second), Held: true})
	if out := p.Start(now); out != nil {
		t.Fatalf("%s starts", out[0].ID)
	}
	p.Add(&plan.Delivery{ID: "2", Target: "t", Lane: "a", Order: 2, Born: now, Next: now})
	p.Release("a", now)
	var sent []string
	run(t, p, &now, begin.Add(time.Second), func(d *plan.Delivery) plan.Result { sent = append(sent, d.ID); return plan.Delivered })
	if !slices.Equal(sent, []string{"2", "3"}) {
		t.Errorf("sent %v", sent)
	}
	run(t, p, &now, begin.Add(time.Minute), func(d *plan.Delivery) plan.Result { sent = append(sent, d.ID); return plan.Delivered })
	if !slices.Equal(sent, []string{"2", "3", "x"}) || now.Sub(begin) != 10*time.Second {
		t.Errorf("sent %v after %v", sent, now.Sub(begin))
	}
}

func TestWhatIsTooMuchIsRefusedByTargetAndByAccount(t *testing.T) {
	t.Parallel()
	terms := documented()
	terms.Waiting, terms.PerTenant = 3, 5
	p := plan.New(terms)
	for i := range 5 {
		target := fmt.Sprint("t", i/3)
		if !p.Room("a", target, 1) {
			t.Fatalf("no room for number %d", i)
		}
		p.Add(&plan.Delivery{ID: fmt.Sprint(i), Tenant: "a", Target: target, Lane: fmt.Sprint(i), Born: begin, Next: begin})
	}
	for i := range 3 {
		p.Add(&plan.Delivery{ID: fmt.Sprint("b", i), Tenant: "b", Target: "t1", Lane: fmt.Sprint("b", i), Born: begin, Next: begin})
	}
	if p.Room("a", "t0", 1) || p.Room("a", "t2", 1) || p.Room("b", "t1", 1) || !p.Room("b", "t2", 2) || p.Room("b", "t2", 3) || !p.Room("c", "t2", 3) || p.Room("c", "t2", 4) {
		t.Error("a full target, or account, has room, or another has none")
	}
	if !p.Room("c", "t0", 3) || !p.Room("b", "t0", 2) {
		t.Error("what waits for another account's target of the same name leaves no room")
	}
}

// Ids of webhooks and agents are their owners' to choose: another account may
// have the same.
func TestATargetOfTheSameNameOfAnotherTenantIsAnotherTarget(t *testing.T) {
	t.Parallel()
	p := plan.New(documented())
	for i := range 12 {
		tenant := []string{"acme", "globex"}[i%2]
		p.Add(&plan.Delivery{ID: fmt.Sprint(i), Tenant: tenant, Target: "t", Lane: fmt.Sprint(i), Born: begin, Next: begin})
	}
	now := begin
	for range 12 {
		run(t, p, &now, begin, func(d *plan.Delivery) plan.Result {
			if d.Tenant == "acme" {
				return plan.Failed // until it is left alone
			}
			return plan.Delivered
		})
	}
	if p.Len() != 6 || p.Open(now) != 1 {
		t.Errorf("%d wait, %d targets are left alone: the other tenant's were not delivered", p.Len(), p.Open(now))
	}
	p.Add(&plan.Delivery{ID: "gone", Tenant: "globex", Target: "t", Lane: "gone", Born: now, Next: now})
	d := p.Start(now)[0]
	p.Settle(d, p.Judge(d, plan.Gone, now), now)
	if given := p.Given(); len(given) != 0 {
		t.Errorf("%d of the other tenant's are given up", len(given))
	}
}

func TestWhatWaitsForATargetThatIsGoneIsHandedOut(t *testing.T) {
	t.Parallel()
	p := plan.New(documented())
	for i := range 4 {
		p.Add(&plan.Delivery{ID: fmt.Sprint(i), Target: "t", Lane: "l", Order: uint64(i), Born: begin, Next: begin})
	}
	d := p.Start(begin)[0]
	p.Settle(d, p.Judge(d, plan.Gone, begin), begin)
	given := p.Given()
	for _, g := range given {
		if g.Why != plan.WhyGone {
			t.Errorf("%s: %s", g.ID, g.Why)
		}
		p.Settle(g.Delivery, plan.Verdict{Done: true}, begin)
	}
	if len(given) != 3 || p.Len() != 0 || !p.Next().IsZero() || !p.Oldest().IsZero() {
		t.Errorf("%d handed out, %d left", len(given), p.Len())
	}
}
