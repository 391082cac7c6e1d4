package hooks_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/cluster/subject"
	"patchbay/internal/webhook"
)

// BenchmarkDelivery is one event on its way from the event stream to a receiver
// that answers at once, with all that is written for it.
func BenchmarkDelivery(b *testing.B) {
	s := newSite(b)
	js := s.connect()
	d := &directory{}
	d.add("acme", "hook", endpoint.WebhookNative, "call.started")
	var n atomic.Int64
	cfg := hooks.Config{Node: "n1", Plan: quick(), Timeout: time.Second, Directory: d,
		Tell: func(context.Context, webhook.Occasion) webhook.Receipt {
			n.Add(1)
			return webhook.Receipt{Status: 200}
		}, Unseal: func(s endpoint.SecretRef) (string, error) { return string(s), nil }}
	cfg.Plan.Waiting, cfg.Plan.PerTenant, cfg.Plan.PerTarget = 1<<20, 1<<20, 64
	h, err := hooks.Open(b.Context(), s.connect(), cfg, slog.New(slog.DiscardHandler), hooks.Observer{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	eventually(b, "it delivers", func() bool { return h.Waiting().Shards == 1 })
	i, begun := 0, time.Now()
	for b.Loop() {
		i++
		ev := event("acme", call.ID(i), 1)
		data := encode(b, ev)
		if _, err := js.PublishMsgAsync(&nats.Msg{Subject: subject.Event(subject.EventShard("acme"), "acme", ev.Type), Data: data}); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, "all are there", func() bool { return n.Load() >= int64(i) })
	b.ReportMetric(float64(i)/time.Since(begun).Seconds(), "deliveries/s")
}
