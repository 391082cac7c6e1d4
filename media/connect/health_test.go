package connect_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/media"
	"patchbay/media/connect"
)

func beat(worker, state string, calls, most int) []byte {
	return fmt.Appendf(nil, `{"v":1,"worker_id":%q,"load":0.5,"calls":%d,"max":%d,"state":%q}`, worker, calls, most, state)
}

func TestHeartbeatsSayHowWorkersAre(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := connect.NewHealth(func() time.Time { return now })
	want := func(w connect.Workforce) {
		t.Helper()
		if got := h.Of("a"); got != w {
			t.Errorf("got %s, want %s", got, w)
		}
	}
	want(connect.WorkersUnknown)
	h.Note("a", beat("w1", "ready", 1, 2))
	want(connect.WorkersReady)
	h.Note("a", beat("w1", "ready", 2, 2))
	want(connect.WorkersFull)
	h.Note("a", beat("w2", "draining", 0, 2))
	want(connect.WorkersFull)
	h.Note("a", beat("w2", "ready", 900, 0)) // it says no maximum
	want(connect.WorkersReady)
	if got := h.Workers("a"); len(got) != 2 || got[0].WorkerID != "w1" || got[0].Calls != 2 || !got[1].Seen.Equal(now) {
		t.Errorf("got %+v", got)
	}
	now = now.Add(connect.WorkerExpiry + 1)
	want(connect.WorkersGone)
	if got := h.Workers("a"); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	now = now.Add(time.Minute)
	want(connect.WorkersUnknown)
	if got := h.Of("another"); got != connect.WorkersUnknown {
		t.Errorf("got %s of another agent", got)
	}
}

func TestWhatIsNoHeartbeatIsPassedOver(t *testing.T) {
	t.Parallel()
	h := connect.NewHealth(time.Now)
	for _, b := range [][]byte{nil, []byte("{"), []byte(`{"worker_id":"w"}`), beat("", "ready", 0, 1), beat("w", "dancing", 0, 1),
		beat(string(make([]byte, 200)), "ready", 0, 1), append(beat("w", "ready", 0, 1), make([]byte, 1024)...)} {
		h.Note("a", b)
	}
	if got := h.Of("a"); got != connect.WorkersUnknown {
		t.Errorf("got %s", got)
	}
}

func TestTheTableOfWorkersIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	h := connect.NewHealth(func() time.Time { return now })
	for i := range 300 {
		h.Note("a", beat(fmt.Sprint("w", i), "ready", 0, 1))
	}
	if got := len(h.Workers("a")); got != connect.MaxWorkersPerAgent {
		t.Errorf("%d workers of one agent", got)
	}
	for i := range connect.MaxWorkers {
		h.Note(fmt.Sprint("agent", i), beat("w", "ready", 0, 1))
	}
	if got := h.Of(fmt.Sprint("agent", connect.MaxWorkers-1)); got != connect.WorkersUnknown {
		t.Errorf("beyond the limit: %s", got)
	}
	now = now.Add(2 * time.Minute) // all are forgotten, and others have room
	h.Note("late", beat("w", "ready", 0, 1))
	if got := h.Of("late"); got != connect.WorkersReady {
		t.Errorf("got %s, want room again", got)
	}
}

func TestWorkersThatAreGoneOrFullAreNotWaitedForWhereAnotherAgentIs(t *testing.T) {
	t.Parallel()
	for want, state := range map[error]string{media.ErrAgentBusy: "draining", media.ErrNoAgent: "ready"} {
		now := time.Now()
		h := connect.NewHealth(func() time.Time { return now })
		h.Note("a1", beat("w1", state, 0, 1))
		if errors.Is(want, media.ErrNoAgent) {
			now = now.Add(10 * time.Second)
		}
		w := &workers{}
		req := request(endpoint.AgentTransport{})
		req.Patient = false
		began := time.Now()
		_, err := connect.NewNATS(newStack(t), w, h, errNoWorker).Join(within(t, patience), req, ignore)
		if !errors.Is(err, want) || time.Since(began) > patience/2 {
			t.Errorf("got %v after %v, want %v at once", err, time.Since(began), want)
		}
		if n := w.asked; n != 0 {
			t.Errorf("asked %d times", n)
		}
	}
}

func FuzzHeartbeat(f *testing.F) {
	f.Add("a", beat("w1", "ready", 1, 2))
	f.Add("", []byte(`{"worker_id":5}`))
	h := connect.NewHealth(time.Now)
	f.Fuzz(func(_ *testing.T, agent string, b []byte) {
		h.Note(agent, b)
		h.Of(agent)
	})
}
