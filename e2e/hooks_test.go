package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/e2e/rig"
	"patchbay/internal/webhook"
)

// A hook is a webhook that hears of events: it checks what signs them and keeps
// what it takes, in order.
type hook struct {
	*httptest.Server
	id string

	mu     sync.Mutex
	secret string
	refuse int            // tries of each delivery that it answers with 500
	tries  map[string]int // by delivery
	taken  []string       // bodies
	bad    []string
}

// listens makes a webhook of the bed's account.
func listens(t *testing.T, b *bed, kind endpoint.WebhookKind, refuse int, events ...string) *hook {
	t.Helper()
	h := &hook{refuse: refuse, tries: map[string]int{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.signed(kind, r.Header, body) {
			h.bad = append(h.bad, fmt.Sprint(r.Header))
		}
		id := r.Header.Get(webhook.IDHeader)
		if h.tries[id]++; h.tries[id] <= h.refuse {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		h.taken = append(h.taken, string(body))
	}))
	t.Cleanup(h.Close)
	spec, err := json.Marshal(control.WebhookSpec{URL: h.URL + "/events", Kind: kind, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	var v control.WebhookView
	h.mu.Lock()
	defer h.mu.Unlock()
	b.op.Do(t, "webhook", "create", control.NewWebhook{Spec: spec}, &v)
	h.id, h.secret = v.ID, v.Secrets[0]
	return h
}

// refuses says how many tries of each delivery are answered with 500.
func (h *hook) refuses(tries int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuse = tries
}

func (h *hook) signed(kind endpoint.WebhookKind, head http.Header, body []byte) bool {
	if kind == endpoint.WebhookUltravox {
		return head.Get(webhook.SignatureHeader) == webhook.Sign([]string{h.secret}, body, head.Get(webhook.TimestampHeader))
	}
	at, err := strconv.ParseInt(head.Get(webhook.SentHeader), 10, 64)
	_, sum := webhook.Standard([]string{h.secret}, head.Get(webhook.IDHeader), time.Unix(at, 0), body)
	return err == nil && head.Get(webhook.StandardHeader) == sum
}

// names are the events that it took, in order, each once.
func (h *hook) names(t *testing.T) (names []string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, body := range h.taken {
		var line struct{ ID, Type, Event string }
		if err := json.Unmarshal([]byte(body), &line); err != nil {
			t.Fatalf("body %s", body)
		}
		name := line.Event
		if line.Type != "" {
			name = line.ID
		}
		if !slices.Contains(names, name) || line.Event != "" {
			names = append(names, name)
		}
	}
	return names
}

func (h *hook) check(t *testing.T, secrets ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.bad {
		t.Errorf("not signed as it should be: %s", b)
	}
	for _, body := range h.taken {
		for _, secret := range secrets {
			if strings.Contains(body, secret) {
				t.Error("a slug is in a body")
			}
		}
	}
}

// TestEventsOfACallReachWebhooksOfEveryKind places one call and wants each
// vendor's words for it, signed, in order, without the slug that was dialled.
func TestEventsOfACallReachWebhooksOfEveryKind(t *testing.T) {
	t.Parallel()
	b := newBed(t, nil)
	ep := b.endpoint(t, nil)
	ours := listens(t, b, endpoint.WebhookNative, 0, "call.started", "call.answered", "call.ended", "call.record")
	yappr := listens(t, b, endpoint.WebhookYappr, 0, endpoint.EventNames(endpoint.WebhookYappr)...)
	ultravox := listens(t, b, endpoint.WebhookUltravox, 0, endpoint.EventNames(endpoint.WebhookUltravox)...)
	b.call(t, "udp", ep.Slug).bye(t)
	for what, c := range map[string]struct {
		h    *hook
		want []string
	}{
		"yappr":    {yappr, []string{"call.started", "call.answered", "call.ended"}},
		"ultravox": {ultravox, []string{"call.started", "call.joined", "call.ended", "call.billed"}},
	} {
		rig.WaitFor(t, settle, what+" has heard of all", func() bool { return len(c.h.names(t)) >= len(c.want) })
		if got := c.h.names(t); !slices.Equal(got, c.want) {
			t.Errorf("%s has heard of %v, want %v", what, got, c.want)
		}
		c.h.check(t, ep.Slug)
	}
	rig.WaitFor(t, settle, "ours has heard of all", func() bool { return len(ours.names(t)) == 4 })
	ours.check(t, ep.Slug)

	var view control.WebhookView
	b.op.Do(t, "webhook", "get", control.WebhookQuery{ID: ours.id}, &view)
	if view.Status != control.HealthNormal || len(view.RecentFailures) != 0 {
		t.Errorf("the webhook is %s, %v", view.Status, view.RecentFailures)
	}
	var tried control.Tested
	b.op.Do(t, "webhook", "test", control.ID{ID: ours.id}, &tried)
	rig.WaitFor(t, settle, "the trial is there", func() bool { return slices.Contains(ours.names(t), tried.EventID) })
}

// TestWebhooksHearOfEverythingThoughTheNodeIsKilled kills the node while its
// webhooks are refusing, and wants every event of every call there after the
// next start, in order.
func TestWebhooksHearOfEverythingThoughTheNodeIsKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Settings{"hooks.retry_first": "300ms", "hooks.break_for": "100ms"})
	ep := b.endpoint(t, nil)
	failing := listens(t, b, endpoint.WebhookNative, math.MaxInt, "call.started", "call.ringing", "call.answered", "call.ended", "call.record")
	var want []string
	const calls = 4
	for range calls {
		b.call(t, "udp", ep.Slug).bye(t)
	}
	waiting := func() float64 { return b.Metric("patchbay_hooks_waiting") }
	rig.WaitFor(t, settle, "what waits for the webhook", func() bool { return waiting() == 5*calls })
	b.Kill()
	failing.refuses(3) // what was refused more often is taken at its next try
	b.Run()
	b.op = b.Operator(t)
	for id := range b.ids(t, calls) {
		for seq := range 4 {
			want = append(want, fmt.Sprintf("%s.%d", id, seq+1))
		}
		want = append(want, id.String()+".record")
	}
	rig.WaitFor(t, 3*settle, "all events are there", func() bool { return len(failing.names(t)) >= len(want) })
	got := failing.names(t)
	for i, id := range want {
		at := slices.Index(got, id)
		if at < 0 || i%5 > 0 && at < slices.Index(got, want[i-1]) {
			t.Errorf("%s came as number %d of %v", id, at, got)
		}
	}
	failing.check(t, ep.Slug)
	rig.WaitFor(t, settle, "nothing waits", func() bool { return waiting() == 0 })
	var list control.DeliveryList
	rig.Until(t, settle, func() (string, bool) { // no delivery waits for its line in the log
		list = control.DeliveryList{}
		b.op.Do(t, "webhook", "deliveries", control.DeliveryQuery{ID: failing.id, State: control.DeliveryDelivered, Limit: 200}, &list)
		return fmt.Sprintf("%d deliveries are told of, want %d", len(list.Items), len(want)), len(list.Items) >= len(want)
	})
	if len(list.Items) != len(want) || list.Items[0].Attempts < 2 {
		t.Errorf("%d deliveries, want %d", len(list.Items), len(want))
	}
}

// ids are the calls of the account's records.
func (b *bed) ids(t *testing.T, n int) map[call.ID]bool {
	t.Helper()
	all := map[call.ID]bool{}
	rig.WaitFor(t, settle, "all records", func() bool {
		var page control.Page[call.Record]
		b.op.Do(t, "record", "list", rig.Fields{"limit": 100}, &page)
		for _, r := range page.Items {
			all[r.ID] = true
		}
		return len(all) == n
	})
	return all
}
