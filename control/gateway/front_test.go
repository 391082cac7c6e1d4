package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay/config"
	"patchbay/control"
	"patchbay/control/gateway"
	"patchbay/internal/testkit/pipe"
)

// vendor is a face that answers with its name and what it was given.
func vendor(name string, patterns ...string) gateway.Face {
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.HandleFunc(p, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Panic") != "" {
				panic("sip:secret-slug@example.com")
			}
			_, err := io.ReadAll(r.Body)
			var long *http.MaxBytesError
			fmt.Fprintf(w, "%s %s %v %s", name, control.AskedOf(r.Context()).BaseURL, errors.As(err, &long), r.PathValue("id"))
		})
	}
	return gateway.Face{Name: name, Patterns: patterns, Handler: mux}
}

func TestARequestHasAnIDEverywhere(t *testing.T) {
	t.Parallel()
	for given, kept := range map[string]bool{"order-7.a_b:c": true, "": false, "with space": false, "ünï": false, strings.Repeat("x", 65): false, "a\"b": false} {
		resp := do(t, &desk{}, call{"GET", "/v1/nothing", "", map[string]string{"X-Request-Id": given}})
		id := resp.Header.Get("X-Request-Id")
		if (id == given) != kept || id == "" {
			t.Errorf("%q became %q", given, id)
		}
		refused(t, resp, 404, control.CodeNotFound) // compares it with the body's
	}
}

func TestAPanicCostsOneRequestAndTellsNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	panics := ""
	d := &desk{panic: true}
	f := gateway.NewFront(config.HTTP{}, slog.New(slog.NewJSONHandler(&log, nil)), gateway.Observer{Panicked: func(face string) { panics += face }}, nil)
	own := vendor("yappr", "/sip-endpoints")
	own.Refuse = func(w http.ResponseWriter, _ *http.Request, told *control.Error) {
		w.WriteHeader(500)
		fmt.Fprintf(w, `{"error":%q}`, told.Code)
	}
	for _, face := range []gateway.Face{native(t, d), own} {
		if err := f.Mount(face); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, call{method: "GET", path: "/v1/account"}.request())
	refused(t, w.Result(), 500, control.CodeInternal)
	w = httptest.NewRecorder()
	f.ServeHTTP(w, call{"GET", "/sip-endpoints", "", map[string]string{"Panic": "yes"}}.request())
	if got := w.Body.String(); w.Code != 500 || got != `{"error":"internal"}` {
		t.Errorf("a vendor's face: %d %s", w.Code, got)
	}
	if panics != "nativeyappr" || strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), requestID) {
		t.Errorf("%q panicked, log %s", panics, log.String())
	}
}

func TestTheAccessLogAndMetricsKnowTheRouteAndNeverThePath(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var served []string
	d := &desk{reply: json.RawMessage(`{}`)}
	saw := gateway.Observer{Served: func(face, route, method string, status int, _ time.Duration) {
		served = append(served, fmt.Sprintf("%s %s %s %d", face, method, route, status))
	}}
	f := gateway.NewFront(config.HTTP{}, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), saw, nil)
	for _, face := range []gateway.Face{native(t, d), vendor("yappr", "/sip-endpoints", "GET /sip-endpoints/{id}", "GET /{$}")} {
		if err := f.Mount(face); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []call{
		{method: "GET", path: "/v1/calls/secret-id"}, {method: "GET", path: "/v1/calls/find?query=secret-number"},
		{"POST", "/v1/agents", `{"webrtc":{"auth_secret":"secret-word"}}`, nil}, {method: "GET", path: "/v1/nothing/secret-path"},
		{method: "GET", path: "/sip-endpoints/secret-slug"}, {method: "GET", path: "/"}, {method: "GET", path: "/secret-nowhere"}, {method: "BREW", path: "/v1/agents"},
		{"GET", "/v1/account", "", map[string]string{"Authorization": "Bearer secret-key"}},
	} {
		f.ServeHTTP(httptest.NewRecorder(), c.request())
	}
	want := []string{"native GET /v1/calls/{id} 200", "native GET /v1/calls/find 200", "native POST /v1/agents 201", "native GET /v1/ 404",
		"yappr GET /sip-endpoints/{id} 200", "yappr GET /{$} 200", "none GET / 404", "native other /v1/ 405", "native GET /v1/account 401"}
	if got, want := strings.Join(served, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log tells: %s", log.String())
	}
	if !strings.Contains(log.String(), `"tenant":"acme"`) || strings.Count(log.String(), `"request_id"`) != len(want) {
		t.Errorf("the log lacks something: %s", log.String())
	}
}

func TestABodyEndsWhereItIsTooLong(t *testing.T) {
	t.Parallel()
	f := front(t, &desk{}, config.HTTP{}, gateway.Observer{}, vendor("yappr", "/sip-endpoints"))
	for body, long := range map[string]bool{strings.Repeat("x", gateway.MaxBody): false, strings.Repeat("x", gateway.MaxBody+1): true} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, call{method: "POST", path: "/sip-endpoints", body: body}.request())
		if want := fmt.Sprintf("yappr http://example.com %v ", long); w.Body.String() != want {
			t.Errorf("%d bytes: %s", len(body), w.Body)
		}
	}
}

