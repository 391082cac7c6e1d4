package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/fx"

	"patchbay/cluster/hooks"
	"patchbay/cluster/hooks/plan"
	"patchbay/control"
	"patchbay/internal/dialguard"
	"patchbay/internal/lifecycle"
	"patchbay/internal/telemetry"
	"patchbay/internal/webhook"
)

// What a webhook and an account may have waiting.
const (
	// breakAfter is how many failures in a row suspend a webhook.
	breakAfter = 5
	// accountShare is how many full webhooks one account may have waiting.
	accountShare = 5
)

// newDeliverer brings events to webhooks, within what the node may dial.
func newDeliverer(g *ground, obs observers) (*hooks.Deliverer, error) {
	c := g.cfg.Hooks
	guard := dialguard.Guard{AllowPrivate: c.AllowPrivate, AllowLoopback: g.onLoopbackOnly()}
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.NATS.StartWait)
	defer cancel()
	return hooks.Open(ctx, g.conn.JetStream(), hooks.Config{
		Node: g.cfg.Node.Name, Streams: g.streams(), Timeout: c.Timeout, MaxBytes: c.MaxBytes,
		Plan: plan.Terms{First: c.RetryFirst, Retries: c.Retries, AtOnce: c.MaxConcurrent, PerTarget: c.MaxPerTarget,
			BreakAfter: breakAfter, BreakFor: c.BreakFor, Waiting: c.MaxWaiting, PerTenant: accountShare * c.MaxWaiting},
		Directory: g.store, Tell: webhook.New(guard, g.keys.Open).Tell, Unseal: g.keys.Open,
	}, g.log, obs.hooks())
}

// hooks counts what becomes of deliveries.
func (o observers) hooks() hooks.Observer {
	return hooks.Observer{
		Tried: func(_ time.Duration, taken bool) {
			o.metrics.Deliveries.WithLabelValues(map[bool]string{true: "taken", false: "failed"}[taken]).Inc()
		},
		Ended: func(end string) {
			if end != hooks.EndDelivered { // of which there is one for each that is taken
				o.metrics.Deliveries.WithLabelValues(end).Inc()
			}
		},
		Panic: func(any) { o.panicked("hooks", "delivery") },
	}
}

func attachDeliverer(lc fx.Lifecycle, app fx.Shutdowner, g *ground, d *hooks.Deliverer, obs observers) {
	gauge := func(name, help string, value func(hooks.Waiting) float64) {
		obs.metrics.Gauge(name, help, func() float64 { return value(d.Waiting()) })
	}
	gauge(telemetry.NameHooksWaiting, "Deliveries to webhooks that wait on this node.", func(w hooks.Waiting) float64 { return float64(w.Deliveries) })
	gauge(telemetry.NameHooksSuspended, "Webhooks that are left alone for a while.", func(w hooks.Waiting) float64 { return float64(w.Suspended) })
	gauge(telemetry.NameHooksFull, "Whether as much waits as hooks.max_bytes allows.", func(w hooks.Waiting) float64 {
		if w.Full {
			return 1
		}
		return 0
	})
	gauge(telemetry.NameHooksOldest, "Seconds since the event that has waited longest for a webhook; 0: none waits.", func(w hooks.Waiting) float64 {
		if w.Oldest.IsZero() {
			return 0
		}
		return time.Since(w.Oldest).Seconds()
	})
	lifecycle.Attach(lc, app, g.log, d)
}

// hookDesk lets control ask about deliveries.
type hookDesk struct{ hooks.Desk }

// Health implements control.Hooks.
func (k hookDesk) Health(ctx context.Context, tenant, id string) (control.WebhookHealth, error) {
	h, err := k.Desk.Health(ctx, tenant, id)
	if err != nil {
		return control.WebhookHealth{}, hooksAway(err)
	}
	v := control.WebhookHealth{Status: control.HealthNormal}
	if h.Unhealthy {
		v.Status = control.HealthUnhealthy
	}
	if !h.Changed.IsZero() {
		v.LastStatusChange = &h.Changed
	}
	for _, f := range h.Failures {
		v.RecentFailures = append(v.RecentFailures, control.WebhookFailure{At: f.At, Failure: f.Text})
	}
	return v, nil
}

// Deliveries implements control.Hooks.
func (k hookDesk) Deliveries(ctx context.Context, tenant, id, state string, limit int) ([]control.Delivery, error) {
	found, err := k.Desk.Deliveries(ctx, tenant, id, state, limit)
	all := make([]control.Delivery, len(found))
	for i, d := range found {
		all[i] = control.Delivery{ID: d.ID, State: state, EventID: d.EventID, Event: d.Event, Call: d.Call, At: d.At, Attempts: d.Tries,
			Status: d.Status, Failure: d.Failure}
		if state == hooks.EndWaiting {
			all[i].NextAt = &found[i].Next
		} else {
			all[i].EndedAt = &found[i].Ended
		}
	}
	return all, hooksAway(err)
}

// Redeliver implements control.Hooks.
func (k hookDesk) Redeliver(ctx context.Context, tenant, id string, which control.Redelivery) (int, error) {
	n, err := k.Desk.Redeliver(ctx, tenant, id, which.AllDead, func(d hooks.Delivery) bool {
		return which.AllDead || d.EventID == which.EventID || d.ID == which.DeliveryID
	})
	return n, hooksAway(err)
}

// Test implements control.Hooks.
func (k hookDesk) Test(ctx context.Context, tenant, id string) (string, error) {
	event, err := k.Desk.Test(ctx, tenant, id)
	return event, hooksAway(err)
}

// hooksAway says in control's words that JetStream did not answer.
func hooksAway(err error) error {
	if errors.Is(err, hooks.ErrUnavailable) {
		return fmt.Errorf("%w: %w", control.ErrUnavailable, err)
	}
	return away(err)
}
