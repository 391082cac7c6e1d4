package hooks_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/cluster/subject"
	"patchbay/internal/webhook"
)

// TestReceiversThatFailHangAndVanish has them all at once: each event reaches
// each of those that come back, in order for each call; what the one that never
// does could not take is in its dead letters; and the one that is well hears of
// everything meanwhile.
func TestReceiversThatFailHangAndVanish(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	for _, name := range []string{"well", "failing", "hanging", "gone"} {
		d.add("acme", name, endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	}
	r.set("failing", fails(3))
	r.set("hanging", hangs(1))
	r.set("gone", fails(1000))
	const calls = 8
	_, _, stop := node(t, js, "n1", d, r, func(c *hooks.Config) { // tries take longer than the test waits: on a busy machine nobody gives up who comes back
		c.Timeout, c.Plan.First, c.Plan.Retries = 30*time.Millisecond, 10*time.Millisecond, 14
		c.Plan.BreakAfter = 3*calls + 1 // what fails for a moment is not left alone: on a busy machine it would be for longer than tries take
	})
	publishAll(t, js, "acme", 1, 1+calls)
	for _, name := range []string{"well", "failing", "hanging"} {
		eventually(t, name+" has heard of all", heardAll(r, name, 1, 1+calls))
		inOrder(t, name, r.got(name), 1, 1+calls)
	}
	stop()
	h, _, stop := node(t, js, "n1", d, r, func(c *hooks.Config) { c.Plan.Retries = 3 })
	eventually(t, "all dead of what is gone", ended(t, js, "acme", "gone", hooks.EndDead, calls*len(life)))
	eventually(t, "nothing waits", func() bool { return h.Waiting().Deliveries == 0 })
	if got := r.got("gone"); len(got) != 0 {
		t.Errorf("what is gone has taken %v", got)
	}
	if n := r.atOnce("gone"); n > quick().PerTarget {
		t.Errorf("%d at once to one target", n)
	}
	desk := hooks.Desk{JetStream: js}
	dead, err := desk.Deliveries(t.Context(), "acme", "gone", hooks.EndDead, 200)
	if err != nil || len(dead) != calls*len(life) || dead[0].Failure == "" || !slices.ContainsFunc(dead, func(x hooks.Delivery) bool { return x.Status == 500 && x.Tries > 1 }) {
		t.Errorf("%d dead letters, %v", len(dead), err)
	}
	health, err := desk.Health(t.Context(), "acme", "gone")
	if err != nil || !health.Unhealthy || len(health.Failures) == 0 || len(health.Failures) > 10 || health.Changed.IsZero() {
		t.Errorf("health of what is gone: %+v, %v", health, err)
	}
	if health, err = desk.Health(t.Context(), "acme", "well"); err != nil || health.Unhealthy || len(health.Failures) != 0 {
		t.Errorf("health of what is well: %+v, %v", health, err)
	}
	stop()
}

// TestWhatIsGivenUpIsToldAndSentAgain follows a dead letter: the event of it, to
// another webhook, and redelivery in all three ways.
func TestWhatIsGivenUpIsToldAndSentAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "gone", endpoint.WebhookNative, "call.started", "call.ended")
	d.add("acme", "watch", endpoint.WebhookNative, "webhook.dead")
	r.set("gone", fails(1000))
	h, _, _ := node(t, js, "n1", d, r)
	publishAll(t, js, "acme", 1, 3)
	eventually(t, "four dead letters", ended(t, js, "acme", "gone", hooks.EndDead, 4))
	eventually(t, "the other webhook has heard of each", func() bool { return len(r.got("watch")) == 4 })
	desk := hooks.Desk{JetStream: js}
	dead, err := desk.Deliveries(t.Context(), "acme", "gone", hooks.EndDead, 200)
	if err != nil || len(dead) != 4 {
		t.Fatalf("%d dead letters, %v", len(dead), err)
	}
	r.set("gone", nil)
	again := func(n int, which func(hooks.Delivery) bool) {
		t.Helper()
		eventually(t, "nothing waits: what does is not sent twice for a second wish", func() bool {
			return h.Waiting().Deliveries == 0 && ended(t, js, "acme", "gone", hooks.EndWaiting, 0)()
		})
		before := len(r.got("gone"))
		if got, err := desk.Redeliver(t.Context(), "acme", "gone", true, which); err != nil || got != n {
			t.Fatalf("%d are sent again, %v, want %d", got, err, n)
		}
		eventually(t, "they are there", func() bool { return len(r.got("gone")) == before+n })
	}
	again(1, func(x hooks.Delivery) bool { return x.EventID == call.ID(1).String()+".1" })
	again(1, func(x hooks.Delivery) bool { return x.ID == dead[0].ID })
	again(4, func(hooks.Delivery) bool { return true })
	eventually(t, "they are among the delivered", func() bool {
		got, err := desk.Deliveries(t.Context(), "acme", "gone", hooks.EndDelivered, 200)
		return err == nil && len(got) == 4 && got[0].Tries == 1
	})
	if _, err := desk.Redeliver(t.Context(), "acme", "gone", false, func(hooks.Delivery) bool { return false }); err == nil {
		t.Error("what is kept nowhere is sent again")
	}
	if health, err := desk.Health(t.Context(), "acme", "gone"); err != nil || health.Unhealthy {
		t.Errorf("after a success: %+v, %v", health, err)
	}
	id, err := desk.Test(t.Context(), "acme", "watch")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the trial is there", func() bool { return slices.Contains(r.got("watch"), id) })
	if slices.Contains(r.got("gone"), id) {
		t.Error("a trial reaches another webhook")
	}
}