func TestAKeyDoesNotTravelInClear(t *testing.T) {
	t.Parallel()
	at := func(ip string, plain bool, secure *tls.ConnectionState, path string) *http.Response {
		f := front(t, &desk{reply: json.RawMessage(`{}`)}, config.HTTP{PlainKeys: plain}, gateway.Observer{})
		r := call{method: "GET", path: path}.request()
		r.TLS = secure
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(ip), Port: 80}))
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Result()
	}
	for name, c := range map[string]struct {
		resp *http.Response
		good bool
	}{
		"loopback":                   {at("127.0.0.1", false, nil, "/v1/account"), true},
		"loopback, IPv6":             {at("::1", false, nil, "/v1/account"), true},
		"a network":                  {at("192.0.2.1", false, nil, "/v1/account"), false},
		"a network that encrypts":    {at("192.0.2.1", true, nil, "/v1/account"), true},
		"a network, TLS":             {at("192.0.2.1", false, &tls.ConnectionState{}, "/v1/account"), true},
		"a network, without a key":   {at("192.0.2.1", false, nil, "/openapi.json"), true},
		"a network, nothing of ours": {at("192.0.2.1", false, nil, "/nothing"), false},
	} {
		if (c.resp.StatusCode == 200) != c.good {
			t.Errorf("%s: %s", name, c.resp.Status)
		}
	}
	refused(t, at("192.0.2.1", false, nil, "/v1/account"), 403, control.CodeForbidden)
}

func TestAFaceHasAHostOfItsOwn(t *testing.T) {
	t.Parallel()
	cfg := config.HTTP{Hosts: []string{"yappr=API.yappr.test", "ultravox=uv.test"}}
	f := front(t, &desk{reply: json.RawMessage(`{}`)}, cfg, gateway.Observer{}, vendor("yappr", "/sip-endpoints", "GET /{$}"), vendor("ultravox", "/api/"))
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{"api.yappr.test:8443", "/sip-endpoints", 200}, {"API.YAPPR.TEST", "/", 200}, {"api.yappr.test", "/v1/account", 404}, {"api.yappr.test", "/api/sip", 404},
		{"uv.test", "/api/sip", 200}, {"uv.test", "/sip-endpoints", 404}, {"other.test", "/sip-endpoints", 200}, {"other.test", "/api/sip", 200}, {"other.test", "/v1/account", 200},
	} {
		r := call{method: "GET", path: c.path}.request()
		r.Host = c.host
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s%s: %d, want %d", c.host, c.path, w.Code, c.status)
		}
		if want := "http://" + c.host; c.path == "/" && !strings.Contains(w.Body.String(), want) {
			t.Errorf("base URL: %s, want %s", w.Body, want)
		}
	}
}

func TestFacesThatAreNotWantedAreNotServed(t *testing.T) {
	t.Parallel()
	f := front(t, &desk{}, config.HTTP{Faces: []string{"yappr"}}, gateway.Observer{}, vendor("yappr", "/sip-endpoints"))
	for path, status := range map[string]int{"/sip-endpoints": 200, "/v1/account": 404, "/openapi.json": 200} {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, call{method: "GET", path: path}.request())
		if w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
	if err := f.Mount(gateway.Face{Name: "yappr", Patterns: []string{"/sip-endpoints"}, Handler: http.NotFoundHandler()}); !errors.Is(err, gateway.ErrRoute) {
		t.Errorf("two faces at one path: %v", err)
	}
}

func TestANodeThatStartsAsksForPatience(t *testing.T) {
	t.Parallel()
	up := false
	f := gateway.NewFront(config.HTTP{}, slog.New(slog.DiscardHandler), gateway.Observer{}, func() bool { return up })
	if err := f.Mount(native(t, &desk{reply: json.RawMessage(`{}`)})); err != nil {
		t.Fatal(err)
	}
	ask := func() *http.Response {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, call{method: "GET", path: "/v1/account"}.request())
		return w.Result()
	}
	resp := ask()
	refused(t, resp, 503, control.CodeUnavailable)
	if resp.Header.Get("Retry-After") == "" {
		t.Error("it does not say for how long")
	}
	if up = true; ask().StatusCode != 200 {
		t.Error("it is up, and does not serve")
	}
}

func TestPagesOfOtherHostsMayAskWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	f := front(t, &desk{reply: json.RawMessage(`{}`)}, config.HTTP{CORSOrigins: []string{"https://app.test"}}, gateway.Observer{})
	ask := func(method, origin string) *http.Response {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, call{method, "/v1/account", "", map[string]string{"Origin": origin, "Access-Control-Request-Method": "PATCH"}}.request())
		return w.Result()
	}
	pre := ask("OPTIONS", "https://app.test")
	if pre.StatusCode != 204 || pre.Header.Get("Access-Control-Allow-Origin") != "https://app.test" || !strings.Contains(pre.Header.Get("Access-Control-Allow-Headers"), "X-API-Key") {
		t.Errorf("preflight: %s %v", pre.Status, pre.Header)
	}
	if got := ask("GET", "https://app.test"); got.Header.Get("Access-Control-Allow-Origin") != "https://app.test" || got.Header.Get("Vary") != "Origin" {
		t.Errorf("request: %v", got.Header)
	}
	if got := ask("GET", "https://evil.test"); got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a stranger: %v", got.Header)
	}
}

func TestABodyThatDoesNotComeEndsTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		listener := make(pipe.Listener, 1)
		listener <- server
		srv := &http.Server{Handler: front(t, &desk{}, config.HTTP{PlainKeys: true}, gateway.Observer{})}
		go func() { _ = srv.Serve(listener) }()
		began := time.Now()
		fmt.Fprintf(client, "POST /v1/agents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", goodKey)
		reply, err := io.ReadAll(client)
		if took := time.Since(began); err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 408") || took < 5*time.Second || took > 20*time.Second {
			t.Errorf("after %v: %v: %.200s", took, err, reply)
		}
		close(listener)
		_ = srv.Close()
	})
}
