package lookup_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay/cluster/lookup"
	"patchbay/internal/testkit"
)

func TestMessagesAreFoundAsTheStreamHasThem(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"x.1", "x.2", "y.1"} {
		if _, err := kv.PutString(t.Context(), key, "value of "+key); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Purge(t.Context(), "x.1"); err != nil {
		t.Fatal(err)
	}
	m, ok, err := lookup.Last(t.Context(), nc, "KV_b", "$KV.b.x.2")
	if !ok || err != nil || m.Sequence != 2 || string(m.Data) != "value of x.2" || time.Since(m.At) > time.Minute || m.Marker != "" {
		t.Errorf("x.2: %+v, %v, %v", m, ok, err)
	}
	if m, ok, err := lookup.Last(t.Context(), nc, "KV_b", "$KV.b.x.1"); !ok || err != nil || m.Marker != "PURGE" {
		t.Errorf("x.1: %+v, %v, %v", m, ok, err)
	}
	if _, ok, err := lookup.Last(t.Context(), nc, "KV_b", "$KV.b.z"); ok || err != nil {
		t.Errorf("z: %v, %v", ok, err)
	}
	if m, ok, err := lookup.Any(t.Context(), nc, "KV_b", "$KV.b.x.2"); !ok || err != nil || string(m.Data) != "value of x.2" {
		t.Errorf("x.2 of any replica: %+v, %v, %v", m, ok, err)
	}
	if _, ok, err := lookup.Any(t.Context(), nc, "KV_b", "$KV.b.z"); ok || err != nil {
		t.Errorf("z of any replica: %v, %v", ok, err)
	}
	all, err := lookup.Many(t.Context(), nc, "KV_b", lookup.Query{Next: "$KV.b.x.*", Sequence: 1, Batch: 10})
	if err != nil || len(all) != 2 || all[0].Subject != "$KV.b.x.2" || all[1].Marker != "PURGE" || all[1].Sequence != 4 {
		t.Errorf("x.*: %+v, %v", all, err)
	}
	all, err = lookup.Many(t.Context(), nc, "KV_b", lookup.Query{Last: []string{"$KV.b.y.1", "$KV.b.z"}})
	if err != nil || len(all) != 1 || string(all[0].Data) != "value of y.1" {
		t.Errorf("y.1 and z: %+v, %v", all, err)
	}
	if all, err = lookup.Many(t.Context(), nc, "KV_b", lookup.Query{Next: "$KV.b.z.*", Sequence: 1, Batch: 10}); err != nil || len(all) != 0 {
		t.Errorf("z.*: %+v, %v", all, err)
	}
}

func TestAStreamThatDoesNotAnswerIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, ok, err := lookup.Last(ctx, nc, "NONE", "x"); ok || !errors.Is(err, lookup.ErrUnavailable) {
		t.Errorf("last: %v, %v", ok, err)
	}
	if _, err := lookup.Many(ctx, nc, "NONE", lookup.Query{Next: "x", Batch: 1}); !errors.Is(err, lookup.ErrUnavailable) {
		t.Errorf("many: %v", err)
	}
}

func TestAStreamThatIsSlowIsNotAway(t *testing.T) {
	t.Parallel()
	const count, pause = 10, 300 * time.Millisecond // longer than for one answer, all in all
	nc := testkit.NATS(t)
	sub, err := nc.Subscribe("$JS.API.DIRECT.GET.SLOW", func(m *nats.Msg) {
		for seq := range count {
			time.Sleep(pause) // real: as a busy server sends
			one := nats.NewMsg(m.Reply)
			one.Header = nats.Header{"Nats-Subject": {"x"}, "Nats-Sequence": {strconv.Itoa(seq + 1)}, "Nats-Time-Stamp": {"2025-11-21T12:00:00Z"}}
			_ = nc.PublishMsg(one)
		}
		end := nats.NewMsg(m.Reply)
		end.Header = nats.Header{"Status": {"204"}}
		_ = nc.PublishMsg(end)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	all, err := lookup.Many(t.Context(), nc, "SLOW", lookup.Query{Next: "x", Sequence: 1, Batch: count})
	if err != nil || len(all) != count {
		t.Errorf("%d messages, %v", len(all), err)
	}
}
