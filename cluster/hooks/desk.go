package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/envelope"
	"patchbay/cluster/lookup"
	"patchbay/cluster/subject"
	"patchbay/internal/bodies"
)

// ErrUnavailable says that JetStream does not answer.
var ErrUnavailable = errAway

// EndWaiting is said of a delivery that has not ended.
const EndWaiting = "waiting"

// A Desk answers owners' questions about their webhooks, and takes their wishes.
type Desk struct{ JetStream jetstream.JetStream }

// A Health is how a webhook does.
type Health struct {
	Unhealthy bool
	Changed   time.Time // zero: never
	Failures  []Failure // the latest first
}

// A Failure is a try that failed.
type Failure struct {
	At   time.Time
	Text string
}

// Health returns how a webhook does.
func (k *Desk) Health(ctx context.Context, tenant, id string) (Health, error) {
	st, err := readState(ctx, k.JetStream, subject.EventShard(tenant), tenant, id)
	if err != nil {
		return Health{}, err
	}
	h := Health{Unhealthy: st.Unhealthy, Changed: st.Changed}
	for _, f := range st.Failures {
		h.Failures = append(h.Failures, Failure(f))
	}
	return h, nil
}

// A Delivery is one event on its way to a webhook, or there.
type Delivery struct {
	ID, EventID, Event string
	Call               call.ID
	At                 time.Time // of the event
	Tries              int
	Next               time.Time // of one that waits
	Ended              time.Time // of one that does not
	Status             int
	Failure            string

	raw json.RawMessage
}

// Deliveries returns a webhook's deliveries that wait, were delivered, or are
// dead, the latest first, at most limit.
func (k *Desk) Deliveries(ctx context.Context, tenant, id, how string, limit int) (all []Delivery, err error) {
	if how == EndWaiting {
		return k.waiting(ctx, tenant, id, limit)
	}
	found, err := lookup.Many(ctx, k.JetStream.Conn(), subject.StreamHookLog, lookup.Query{Next: subject.HookLog(tenant, id, how), Sequence: 1, Batch: logKept})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAway, err)
	}
	seen := map[string]bool{}
	for _, m := range slices.Backward(found) {
		e, err := decode[entry](m.Subject, m.Data)
		if err != nil {
			return nil, err
		}
		if seen[e.ID] || len(all) == limit {
			continue
		}
		seen[e.ID] = true
		d := Delivery{ID: e.ID, Tries: e.Tries, Ended: e.At, Status: e.Status, Failure: e.Failure}
		d.of(e.Event)
		all = append(all, d)
	}
	return all, nil
}

// waiting returns the first that wait, the latest of them first. There may be
// those of another tenant in between, who has a target of the same name; and one
// that is tried meanwhile is met again, as it is by then.
func (k *Desk) waiting(ctx context.Context, tenant, id string, limit int) (all []Delivery, err error) {
	at := map[string]int{} // where each stands, by its id
	ask := lookup.Query{Next: subject.HookDueOf(subject.EventShard(tenant), id), Sequence: 1, Batch: limit}
	for len(all) < limit {
		found, err := lookup.Many(ctx, k.JetStream.Conn(), subject.StreamHooks, ask)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errAway, err)
		}
		if len(found) == 0 {
			break
		}
		for _, m := range found {
			if m.Marker != "" || len(all) == limit {
				continue
			}
			it, err := decode[item](m.Subject, m.Data)
			if err != nil {
				return nil, err
			}
			if it.Tenant != tenant {
				continue
			}
			d := Delivery{ID: it.ID, Tries: it.Tries, Next: it.Next, Status: it.Status, Failure: it.Failure}
			d.of(it.Event)
			if i, met := at[d.ID]; met {
				all[i] = d
				continue
			}
			at[d.ID] = len(all)
			all = append(all, d)
		}
		ask.Sequence, ask.Batch = found[len(found)-1].Sequence+1, logKept
	}
	slices.Reverse(all)
	return all, nil
}

// of tells of which event it is.
func (d *Delivery) of(raw json.RawMessage) {
	if ev, err := bodies.Parse(raw); err == nil {
		d.EventID, d.Event, d.Call, d.At = ev.ID, ev.Type, ev.Call, ev.At
	}
	d.raw = raw
}

// Redeliver has events sent again that were delivered or given up, and are kept:
// those for which which reports true. It returns how many.
func (k *Desk) Redeliver(ctx context.Context, tenant, id string, dead bool, which func(Delivery) bool) (n int, err error) {
	ends := []string{EndDead, EndDelivered}
	if dead {
		ends = ends[:1]
	}
	again := map[string]bool{}
	for _, how := range ends {
		all, err := k.Deliveries(ctx, tenant, id, how, logKept)
		if err != nil {
			return n, err
		}
		for _, d := range slices.Backward(all) { // in the order in which they ended
			if again[d.ID] || !which(d) {
				continue
			}
			again[d.ID] = true
			ev := actors.CallEvent{V: envelope.Version, ID: "again." + nuid.Next(), Call: d.Call, Type: eventAgain, At: time.Now().UTC(), Tenant: tenant,
				Data: map[string]any{"webhook": id, "event": d.raw}}
			if err := publish(ctx, k.JetStream, ev); err != nil {
				return n, err
			}
			n++
		}
	}
	if n == 0 {
		return 0, endpoint.ErrNotFound
	}
	return n, nil
}

// Test has the event webhook.test sent to one webhook, and returns its id.
func (k *Desk) Test(ctx context.Context, tenant, id string) (string, error) {
	ev := actors.CallEvent{V: envelope.Version, ID: "test." + nuid.Next(), Type: bodies.EventTest, At: time.Now().UTC(), Tenant: tenant,
		Data: map[string]any{"webhook": id}}
	return ev.ID, publish(ctx, k.JetStream, ev)
}
