package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/golden"
	"patchbay/media"
)

var openAISession = json.RawMessage(`{"type":"realtime","model":"gpt-realtime","instructions":"Be brief."}`)

func TestEachDialectCarriesACallBothWays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fake   func(testing.TB) *fake
		path   string
		worker string
		label  string // of the data channel
		asked  int    // requests of the whole call
	}{
		endpoint.DialectJSON:    {fakeJSON, "/offer", "w1", "call-events", 1},
		endpoint.DialectOpenAI:  {fakeOpenAI, "/v1/realtime/calls", "rtc_7f", "oai-events", 2},
		endpoint.DialectPipecat: {fakePipecat, "/api/offer", "SmallWebRTCConnection#0", "call-events", 1},
		endpoint.DialectFastRTC: {fakeFastRTC, "/agent/webrtc/offer", "", "text", 1},
		endpoint.DialectWHIP:    {fakeWHIP, "/whip", "", "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := c.fake(t)
			agent := request(f.transport(name, c.path)).Agent
			if name == endpoint.DialectOpenAI {
				agent.WebRTC.Session = openAISession
			}
			b := openCall(t, newHTTP(t, anyLoopback), agent)
			if ev := b.event(call.AgentChosen); ev.Agent != c.worker {
				t.Errorf("worker %q, want %q", ev.Agent, c.worker)
			}
			b.joined()
			b.hearsTone()
			f.agent.hearsTone(t)
			if c.label != "" {
				if dc := <-f.agent.dc; dc.Label() != c.label {
					t.Errorf("data channel %q, want %q", dc.Label(), c.label)
				}
			}
			b.bridge.Close(call.CauseNormal)
			await(t, f.agent.down, "the agent sees DTLS close")
			eventually(t, "the session is ended", func() bool { return f.seen() == c.asked })
			if name != endpoint.DialectJSON { // that has a file of its own
				golden.Compare(t, "testdata/http_"+name+".txt", f.shown())
			}
		})
	}
}

func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
}

func joinFake(t *testing.T, f *fake, dialect, path string) media.AgentLeg {
	t.Helper()
	tr := f.transport(dialect, path)
	tr.Session = openAISession
	leg, err := newHTTP(t, anyLoopback).Join(within(t, patience), request(tr), ignore)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leg.Close(call.CauseNormal) })
	return leg
}

func TestOpenAIIsToldOfKeysInItsOwnWordsAndOfNothingElse(t *testing.T) {
	t.Parallel()
	f := fakeOpenAI(t)
	leg := joinFake(t, f, endpoint.DialectOpenAI, "/v1/realtime/calls")
	leg.Notify([]byte(`{"v":1,"type":"call.started","call_id":"7"}`))
	leg.Notify([]byte(`{"v":1,"type":"dtmf","call_id":"7","digit":"5","duration_ms":120}`))
	golden.Compare(t, "testdata/openai_dtmf.json", []byte(f.agent.hear(t)+"\n"))
	dc := <-f.agent.dc
	commands := make(chan media.Command, 1)
	leg.Start(func([]byte) {}, func(call.Cause) {}, func(c media.Command) error { commands <- c; return nil })
	for _, m := range []string{`{"type":"session.created"}`, `{"type":"hangup"}`} { // the second is nothing in its protocol
		if err := dc.SendText(m); err != nil {
			t.Fatal(err)
		}
	}
	leg.Notify([]byte(`{"type":"dtmf","digit":"#"}`))
	if got := f.agent.hear(t); !strings.Contains(got, "DTMF: #") {
		t.Errorf("got %s: its events were answered", got)
	}
	if len(commands) != 0 {
		t.Error("an event of its protocol was taken for a command")
	}
}

