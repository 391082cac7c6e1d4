package control_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/config"
	"patchbay/control"
)

// exchange is a media node that counts how often it is asked, and from a
// moment on has a call.
type exchange struct {
	doorbell
	asked atomic.Int32
	rings time.Time
}

func (e *exchange) Waiting(_ context.Context, tenant, _ string) ([]control.WaitingCall, error) {
	e.asked.Add(1)
	if tenant != "acme" || time.Now().Before(e.rings) {
		return nil, nil
	}
	return []control.WaitingCall{{CallID: 5}}, nil
}

// desk serves agents of any account: the key says which.
func desk(e *exchange, conns int) http.Handler {
	mux := http.NewServeMux()
	g := &control.Gateway{DialIn: e, Agent: agentFor, Log: slog.New(slog.DiscardHandler), HTTP: config.HTTP{MaxConns: conns},
		Verify: func(_ context.Context, key string) (control.Credential, error) {
			return control.Credential{Tenant: key, Scopes: []string{"agents:answer"}}, nil
		}}
	g.Routes(mux.Handle)
	return mux
}

// polled asks for the calls of an agent and returns status, body, and how long
// it took.
func polled(h http.Handler, tenant, agent, wait string) (int, string, time.Duration) {
	start := time.Now()
	r := httptest.NewRequest("GET", "/v1/agents/"+agent+"/waiting?wait="+wait, nil)
	r.Header.Set("Authorization", "Bearer "+tenant)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), time.Since(start)
}

func TestManyWorkersOfAnAgentCostAsManyQuestionsAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchange{rings: time.Now().Add(10 * time.Second)}
		h := desk(e, 0)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 7 * time.Millisecond) // not all at once
				code, body, _ := polled(h, "acme", "bot", "20s")
				if code != 200 || !strings.Contains(body, "call_id") || time.Since(e.rings) > 300*time.Millisecond {
					t.Errorf("%d %s, %v after the call came", code, body, time.Since(e.rings))
				}
			})
		}
		wg.Wait()
		if n := e.asked.Load(); n > 101+50+50 { // ten a second, and each once more when there is a call
			t.Errorf("the media nodes were asked %d times", n)
		}
		if code, body, took := polled(h, "globex", "bot", "2s"); code != 200 || strings.Contains(body, "call_id") || took != 2*time.Second {
			t.Errorf("another account's agent of that name: %d %s after %v", code, body, took)
		}
	})
}

func TestAnAccountsAgentsDoNotTakeEveryPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exchange{rings: time.Now().Add(time.Hour)}
		h := desk(e, 8) // of which an account gets 2
		var wg sync.WaitGroup
		for _, agent := range []string{"one", "two"} {
			wg.Go(func() { polled(h, "acme", agent, "5s") })
		}
		synctest.Wait()
		if code, body, took := polled(h, "acme", "three", "5s"); code != 503 || !strings.Contains(body, string(control.CodeBusy)) || took != 0 {
			t.Errorf("a third: %d %s after %v", code, body, took)
		}
		if code, _, _ := polled(h, "globex", "one", "1s"); code != 200 {
			t.Errorf("another account: %d", code)
		}
		wg.Wait()
		if code, _, _ := polled(h, "acme", "three", "1s"); code != 200 {
			t.Errorf("when the places are free again: %d", code)
		}
	})
}