// TestNothingIsLostOverRestarts kills what delivers in the middle of its tries:
// the node, then NATS, then both, and wants every event in order all the same.
func TestNothingIsLostOverRestarts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "failing", endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	d.add("acme", "slow", endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	r.set("failing", fails(2))
	r.set("slow", func(ctx context.Context, _ webhook.Occasion, _ int) webhook.Receipt {
		select {
		case <-time.After(10 * time.Millisecond):
			return webhook.Receipt{Status: 204}
		case <-ctx.Done():
			return webhook.Receipt{Failure: "no reply in time"}
		}
	})
	patient := func(c *hooks.Config) { // tries take longer than the test waits: nothing is given up
		c.Plan.First, c.Plan.Retries, c.Plan.BreakFor = 50*time.Millisecond, 14, 5*time.Millisecond
		c.LeaseTTL = 15 * time.Second // of the node that dies
	}
	_, _, stop := node(t, s.connect(), "n1", d, r, patient)
	const calls = 20
	published := make(chan struct{})
	go func() {
		defer close(published)
		publishAll(t, js, "acme", 1, 1+calls)
	}()
	t.Cleanup(func() { <-published })
	begun := func(n int) {
		eventually(t, fmt.Sprintf("%d have come", n), func() bool { return len(r.got("slow")) >= n })
	}
	begun(5)
	stop() // a deploy
	_, _, stop = node(t, s.connect(), "n1", d, r, patient)
	begun(15)
	s.stop() // NATS
	time.Sleep(50 * time.Millisecond)
	s.start()
	begun(25)
	s.stop() // and the node at the same time: it can give nothing back
	go stop()
	time.Sleep(20 * time.Millisecond)
	s.start()
	node(t, s.connect(), "n2", d, r, patient)
	<-published
	for _, name := range []string{"failing", "slow"} {
		eventually(t, name+" has heard of all", heardAll(r, name, 1, 1+calls))
		inOrder(t, name, r.got(name), 1, 1+calls)
	}
}

// TestShardsFollowTheNodesThatAreThere adds nodes and takes them away under
// load. The receivers report it where two have one delivery under way.
func TestShardsFollowTheNodesThatAreThere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	var tenants []string
	for i := range 12 {
		tenants = append(tenants, fmt.Sprint("tenant-", i))
		d.add(tenants[i], fmt.Sprint("hook-", i), endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	}
	one, _, stopOne := node(t, s.connect(), "n1", d, r)
	two, _, _ := node(t, s.connect(), "n2", d, r)
	all := one.Waiting
	eventually(t, "both have shards", func() bool { return all().Shards > 0 && two.Waiting().Shards > 0 })
	round := func(n int) {
		for i, tenant := range tenants {
			publishAll(t, js, tenant, 100*i+n*10+1, 100*i+n*10+3)
		}
	}
	round(0)
	three, _, _ := node(t, s.connect(), "n3", d, r)
	round(1)
	eventually(t, "the third has shards", func() bool { return three.Waiting().Shards > 0 })
	stopOne()
	round(2)
	for i := range tenants {
		for n := range 3 {
			name := fmt.Sprint("hook-", i)
			eventually(t, name+" has heard of all", heardAll(r, name, 100*i+n*10+1, 100*i+n*10+3))
			inOrder(t, name, r.got(name), 100*i+n*10+1, 100*i+n*10+3)
		}
	}
	if one.Waiting().Shards != 0 {
		t.Errorf("a node that has left has %d shards", one.Waiting().Shards)
	}
}