func TestAnOpenAICallThatNeverConnectsIsHungUp(t *testing.T) {
	t.Parallel()
	f := fakeOpenAI(t)
	f.agent.deaf = true
	tr := f.transport(endpoint.DialectOpenAI, "/v1/realtime/calls")
	tr.Session = openAISession
	ctx, giveUp := context.WithCancel(within(t, patience))
	_, err := newHTTP(t, anyLoopback).Join(ctx, request(tr), func(string) { time.AfterFunc(time.Second, giveUp) }) // it has a session by then
	if err == nil {
		t.Fatal("it joined")
	}
	eventually(t, "the session is ended", func() bool { return f.seen() == 2 })
}

func TestPipecatBotsLeaveByMessageAndMayHangUp(t *testing.T) {
	t.Parallel()
	f := fakePipecat(t)
	leg := joinFake(t, f, endpoint.DialectPipecat, "/api/offer")
	commands, left := make(chan media.Command, 4), make(chan call.Cause, 1)
	leg.Start(func([]byte) {}, func(c call.Cause) { left <- c }, func(c media.Command) error { commands <- c; return nil })
	leg.Notify([]byte(`{"v":1,"type":"call.answered"}`))
	if got := f.agent.hear(t); strings.HasPrefix(got, "ping") || !strings.Contains(got, `"type":`) {
		t.Errorf("a bot cannot take %s", got)
	}
	dc := <-f.agent.dc
	for _, m := range []string{
		`{"label":"rtvi-ai","type":"bot-ready","data":{}}`, `no JSON`, `{"type":"signalling","message":{"type":"renegotiate"}}`,
		`{"id":"1","type":"answer"}`, `{"id":"2","type":"hangup"}`, `{"type":"signalling","message":{"type":"peerLeft"}}`,
	} {
		if err := dc.SendText(m); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case c := <-left:
		if c != call.CauseAgentHangup {
			t.Errorf("left with %v", c)
		}
	case <-time.After(patience):
		t.Fatal("its leave was not noticed")
	}
	if len(commands) != 2 || (<-commands).Type != media.CommandAnswer || (<-commands).Type != media.CommandHangup {
		t.Error("want two commands, answer and hangup")
	}
	if got := f.agent.hear(t); got != `{"type":"ack","id":"1","ok":true}` {
		t.Errorf("got %s", got)
	}
}

func TestFastRTCThatIsFullIsBusy(t *testing.T) {
	t.Parallel()
	f := fakeFastRTC(t)
	joinFake(t, f, endpoint.DialectFastRTC, "/agent/webrtc/offer")
	other := request(f.transport(endpoint.DialectFastRTC, "/agent/webrtc/offer"))
	other.ID = 8
	if _, err := newHTTP(t, anyLoopback).Join(within(t, patience), other, ignore); !errors.Is(err, media.ErrAgentBusy) {
		t.Errorf("got %v, want %v", err, media.ErrAgentBusy)
	}
	again := request(f.transport(endpoint.DialectFastRTC, "/agent/webrtc/offer"))
	if _, err := newHTTP(t, anyLoopback).Join(within(t, patience), again, ignore); !errors.Is(err, media.ErrAgentRefused) ||
		!strings.Contains(err.Error(), "connection_already_exists") {
		t.Errorf("got %v, want %v", err, media.ErrAgentRefused)
	}
}

