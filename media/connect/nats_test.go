package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
	"patchbay/media"
	"patchbay/media/connect"
)

// workers stand in for the cluster.
type workers struct {
	offer func(ctx context.Context, n int, payload []byte) ([]byte, error)

	mu     sync.Mutex
	asked  int
	told   []string // events and cancels
	take   func([]byte) []byte
	closed bool
}

func (w *workers) Offer(ctx context.Context, agent string, payload []byte) ([]byte, error) {
	w.mu.Lock()
	w.asked++
	n := w.asked
	w.mu.Unlock()
	return w.offer(ctx, n, payload)
}

func (w *workers) Cancel(agent, worker string, payload []byte) error {
	w.tell("cancel " + agent + " " + worker + " " + string(payload))
	return nil
}

func (w *workers) PublishEvent(_ string, id call.ID, payload []byte) {
	w.tell("event " + id.String() + " " + string(payload))
}

func (w *workers) SubscribeCommands(_ string, _ call.ID, take func([]byte) []byte) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take = take
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.closed = true
	}
}

func (w *workers) tell(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, s)
}

// taking returns an offer function that lets a answer.
func taking(t testing.TB, a *agent) func(context.Context, int, []byte) ([]byte, error) {
	return func(_ context.Context, _ int, payload []byte) ([]byte, error) {
		var o connect.Offer
		if err := json.Unmarshal(payload, &o); err != nil {
			t.Error(err)
		}
		return encode(t, a.answer(o.SDP)), nil
	}
}

func TestAWorkerOnNATSTakesTheCall(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	w := &workers{offer: taking(t, a)}
	var chosen string
	leg, err := connect.NewNATS(newStack(t), w, nil, errNoWorker).Join(within(t, patience), request(endpoint.AgentTransport{}), func(s string) { chosen = s })
	if err != nil {
		t.Fatal(err)
	}
	if chosen != "w1" || leg.Codec().Name != "PCMU" {
		t.Errorf("got worker %q and codec %s, want w1 and PCMU", chosen, leg.Codec().Name)
	}
	ran := make(chan media.Command, 1)
	leg.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error { ran <- c; return nil })
	a.arrives(t, leg)
	if got := string(w.take([]byte(`{"id":"1","type":"hangup"}`))); got != `{"type":"ack","id":"1","ok":true}` {
		t.Errorf("got %s", got)
	}
	if c := <-ran; c.Type != media.CommandHangup {
		t.Errorf("got %v", c)
	}
	leg.Notify([]byte(`{"type":"dtmf"}`))
	leg.Close(call.CauseNormal)
	leg.Close(call.CauseNormal)
	id := call.ID(7).String()
	want := []string{`event ` + id + ` {"type":"dtmf"}`, `cancel a1 w1 {"v":1,"call_id":"` + id + `","reason":"normal_clearing"}`}
	if strings.Join(w.told, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(w.told, "\n"), strings.Join(want, "\n"))
	}
	if !w.closed {
		t.Error("the subscription to commands is still there")
	}
}

func TestTheOfferToAWorkerHasItsFormat(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*media.JoinRequest){
		"offer":             func(*media.JoinRequest) {},
		"offer_trusted":     func(r *media.JoinRequest) { r.Agent.TrustCallerID = true },
		"offer_no_metadata": func(r *media.JoinRequest) { r.Agent.WebRTC.NoMetadata, r.Agent.TrustCallerID = true, true },
		"offer_session":     func(r *media.JoinRequest) { r.Agent.WebRTC.Session = json.RawMessage(`{"voice":"alto"}`) },
		"offer_context": func(r *media.JoinRequest) {
			r.Context, r.Metadata, r.Settings = []byte(`{"tier":"gold"}`), []byte(`{"src":"fb"}`), []byte(`{"recordingEnabled":false}`)
		},
		"offer_resume": func(r *media.JoinRequest) { r.Epoch = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent []byte
			w := &workers{offer: func(_ context.Context, _ int, payload []byte) ([]byte, error) {
				sent = payload
				return []byte(`{"error":{"code":500}}`), nil
			}}
			req := request(endpoint.AgentTransport{})
			change(&req)
			_, err := connect.NewNATS(newStack(t), w, nil, errNoWorker).Join(within(t, patience), req, ignore)
			if !errors.Is(err, media.ErrAgentRefused) {
				t.Fatalf("got %v, want %v", err, media.ErrAgentRefused)
			}
			golden.Compare(t, "testdata/nats_"+name+".json", readable(t, sent))
		})
	}
}

