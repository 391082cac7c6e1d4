package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/internal/webhook"
)

// TestWhatIsTakenUpAgainHasItsPlaceStill has the store not answer just as the
// event comes for which others of its call have waited.
func TestWhatIsTakenUpAgainHasItsPlaceStill(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "hook", endpoint.WebhookNative, "call.started", "call.ringing", "call.answered", "call.ended")
	h, _, _ := node(t, js, "n1", d, r, func(c *hooks.Config) { c.GapWait = time.Hour })
	publish(t, js, event("acme", 7, 1))
	eventually(t, "the first is there", func() bool { return len(r.got("hook")) == 1 && h.Waiting().Deliveries == 0 })
	publish(t, js, event("acme", 7, 4))
	publish(t, js, event("acme", 7, 3))
	eventually(t, "two wait", func() bool { return h.Waiting().Deliveries == 2 })
	d.refuse(1)
	publish(t, js, event("acme", 7, 2))
	eventually(t, "all four", func() bool { return len(r.got("hook")) == 4 })
	inOrder(t, "hook", r.got("hook"), 7, 8)
}

// A deaf JetStream refuses some writes, as many as it is told.
type deaf struct {
	jetstream.JetStream
	to   func(*nats.Msg) bool
	left atomic.Int32
}

func (j *deaf) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if j.to(m) && j.left.Add(-1) >= 0 {
		return nil, errors.New("no answer")
	}
	return j.JetStream.PublishMsg(ctx, m, opts...)
}

// TestHealthThatCouldNotBeWrittenIsWrittenLater loses the word of a target that
// is left alone: at first a few times, then until its next try.
func TestHealthThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	t.Parallel()
	for lost, pause := range map[int32]time.Duration{1: time.Hour, 3: 10 * time.Millisecond} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			js := s.connect()
			d, r := &directory{}, newReceivers(t)
			d.add("acme", "gone", endpoint.WebhookNative, "call.started")
			r.set("gone", fails(1000))
			j := &deaf{JetStream: js, to: func(m *nats.Msg) bool { return strings.Contains(m.Subject, ".state.") }}
			j.left.Store(lost)
			node(t, j, "n1", d, r, func(c *hooks.Config) {
				c.Plan.First, c.Plan.Retries, c.Plan.BreakFor, c.Plan.BreakAfter = pause, 30, pause, 1
			})
			publish(t, js, event("acme", 1, 1))
			desk := hooks.Desk{JetStream: js}
			eventually(t, "its owner is told", func() bool {
				health, err := desk.Health(t.Context(), "acme", "gone")
				return err == nil && health.Unhealthy && !health.Changed.IsZero() && len(health.Failures) > 0
			})
		})
	}
}

// TestOfTriesThatEndTogetherTheLastOnesWordIsTold has three tries at once at each
// of many targets: two fail, which is as many as a target may, and one is taken.
// Which is judged last decides how the target does, and what its owner is told.
func TestOfTriesThatEndTogetherTheLastOnesWordIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	const targets = 100
	name := func(i int) string { return fmt.Sprint("mixed-", i) }
	for i := range targets {
		d.add("acme", name(i), endpoint.WebhookNative, "call.started")
		failed, everybody := make(chan struct{}, 2), make(chan struct{})
		var n atomic.Int32
		r.set(name(i), func(_ context.Context, o webhook.Occasion, _ int) webhook.Receipt {
			if n.Add(1) == 3 {
				close(everybody)
			}
			<-everybody
			if strings.HasPrefix(told(o), call.ID(3).String()+".") {
				<-failed
				<-failed
				return webhook.Receipt{Status: 200}
			}
			failed <- struct{}{}
			return webhook.Receipt{Status: 500, Failure: "HTTP status 500"}
		})
	}
	h, _, _ := node(t, js, "n1", d, r, func(c *hooks.Config) {
		c.Plan.First, c.Plan.BreakFor, c.Plan.BreakAfter, c.Plan.AtOnce, c.Timeout = time.Hour, time.Hour, 2, 3*targets, patience
	})
	for n := range 3 {
		publish(t, js, event("acme", call.ID(n+1), 1))
	}
	desk := hooks.Desk{JetStream: js}
	eventually(t, "all tries are written down", func() bool { return h.Waiting().Deliveries == 2*targets })
	unhealthy := 0
	for i := range targets {
		eventually(t, "the failures, too", func() bool {
			waiting, err := desk.Deliveries(t.Context(), "acme", name(i), hooks.EndWaiting, 10)
			return err == nil && len(waiting) == 2 && !slices.ContainsFunc(waiting, func(x hooks.Delivery) bool { return x.Tries != 1 })
		})
		health, err := desk.Health(t.Context(), "acme", name(i))
		if err != nil {
			t.Fatal(err)
		}
		if health.Unhealthy {
			unhealthy++
		}
	}
	if want := h.Waiting().Suspended; unhealthy != want {
		t.Errorf("of %d targets it is told that they are left alone, not of %d", unhealthy, want)
	}
}

// TestWhatIsWishedAgainWhileItsEndIsWrittenDownIsSentAgain wishes for a delivery
// that its owner is told has ended, while JetStream does not take that it waits no
// more.
func TestWhatIsWishedAgainWhileItsEndIsWrittenDownIsSentAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "hook", endpoint.WebhookNative, "call.started")
	j := &deaf{JetStream: js, to: func(m *nats.Msg) bool {
		return strings.Contains(m.Subject, ".due.") && m.Header.Get("KV-Operation") == "PURGE"
	}}
	j.left.Store(1_000_000)
	h, _, _ := node(t, j, "n1", d, r)
	publish(t, js, event("acme", 1, 1))
	eventually(t, "it is among the delivered", ended(t, js, "acme", "hook", hooks.EndDelivered, 1))
	desk := hooks.Desk{JetStream: js}
	if n, err := desk.Redeliver(t.Context(), "acme", "hook", false, func(hooks.Delivery) bool { return true }); n != 1 || err != nil {
		t.Fatalf("%d are sent again, %v", n, err)
	}
	time.Sleep(time.Second) // for the wish to be heard; where it is not by then, it comes in time all the same
	if n := h.Waiting().Deliveries; n != 1 {
		t.Errorf("%d wait", n)
	}
	j.left.Store(0)
	eventually(t, "it is there again", func() bool { return len(r.got("hook")) == 2 })
}
