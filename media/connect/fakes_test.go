package connect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"patchbay/actors/endpoint"
	"patchbay/media/connect"
)

// The fakes here are written from what each stack documents, or from the code
// of its server, and take nothing that those would not. None of those servers
// can be had from Debian, npm or the Go proxy, but for WHIP: a server of the
// stock library's takes a call in e2e, though it sends nothing back. What
// answers the SDP is the stock library.

// A fake is a strict HTTP server with a stock agent behind it.
type fake struct {
	t     testing.TB
	agent *stock
	url   string

	mu       sync.Mutex
	requests []string // as golden files show them
}

func newFake(t testing.TB, serve func(f *fake, w http.ResponseWriter, r *http.Request, body []byte)) *fake {
	f := &fake{t: t, agent: newStock(t)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		f.note(r, body)
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		serve(f, w, r, body)
	}))
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

// note keeps a request with its SDP and its boundary replaced.
func (f *fake) note(r *http.Request, body []byte) {
	text := fmt.Sprintf("%s %s\n", r.Method, r.URL)
	for _, name := range []string{"Accept", "Authorization", "Content-Type"} {
		if v := r.Header.Get(name); v != "" {
			text += name + ": " + v + "\n"
		}
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		text += "\n" + string(readable(f.t, body))
	case "application/sdp":
		text += "\n(our offer)\n"
	case "multipart/form-data":
		b := string(body)
		from := strings.Index(b, "v=0")
		b = b[:from] + "(our offer)\n" + strings.TrimPrefix(b[from+strings.Index(b[from:], "\r\n--"):], "\r\n")
		text += "\n" + b
		text = strings.ReplaceAll(strings.ReplaceAll(text, params["boundary"], "boundary"), "\r\n", "\n")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, text)
}

func (f *fake) shown() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []byte(strings.Join(f.requests, "\n"))
}

func (f *fake) seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

// fakeOpenAI is POST /v1/realtime/calls and .../hangup as OpenAI's reference
// has them: exactly the parts sdp and session, 201, Location.
func fakeOpenAI(t testing.TB) *fake {
	return newFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.URL.Path == "/v1/realtime/calls/rtc_7f/hangup" && len(body) == 0:
		case r.URL.Path == "/v1/realtime/calls" && r.Header.Get("Accept") == "application/sdp":
			sdp, problem := openAIForm(r.Header.Get("Content-Type"), body)
			if problem != "" {
				http.Error(w, problem, http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", "/v1/realtime/calls/rtc_7f")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, f.agent.answer(sdp))
		default:
			t.Errorf("no such operation: %s %s", r.Method, r.URL)
			http.NotFound(w, r)
		}
	})
}

func openAIForm(contentType string, body []byte) (sdp, problem string) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		return "", "no form"
	}
	form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(1 << 20)
	if err != nil || len(form.Value) != 2 || len(form.File) != 0 || len(form.Value["sdp"]) != 1 || len(form.Value["session"]) != 1 {
		return "", "want sdp and session, once each"
	}
	var session struct{ Type, Model string }
	if json.Unmarshal([]byte(form.Value["session"][0]), &session) != nil || session.Type != "realtime" || session.Model == "" {
		return "", "want a session of type realtime with a model"
	}
	return form.Value["sdp"][0], ""
}

// fakePipecat is POST /api/offer of SmallWebRTCRequestHandler.
func fakePipecat(t testing.TB) *fake {
	return newFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		var q struct {
			SDP       string         `json:"sdp"`
			Type      string         `json:"type"`
			PCID      *string        `json:"pc_id"`
			RestartPC *bool          `json:"restart_pc"`
			Data      map[string]any `json:"request_data"`
		}
		if !strict(w, r, "/api/offer", body, &q) {
			return
		}
		if q.Type != "offer" || q.PCID != nil || q.RestartPC != nil || q.Data["call_id"] == "" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		_, _ = w.Write(encode(f.t, map[string]string{"sdp": f.agent.answer(q.SDP), "type": "answer", "pc_id": "SmallWebRTCConnection#0"}))
	})
}

// fakeFastRTC is POST {mount}/webrtc/offer of WebRTCConnectionMixin, with room
// for one connection: a refusal has status 200, and so has a name that is taken.
func fakeFastRTC(t testing.TB) *fake {
	taken := ""
	return newFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		var q struct {
			SDP  string `json:"sdp"`
			Type string `json:"type"`
			ID   string `json:"webrtc_id"`
		}
		if !strict(w, r, "/agent/webrtc/offer", body, &q) {
			return
		}
		failed := ""
		switch {
		case q.ID == "" || q.Type != "offer":
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		case q.ID == taken:
			failed = "connection_already_exists"
		case taken != "":
			failed = "concurrency_limit_reached"
		}
		if failed != "" {
			_, _ = w.Write(encode(f.t, map[string]any{"status": "failed", "meta": map[string]any{"error": failed, "limit": 1}}))
			return
		}
		taken = q.ID
		_, _ = w.Write(encode(f.t, map[string]string{"sdp": f.agent.answer(q.SDP), "type": "answer"}))
	})
}

// fakeWHIP is a session of RFC 9725, and takes audio both ways.
func fakeWHIP(t testing.TB) *fake {
	return newFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		switch {
		case r.Method == http.MethodDelete && r.URL.Path == "/whip/sessions/9" && len(body) == 0:
		case r.Method == http.MethodPost && r.URL.Path == "/whip" && r.Header.Get("Content-Type") == "application/sdp":
			offer := string(body)
			if !strings.Contains(offer, "a=sendrecv") || strings.Contains(offer, "m=application") || !strings.Contains(offer, "a=group:BUNDLE") ||
				!strings.Contains(offer, "a=rtcp-mux") {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", "/whip/sessions/9")
			w.Header().Set("ETag", `"xyz"`)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, f.agent.answer(offer))
		default:
			t.Errorf("no such operation: %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
}

// fakeJSON takes our own dialect as docs/agents.md has it.
func fakeJSON(t testing.TB) *fake {
	return newFake(t, func(f *fake, w http.ResponseWriter, r *http.Request, body []byte) {
		var q connect.Question
		if strict(w, r, "/offer", body, &q) {
			_, _ = w.Write(encode(f.t, connect.Answer{SDP: f.agent.answer(q.SDP), Type: "answer", WorkerID: "w1"}))
		}
	})
}

// strict reads a JSON body that holds nothing but the fields of q.
func strict(w http.ResponseWriter, r *http.Request, path string, body []byte, q any) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	switch {
	case r.Method != http.MethodPost || r.URL.Path != path:
		http.NotFound(w, r)
	case r.Header.Get("Content-Type") != "application/json" || d.Decode(q) != nil:
		w.WriteHeader(http.StatusUnprocessableEntity)
	default:
		return true
	}
	return false
}

// transport is that of an agent at a fake.
func (f *fake) transport(dialect, path string) endpoint.AgentTransport {
	return endpoint.AgentTransport{Connector: endpoint.ConnectHTTP, Dialect: dialect, URL: f.url + path,
		AuthType: "bearer", AuthSecret: "sealed-s3cret"}
}