func TestWorkersThatDoNotTakeTheCall(t *testing.T) {
	t.Parallel()
	reply := func(s string) func(context.Context, int, []byte) ([]byte, error) {
		return func(context.Context, int, []byte) ([]byte, error) { return []byte(s), nil }
	}
	silent := func(ctx context.Context, _ int, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	for name, c := range map[string]struct {
		offer func(context.Context, int, []byte) ([]byte, error)
		tr    endpoint.AgentTransport
		ends  int // the call, when they are asked for that time; 0: it does not
		want  error
		asked int
	}{
		"all busy":           {reply(`{"error":{"code":503,"message":"busy"}}`), endpoint.AgentTransport{Attempts: 3}, 0, media.ErrAgentBusy, 3},
		"busy, by default":   {reply(`{"error":{"code":503}}`), endpoint.AgentTransport{}, 0, media.ErrAgentBusy, 2},
		"too many attempts":  {reply(`{"error":{"code":503}}`), endpoint.AgentTransport{Attempts: 99}, 0, media.ErrAgentBusy, 5},
		"an error":           {reply(`{"error":{"code":488}}`), endpoint.AgentTransport{}, 0, media.ErrAgentRefused, 1},
		"no JSON":            {reply(`busy`), endpoint.AgentTransport{}, 0, media.ErrAgentRefused, 1},
		"no SDP":             {reply(`{"type":"answer"}`), endpoint.AgentTransport{}, 0, media.ErrAgentRefused, 1},
		"wrong type":         {reply(`{"type":"offer","sdp":"v=0"}`), endpoint.AgentTransport{}, 0, media.ErrAgentRefused, 1},
		"too large":          {reply(strings.Repeat(" ", connect.MaxAnswer+1)), endpoint.AgentTransport{}, 0, media.ErrAgentRefused, 1},
		"silence":            {silent, endpoint.AgentTransport{TimeoutMs: 500}, 0, media.ErrAgentUnreachable, 2},
		"silence to the end": {silent, endpoint.AgentTransport{}, 1, media.ErrNoAgent, 1},
		"nobody there": {func(context.Context, int, []byte) ([]byte, error) { return nil, errNoWorker }, endpoint.AgentTransport{},
			3, media.ErrNoAgent, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, over := context.WithCancel(within(t, patience))
			w := &workers{offer: func(ctx context.Context, n int, payload []byte) ([]byte, error) {
				if n == c.ends {
					over()
				}
				return c.offer(ctx, n, payload)
			}}
			_, err := connect.NewNATS(newStack(t), w, nil, errNoWorker).Join(ctx, request(c.tr), ignore)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if w.asked != c.asked {
				t.Errorf("asked %d times, want %d", w.asked, c.asked)
			}
		})
	}
}

func TestAWorkerThatStartsInTimeStillGetsTheCall(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	take := taking(t, a)
	w := &workers{offer: func(ctx context.Context, n int, payload []byte) ([]byte, error) {
		if n < 4 {
			return nil, errNoWorker
		}
		return take(ctx, n, payload)
	}}
	leg, err := connect.NewNATS(newStack(t), w, nil, errNoWorker).Join(within(t, patience), request(endpoint.AgentTransport{}), ignore)
	if err != nil {
		t.Fatal(err)
	}
	a.heard(t, leg)
	leg.Close(call.CauseNormal)
}

func TestAWorkerWithoutACommonCodecIsSentAway(t *testing.T) {
	t.Parallel()
	w := &workers{offer: func(context.Context, int, []byte) ([]byte, error) {
		return encode(t, connect.Answer{Type: "answer", WorkerID: "w9", SDP: "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 9\r\n"}), nil
	}}
	_, err := connect.NewNATS(newStack(t), w, nil, errNoWorker).Join(within(t, patience), request(endpoint.AgentTransport{}), ignore)
	if !errors.Is(err, media.ErrNoCodec) {
		t.Errorf("got %v, want %v", err, media.ErrNoCodec)
	}
	if len(w.told) != 1 || !strings.Contains(w.told[0], "w9") || !strings.Contains(w.told[0], "no_common_codec") {
		t.Errorf("got %q, want a cancel", w.told)
	}
}

func TestNobodyWaitsForAWorkerWhereAnotherAgentIs(t *testing.T) {
	t.Parallel()
	w := &workers{offer: func(context.Context, int, []byte) ([]byte, error) { return nil, errNoWorker }}
	req := request(endpoint.AgentTransport{})
	req.Patient = false
	_, err := connect.NewNATS(newStack(t), w, nil, errNoWorker).Join(within(t, patience), req, ignore)
	if !errors.Is(err, media.ErrNoAgent) || w.asked != 1 {
		t.Errorf("asked %d times: %v; want %v at once", w.asked, err, media.ErrNoAgent)
	}
}
