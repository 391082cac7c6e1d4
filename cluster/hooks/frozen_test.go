package hooks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay/actors/endpoint"
	"patchbay/cluster/hooks"
	"patchbay/cluster/subject"
	"patchbay/internal/testkit"
)

// TestWhatRelease1LeftWaitingIsDelivered starts on what the first release with
// webhooks left in its streams: a lease, a mark, a delivery after its first try,
// how a target does, and a dead letter.
func TestWhatRelease1LeftWaitingIsDelivered(t *testing.T) {
	t.Parallel()
	held := testkit.Frozen(t, "testdata/v1/hooks.json", func() map[string][]byte { return leftovers(t) })
	s := newSite(t)
	js := s.connect()
	if err := hooks.Declare(t.Context(), js, terms, 0); err != nil {
		t.Fatal(err)
	}
	testkit.Load(t, js, held)
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "late", endpoint.WebhookNative, "call.started")
	d.add("acme", "gone", endpoint.WebhookNative, "call.started")
	desk := hooks.Desk{JetStream: js}
	dead, err := desk.Deliveries(t.Context(), "acme", "gone", hooks.EndDead, 10)
	if err != nil || len(dead) != 1 || dead[0].Event != "call.started" || dead[0].Failure == "" {
		t.Errorf("dead letters %+v, %v", dead, err)
	}
	if h, err := desk.Health(t.Context(), "acme", "gone"); err != nil || !h.Unhealthy || len(h.Failures) == 0 {
		t.Errorf("health %+v, %v", h, err)
	}
	_, e, _ := node(t, js, "n1", d, r)
	eventually(t, "what waited is there", func() bool { return e.of(hooks.EndDelivered) == 1 && len(r.got("late")) == 1 })
	if got := r.got("late"); !strings.HasSuffix(got[0], ".1") {
		t.Errorf("got %v", got)
	}
}

// leftovers are what this release leaves.
func leftovers(t *testing.T) map[string][]byte {
	s := newSite(t)
	js := s.connect()
	d, r := &directory{}, newReceivers(t)
	d.add("acme", "late", endpoint.WebhookNative, "call.started")
	d.add("acme", "gone", endpoint.WebhookNative, "call.started")
	r.set("late", fails(1000))
	r.set("gone", fails(1000))
	_, e, _ := node(t, js, "n1", d, r, func(c *hooks.Config) { c.Plan.Retries, c.Plan.BreakAfter = 0, 1 })
	publish(t, js, event("acme", 1, 1))
	eventually(t, "both are dead", func() bool { return e.of(hooks.EndDead) == 2 })
	held := map[string][]byte{}
	keep := func(stream, with string) {
		for to, data := range testkit.Dump(t, js, stream) {
			if strings.Contains(to, with) {
				held[to] = data
			}
		}
	}
	keep(subject.StreamHooks, "state.gone")
	keep(subject.StreamHooks, "hook.node.")
	keep(subject.StreamHooks, ".mark")
	keep(subject.StreamHookLog, ".gone.dead")
	waiting := newSite(t)
	js = waiting.connect()
	d.remove("gone")
	h, _, _ := node(t, js, "n1", d, r, func(c *hooks.Config) { c.Plan.First = 3 * time.Second })
	publish(t, js, event("acme", 1, 1))
	eventually(t, "it waits for its second try", func() bool {
		for to := range testkit.Dump(t, js, subject.StreamHooks) {
			if strings.Contains(to, ".due.late.") && h.Waiting().Deliveries == 1 {
				keepOne(t, js, to, held)
				return strings.Contains(string(held[to]), `"tries":1`)
			}
		}
		return false
	})
	return held
}

func keepOne(t *testing.T, js jetstream.JetStream, to string, held map[string][]byte) {
	held[to] = testkit.Dump(t, js, subject.StreamHooks)[to]
}