// TestEventsThatComeLateAreSentInOrder has the stream get a call's events as a
// spool may replay them.
func TestEventsThatComeLateAreSentInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "hook", endpoint.WebhookNative, "call.started", "call.answered", "call.ended")
	node(t, js, "n1", d, r, func(c *hooks.Config) { c.GapWait = time.Hour })
	for _, seq := range []int{1, 4, 3, 2} { // nobody wants number 2, and all wait for it
		publish(t, js, event("acme", 7, seq))
	}
	eventually(t, "all three", func() bool { return len(r.got("hook")) == 3 })
	want := []string{call.ID(7).String() + ".1", call.ID(7).String() + ".3", call.ID(7).String() + ".4"}
	if got := r.got("hook"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestACallsRecordComesAfterItsEnd has the stream get them the other way round,
// as a spool may.
func TestACallsRecordComesAfterItsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "hook", endpoint.WebhookNative, "call.ended", "call.record")
	node(t, js, "n1", d, r, func(c *hooks.Config) { c.GapWait = time.Hour })
	for seq := 1; seq <= 3; seq++ {
		publish(t, js, event("acme", 7, seq))
	}
	record := event("acme", 7, 4)
	record.ID, record.Seq, record.Type, record.Facts = call.ID(7).String()+".record", 0, "call.record", nil
	record.Data = map[string]any{"call_id": call.ID(7)}
	publish(t, js, record)
	publish(t, js, event("acme", 7, 4))
	eventually(t, "both", func() bool { return len(r.got("hook")) == 2 })
	if got, want := r.got("hook"), []string{call.ID(7).String() + ".4", record.ID}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestADeadNodesCallGoesOnWithoutAWait has the numbers of a call's events jump,
// as they do when a survivor ends it.
func TestADeadNodesCallGoesOnWithoutAWait(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "hook", endpoint.WebhookNative, "call.started", "call.ended")
	node(t, js, "n1", d, r, func(c *hooks.Config) { c.GapWait = time.Hour })
	publish(t, js, event("acme", 7, 1))
	end := event("acme", 7, 4)
	end.Seq, end.ID = 1_000_001, call.ID(7).String()+".1000001"
	publish(t, js, end)
	eventually(t, "both", func() bool { return slices.Contains(r.got("hook"), end.ID) })
}

func TestAnEventThatNeverComesHoldsUpTheOthersForAWhileOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "hook", endpoint.WebhookNative)
	node(t, js, "n1", d, r, func(c *hooks.Config) { c.GapWait = 300 * time.Millisecond })
	publish(t, js, event("acme", 7, 1))
	publish(t, js, event("acme", 7, 4))
	eventually(t, "the last", func() bool { return len(r.got("hook")) == 2 })
}

// TestEachKindHearsInItsOwnWords has one webhook of each kind, and the agent's.
func TestEachKindHearsInItsOwnWords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "ours", endpoint.WebhookNative, "call.started", "call.ended")
	d.add("acme", "yappr", endpoint.WebhookYappr, endpoint.EventNames(endpoint.WebhookYappr)...)
	d.add("acme", "ultravox", endpoint.WebhookUltravox, endpoint.EventNames(endpoint.WebhookUltravox)...)
	d.add("globex", "other", endpoint.WebhookNative)
	at := "https://own.example/"
	d.agent = &endpoint.Agent{ID: "bot", Tenant: "acme", WebhookURL: &at, WebhookEvents: []string{"call.answered"}}
	other := "somebody"
	d.hooks[0].AgentID = &other
	_, e, _ := node(t, js, "n1", d, r)
	publishAll(t, js, "acme", 1, 2)
	eventually(t, "seven deliveries", func() bool { return e.of(hooks.EndDelivered) == 7 })
	for name, want := range map[string][]string{
		"ours": nil, "other": nil, "own": {call.ID(1).String() + ".3"},
		"yappr":    {"call.started", "call.answered", "call.ended"},
		"ultravox": {"call.started", "call.joined", "call.ended"},
	} {
		if got := r.got(name); !slices.Equal(got, want) {
			t.Errorf("%s has heard of %v, want %v", name, got, want)
		}
	}
}

