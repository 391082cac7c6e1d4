package cluster_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
	"patchbay/e2e/rig"
)

// TestWebhooksHearOfEverythingThoughNodesAreKilled has a receiver that refuses
// the first two tries of each delivery, and kills meanwhile, under calls,
// the control node that delivers, and then the broker that leads the streams.
// Every event of every call arrives, in order for each call.
func TestWebhooksHearOfEverythingThoughNodesAreKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, rig.Plan{Edges: 1, Actors: 1, Medias: 1, Settings: rig.Settings{"hooks.retry_first": "500ms", "hooks.break_for": "20ms",
		"hooks.allow_http": "true", "hooks.allow_private": "true"}})
	var mu sync.Mutex
	tries, seqs := map[string]int{}, map[string][]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var ev struct {
			Call string `json:"call_id"`
			Seq  int    `json:"seq"`
		}
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get("Webhook-Id")
		if tries[id]++; tries[id] <= 2 || json.Unmarshal(body, &ev) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if !slices.Contains(seqs[ev.Call], ev.Seq) { // a repetition after a crash
			seqs[ev.Call] = append(seqs[ev.Call], ev.Seq)
		}
	}))
	t.Cleanup(srv.Close)
	spec, err := json.Marshal(control.WebhookSpec{URL: srv.URL, Kind: endpoint.WebhookNative,
		Events: []string{"call.started", "call.ringing", "call.answered", "call.ended"}})
	if err != nil {
		t.Fatal(err)
	}
	b.Op.Do(t, "webhook", "create", control.NewWebhook{Spec: spec}, nil)
	carrier := b.Carrier(t, "udp")
	run := carrier.Place(2, 0, func(int) (string, rig.Way) { return b.uri(b.answered), rig.Way{Hold: time.Second} })
	pause(t, 3*time.Second)
	b.Control.Kill()
	pause(t, 2*time.Second)
	b.Control.Run()
	pause(t, 2*time.Second)
	b.Op = b.Control.Operator(t)
	victim, _ := b.leader(t)
	victim.Kill()
	pause(t, 2*time.Second)
	calls := len(run.Stop().Answered())
	want := fmt.Sprint([]int{1, 2, 3, 4})
	rig.Until(t, 2*settle, func() (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		whole := 0
		var wrong []string
		for id, got := range seqs {
			if len(got) == 4 {
				whole++
			}
			if !slices.IsSorted(got) {
				wrong = append(wrong, fmt.Sprint(id, got))
			}
		}
		if len(wrong) > 0 {
			t.Fatalf("out of order: %s", strings.Join(wrong, ", "))
		}
		return fmt.Sprintf("%d calls of %d with all of %s", whole, calls, want), whole >= calls && calls > 0
	})
}
