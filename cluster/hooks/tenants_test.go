package hooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/cluster/hooks/plan"
	"patchbay/cluster/subject"
	"patchbay/internal/bodies"
	"patchbay/internal/webhook"
)

// TestAWebhookOfTheSameIDOfAnotherTenantIsAnother has two tenants of one shard
// choose the same id: one of them gives its webhook up, and the other hears of
// everything of its own and nothing else.
func TestAWebhookOfTheSameIDOfAnotherTenantIsAnother(t *testing.T) {
	t.Parallel()
	other := "globex"
	for i := 0; subject.EventShard(other) != subject.EventShard("acme"); i++ {
		other = fmt.Sprint("globex-", i)
	}
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "same", endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	d.add(other, "same", endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	d.hooks[1].URL = "https://other.example/"
	r.set("same", fails(1000))
	h, _, _ := node(t, js, "n1", d, r, func(c *hooks.Config) { c.Plan.First, c.Plan.BreakFor, c.Plan.BreakAfter = time.Hour, time.Hour, 1 })
	publishAll(t, js, "acme", 1, 3)
	eventually(t, "acme's is left alone", func() bool { return h.Waiting().Suspended == 1 && h.Waiting().Deliveries == 8 })
	publishAll(t, js, other, 11, 13)
	eventually(t, "the other's has heard of all", heardAll(r, "other", 11, 13))
	eventually(t, "all of the other's are delivered", ended(t, js, other, "same", hooks.EndDelivered, 8))
	eventually(t, "nothing of the other's waits", ended(t, js, other, "same", hooks.EndWaiting, 0))
	desk := hooks.Desk{JetStream: js}
	for tenant, want := range map[string]struct {
		waiting   int
		unhealthy bool
	}{"acme": {8, true}, other: {0, false}} {
		waiting, err := desk.Deliveries(t.Context(), tenant, "same", hooks.EndWaiting, 200)
		if err != nil || len(waiting) != want.waiting {
			t.Errorf("%s is told of %d that wait, want %d (%v)", tenant, len(waiting), want.waiting, err)
		}
		eventually(t, "each is told of its own health", func() bool {
			health, err := desk.Health(t.Context(), tenant, "same")
			return err == nil && health.Unhealthy == want.unhealthy && (len(health.Failures) > 0) == want.unhealthy
		})
	}
	r.set("other", fails(1000))
	publishAll(t, js, other, 13, 14)
	eventually(t, "of the other's next that wait all four are told, though eight of acme's came before", func() bool {
		got, err := desk.Deliveries(t.Context(), other, "same", hooks.EndWaiting, 4)
		return err == nil && len(got) == 4
	})
}

// TestWhatIsTriedWhileItIsListedIsListedOnce lists deliveries that are tried, and
// written anew, all the time.
func TestWhatIsTriedWhileItIsListedIsListedOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "gone", endpoint.WebhookNative, "call.started")
	r.set("gone", fails(1_000_000))
	h, _, _ := node(t, js, "n1", d, r, func(c *hooks.Config) {
		c.Plan.First, c.Plan.Retries, c.Plan.BreakAfter = time.Microsecond, 30, 1_000_000
	})
	for n := range 12 {
		publish(t, js, event("acme", call.ID(n+1), 1))
	}
	eventually(t, "all wait", func() bool { return h.Waiting().Deliveries == 12 })
	desk := hooks.Desk{JetStream: js}
	for range 100 {
		waiting, err := desk.Deliveries(t.Context(), "acme", "gone", hooks.EndWaiting, 200)
		ids := map[string]bool{}
		for _, w := range waiting {
			ids[w.ID] = true
		}
		if err != nil || len(ids) != 12 || len(waiting) != 12 {
			t.Fatalf("%d are listed of %d that wait, want 12 (%v)", len(waiting), len(ids), err)
		}
	}
}

// TestOfTriesThatFailTogetherTheOneThatTurnsIsTold has four tries at once fail at
// each of many targets: each is left alone for it, and its owner is told so.
func TestOfTriesThatFailTogetherTheOneThatTurnsIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	const targets = 100
	name := func(i int) string { return fmt.Sprint("gone-", i) }
	for i := range targets {
		d.add("acme", name(i), endpoint.WebhookNative, "call.started")
		r.set(name(i), fails(1000))
	}
	h, _, _ := node(t, js, "n1", d, r, func(c *hooks.Config) {
		c.Plan.First, c.Plan.BreakFor, c.Plan.BreakAfter = time.Hour, time.Hour, 2
	})
	for n := range quick().PerTarget {
		publish(t, js, event("acme", call.ID(n+1), 1))
	}
	eventually(t, "all are left alone", func() bool { return h.Waiting().Suspended == targets })
	desk := hooks.Desk{JetStream: js}
	for i := range targets {
		eventually(t, "the owner of "+name(i)+" is told", func() bool {
			health, err := desk.Health(t.Context(), "acme", name(i))
			return err == nil && health.Unhealthy
		})
	}
}

// TestWhatIsGivenUpWithoutATryHasNone has old events wait for a target that fails:
// with the first failure it is left alone, and the rest is not worth a try.
func TestWhatIsGivenUpWithoutATryHasNone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "gone", endpoint.WebhookNative, "call.started")
	d.add("acme", "well", endpoint.WebhookNative, bodies.EventDead)
	r.set("gone", fails(1000))
	attempts := make(chan float64, 3)
	r.set("well", func(_ context.Context, o webhook.Occasion, _ int) webhook.Receipt {
		var told struct {
			Data struct {
				Attempts float64 `json:"attempts"`
			} `json:"data"`
		}
		if err := json.Unmarshal(o.Body, &told); err != nil {
			t.Error(err)
		}
		attempts <- told.Data.Attempts
		return webhook.Receipt{Status: 200}
	})
	for n := range 3 {
		ev := event("acme", call.ID(n+1), 1)
		ev.At = ev.At.Add(-time.Hour)
		publish(t, js, ev)
	}
	node(t, js, "n1", d, r, func(c *hooks.Config) {
		c.Plan.First, c.Plan.Retries, c.Plan.PerTarget, c.Plan.BreakAfter, c.Plan.BreakFor = time.Minute, 3, 1, 1, time.Hour
	})
	eventually(t, "two are given up", ended(t, js, "acme", "gone", hooks.EndDead, 2))
	dead, err := (&hooks.Desk{JetStream: js}).Deliveries(t.Context(), "acme", "gone", hooks.EndDead, 200)
	if err != nil || len(dead) != 2 {
		t.Fatalf("%+v, %v", dead, err)
	}
	for _, x := range dead {
		if x.Tries != 0 || x.Failure != plan.WhySuspended {
			t.Errorf("%s after %d tries: %s", x.ID, x.Tries, x.Failure)
		}
		if n := <-attempts; n != 0 {
			t.Errorf("their owner is told of %v attempts", n)
		}
	}
}
