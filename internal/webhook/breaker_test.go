package webhook_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/webhook"
)

// broken serves a webhook that fails at once until it is mended, takes a second
// for anything else, and has been asked so often that it is left alone.
func broken(t *testing.T) (client *webhook.Client, asked *atomic.Int64, mend func()) {
	t.Helper()
	var ok atomic.Bool
	asked = &atomic.Int64{}
	client = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= 5 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
		if !ok.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, `{"reject":{}}`)
	})
	for range 5 {
		if _, err := client.Ask(t.Context(), question(nil)); reasonOf(t, err) != endpoint.ReasonWebhookFailed {
			t.Fatal(err)
		}
	}
	return client, asked, func() { ok.Store(true) }
}

// askAll asks at once and counts the reasons.
func askAll(t *testing.T, client *webhook.Client, n int) map[endpoint.Reason]int {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	got := map[endpoint.Reason]int{}
	for range n {
		all.Go(func() {
			_, err := client.Ask(t.Context(), question(nil))
			why := reasonOf(t, err)
			mu.Lock()
			defer mu.Unlock()
			got[why]++
		})
	}
	all.Wait()
	return got
}

func TestOneRequestTriesHoweverManyCallsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, asked, mend := broken(t)
		time.Sleep(15 * time.Second)
		if got := askAll(t, client, 100); got[endpoint.ReasonWebhookFailed] != 1 || got[endpoint.ReasonWebhookSuspended] != 99 || asked.Load() != 6 {
			t.Errorf("while it fails: %v, asked %d times", got, asked.Load())
		}
		mend()
		if got := askAll(t, client, 10); got[endpoint.ReasonWebhookSuspended] != 10 {
			t.Errorf("before the pause is over again: %v", got)
		}
		time.Sleep(15 * time.Second)
		if got := askAll(t, client, 100); got[""] != 1 || got[endpoint.ReasonWebhookSuspended] != 99 {
			t.Errorf("the first when it works: %v", got)
		}
		if got := askAll(t, client, 100); got[""] != 100 {
			t.Errorf("and from then on: %v", got)
		}
	})
}

func TestATryThatIsBrokenOffIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, mend := broken(t)
		mend()
		time.Sleep(15 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := client.Ask(ctx, question(nil)); err == nil || !strings.Contains(err.Error(), "cancel") {
			t.Fatalf("got %v", err)
		}
		if _, err := client.Ask(t.Context(), question(nil)); reasonOf(t, err) != "" {
			t.Errorf("the next try: %v", err)
		}
	})
}