func TestWhatWaitsForADeletedWebhookIsDropped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "gone", endpoint.WebhookNative)
	r.set("gone", fails(1000))
	h, e, _ := node(t, js, "n1", d, r, func(c *hooks.Config) { c.Plan.First = 200 * time.Millisecond })
	publishAll(t, js, "acme", 1, 6)
	eventually(t, "all wait", func() bool { return h.Waiting().Deliveries == 20 && len(r.got("gone")) == 0 })
	if at := h.Waiting().Oldest; at.IsZero() || time.Since(at) > patience {
		t.Errorf("the oldest is of %v", at)
	}
	d.remove("gone")
	eventually(t, "all are dropped", func() bool { return h.Waiting().Deliveries == 0 && e.of(hooks.EndDropped) == 20 })
	if n := e.of(hooks.EndDead); n != 0 {
		t.Errorf("%d dead letters of a webhook that is not there", n)
	}
}

// TestWhatIsTooMuchIsGivenUpAtOnce has a target that may have three waiting.
func TestWhatIsTooMuchIsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "gone", endpoint.WebhookNative)
	r.set("gone", fails(1000))
	h, e, _ := node(t, js, "n1", d, r, func(c *hooks.Config) { c.Plan.Waiting, c.Plan.First = 3, time.Minute })
	publishAll(t, js, "acme", 1, 3)
	eventually(t, "five are given up", func() bool { return e.of(hooks.EndDead) == 5 && h.Waiting().Deliveries == 3 })
	desk := hooks.Desk{JetStream: js}
	dead, err := desk.Deliveries(t.Context(), "acme", "gone", hooks.EndDead, 200)
	if err != nil || len(dead) != 5 || dead[0].Failure != "backlog" || dead[0].Tries != 0 {
		t.Errorf("%+v, %v", dead, err)
	}
	waiting, err := desk.Deliveries(t.Context(), "acme", "gone", hooks.EndWaiting, 200)
	if err != nil || len(waiting) != 3 {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
}

// TestAFullStreamTakesNothingMoreAndDrains bounds what may wait to a few
// deliveries: the rest waits on the event stream, and all arrive once the
// receiver is well.
func TestAFullStreamTakesNothingMoreAndDrains(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "hook", endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	r.set("hook", fails(1000))
	h, e, _ := node(t, js, "n1", d, r, func(c *hooks.Config) {
		c.MaxBytes, c.Plan.First = 64<<10, 500*time.Millisecond
	})
	publishAll(t, js, "acme", 1, 31) // some 100 KB
	consumers := func() int {
		events, err := js.Stream(t.Context(), subject.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		return events.CachedInfo().State.Consumers
	}
	eventually(t, "that is enough", func() bool { return h.Waiting().Full })
	before := consumers()
	const calls = 60
	publishAll(t, js, "acme", 31, 1+calls)
	time.Sleep(2 * time.Second)
	if n := consumers(); n > before+3 { // those of one try that was under way
		t.Errorf("%d consumers were made of the events for a shard that takes nothing up", n-before)
	}
	if n := h.Waiting().Deliveries; n == 0 || n > 120 {
		t.Fatalf("%d wait on the stream of deliveries, want some of the first 120 and no more", n)
	}
	r.set("hook", nil)
	eventually(t, "all have arrived", heardAll(r, "hook", 1, 1+calls))
	inOrder(t, "hook", r.got("hook"), 1, 1+calls)
	if n := e.of(hooks.EndDead); n != 0 {
		t.Errorf("%d were given up", n)
	}
}

// TestADeletedWebhookIsNoStormOfWrites holds the end of each delivery up, and
// counts how many are being written down meanwhile.
func TestADeletedWebhookIsNoStormOfWrites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "gone", endpoint.WebhookNative)
	r.set("gone", fails(1000))
	h, e, _ := node(t, js, "n1", d, r, func(c *hooks.Config) { c.Plan.First = 500 * time.Millisecond })
	const calls = 60
	publishAll(t, js, "acme", 1, 1+calls)
	eventually(t, "all wait", func() bool { return h.Waiting().Deliveries == calls*len(life) })
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	var inside, most atomic.Int32
	e.hold(func(string) {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-gate
		inside.Add(-1)
	})
	d.remove("gone")
	eventually(t, "the first are written down", func() bool { return inside.Load() > 0 })
	for before := int32(0); before != inside.Load(); time.Sleep(300 * time.Millisecond) { // until no more come
		before = inside.Load()
	}
	open()
	eventually(t, "all are dropped", func() bool { return h.Waiting().Deliveries == 0 && ended(t, js, "acme", "gone", hooks.EndWaiting, 0)() })
	if n := most.Load(); n > 32 {
		t.Errorf("%d deliveries of a deleted webhook were written down at once", n)
	}
}