func TestAnswersThatADialectDoesNotHaveAreRefused(t *testing.T) {
	t.Parallel()
	const sdp = "v=0\r\n"
	for name, c := range map[string]struct {
		dialect, contentType, body string
		status                     int
		want                       error
	}{
		"openai without SDP":       {"openai", "application/sdp", `{"error":{}}`, 201, media.ErrAgentRefused},
		"openai out of rate":       {"openai", "application/json", `{"error":{}}`, 429, media.ErrAgentBusy},
		"openai too large":         {"openai", "application/sdp", sdp + strings.Repeat("x", 64<<10), 201, media.ErrAgentRefused},
		"whip with 200":            {"whip", "application/sdp", sdp, 200, media.ErrAgentRefused},
		"whip with a page":         {"whip", "text/html", "<html>", 201, media.ErrAgentRefused},
		"whip one way":             {"whip", "application/sdp", sdp + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=recvonly\r\n", 201, media.ErrAgentRefused},
		"whip redirect":            {"whip", "application/sdp", sdp, 307, media.ErrAgentRefused},
		"whip full":                {"whip", "application/sdp", "", 503, media.ErrAgentBusy},
		"pipecat single mode":      {"pipecat", "application/json", `{"detail":"..."}`, 400, media.ErrAgentRefused},
		"pipecat without answer":   {"pipecat", "application/json", `null`, 200, media.ErrAgentRefused},
		"fastrtc other failure":    {"fastrtc", "application/json", `{"status":"failed","meta":{"error":"boom"}}`, 200, media.ErrAgentRefused},
		"fastrtc failure, no meta": {"fastrtc", "application/json", `{"status":"failed"}`, 200, media.ErrAgentRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer srv.Close()
			_, err := newHTTP(t, anyLoopback).Join(within(t, patience), request(endpoint.AgentTransport{Dialect: c.dialect, URL: srv.URL, Attempts: 1}), ignore)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestAOneWayWHIPSessionIsEnded has the server that only takes audio, as they
// mostly do: it has made a session by the time we see its answer.
func TestAOneWayWHIPSessionIsEnded(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/whip/sessions/9")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, strings.ReplaceAll(f.agent.answer(string(body)), "a=sendrecv", "a=recvonly"))
		}
	})
	h := newHTTP(t, anyLoopback)
	if _, err := h.Join(within(t, patience), request(f.transport(endpoint.DialectWHIP, "/whip")), ignore); !errors.Is(err, media.ErrAgentRefused) {
		t.Errorf("got %v, want %v", err, media.ErrAgentRefused)
	}
	h.Close() // waits for what is sent at the end
	if got := string(f.shown()); !strings.Contains(got, "DELETE /whip/sessions/9") {
		t.Errorf("the server was asked\n%s", got)
	}
}

// A session's Location may lie: the key goes to no other host, and no path of
// the agent's making is asked for.
func TestASessionElsewhereIsNotEndedThere(t *testing.T) {
	t.Parallel()
	var elsewhere fake
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere.t = t; elsewhere.note(r, nil) }))
	defer other.Close()
	for name, location := range map[string]string{
		"whip": other.URL + "/session", "openai": "/v1/realtime/calls/a%20b", "whip ": "//user:pw@" + strings.TrimPrefix(other.URL, "http://"),
	} {
		t.Run(name, func(t *testing.T) {
			agent := newStock(t)
			asked := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("Content-Type", "application/sdp")
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusCreated)
				if sdp, _ := openAIForm(r.Header.Get("Content-Type"), body); sdp != "" {
					body = []byte(sdp)
				}
				_, _ = io.WriteString(w, agent.answer(string(body)))
			}))
			defer srv.Close()
			h := newHTTP(t, anyLoopback)
			leg, err := h.Join(within(t, patience), request(endpoint.AgentTransport{Dialect: strings.TrimSpace(name), URL: srv.URL, Session: openAISession}), ignore)
			if err != nil {
				t.Fatal(err)
			}
			leg.Close(call.CauseNormal)
			h.Close() // waits for what is sent at the end
			if asked != 1 || elsewhere.seen() != 0 {
				t.Errorf("asked %d times here and %d elsewhere, want 1 and 0", asked, elsewhere.seen())
			}
		})
	}
}

func TestEachConnectionToFastRTCHasItsOwnName(t *testing.T) {
	t.Parallel()
	var names []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			ID string `json:"webrtc_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		names = append(names, q.ID)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer srv.Close()
	h := newHTTP(t, anyLoopback)
	for epoch := range 3 {
		req := request(endpoint.AgentTransport{Dialect: endpoint.DialectFastRTC, URL: srv.URL})
		req.Epoch = uint64(epoch)
		if _, err := h.Join(within(t, patience), req, ignore); !errors.Is(err, media.ErrAgentRefused) {
			t.Error(err)
		}
	}
	id := call.ID(7).String()
	want := id + " " + id + "-2 " + id + " " + id + "-2 " + id + "-r1 " + id + "-r1-2"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
