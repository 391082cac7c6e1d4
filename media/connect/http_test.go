package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
	"patchbay/internal/golden"
	"patchbay/media"
	"patchbay/media/connect"
)

func newHTTP(t testing.TB, guard dialguard.Guard) *connect.HTTP {
	h := connect.NewHTTP(newStack(t), guard, func(s endpoint.SecretRef) (string, error) {
		if s == "broken" {
			return "", errors.New("key 9 is gone")
		}
		return strings.TrimPrefix(string(s), "sealed-"), nil
	})
	t.Cleanup(h.Close)
	return h
}

var anyLoopback = dialguard.Guard{AllowLoopback: true}

func TestAnHTTPAgentTakesTheCall(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	var got []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var q connect.Question
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		head := fmt.Sprintf("%s %s\n", r.Method, r.URL)
		for _, name := range []string{"Accept", "Authorization", "Content-Type", "X-Tenant"} {
			head += name + ": " + r.Header.Get(name) + "\n"
		}
		got = append([]byte(head+"\n"), readable(t, body)...)
		_, _ = w.Write(encode(t, a.answer(q.SDP)))
	}))
	defer srv.Close()
	leg, err := newHTTP(t, anyLoopback).Join(within(t, patience), request(endpoint.AgentTransport{
		URL: srv.URL + "/offer?room=1", AuthType: "bearer", AuthSecret: "sealed-s3cret", Headers: map[string]string{"X-Tenant": "acme"},
	}), ignore)
	if err != nil {
		t.Fatal(err)
	}
	a.heard(t, leg)
	leg.Close(call.CauseNormal)
	golden.Compare(t, "testdata/http_json.txt", got)
}

func TestHTTPAgentsThatDoNotTakeTheCall(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		tr    endpoint.AgentTransport
		want  error
		asked int64
	}{
		"busy":              {status(503, ""), endpoint.AgentTransport{Attempts: 3}, media.ErrAgentBusy, 3},
		"too many requests": {status(429, ""), endpoint.AgentTransport{}, media.ErrAgentBusy, 2},
		"busy in JSON":      {status(200, `{"error":{"code":503}}`), endpoint.AgentTransport{}, media.ErrAgentBusy, 2},
		"server error":      {status(500, ""), endpoint.AgentTransport{}, media.ErrAgentRefused, 2},
		"refused":           {status(403, ""), endpoint.AgentTransport{}, media.ErrAgentRefused, 1},
		"redirect":          {status(302, ""), endpoint.AgentTransport{}, media.ErrAgentRefused, 1},
		"see other":         {status(307, ""), endpoint.AgentTransport{}, media.ErrAgentRefused, 1},
		"no content":        {status(204, ""), endpoint.AgentTransport{}, media.ErrAgentRefused, 1},
		"a page":            {status(200, "<html>"), endpoint.AgentTransport{}, media.ErrAgentRefused, 1},
		"too large":         {status(200, `{"sdp":"`+strings.Repeat("x", connect.MaxAnswer)+`"}`), endpoint.AgentTransport{}, media.ErrAgentRefused, 1},
		"slow":              {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() }, endpoint.AgentTransport{TimeoutMs: 3000}, media.ErrAgentUnreachable, 2},
		"other dialect":     {status(200, ""), endpoint.AgentTransport{Dialect: "livekit"}, media.ErrAgentUnreachable, 0},
		"other auth":        {status(200, ""), endpoint.AgentTransport{AuthType: "hmac"}, media.ErrAgentUnreachable, 0},
		"broken secret":     {status(200, ""), endpoint.AgentTransport{AuthType: "bearer", AuthSecret: "broken"}, media.ErrAgentUnreachable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				c.serve(w, r)
			}))
			defer srv.Close()
			c.tr.URL = srv.URL + "/offer?key=canary"
			c.tr.Headers = map[string]string{"X-Key": "canary"}
			if c.tr.AuthType == "" {
				c.tr.AuthType, c.tr.AuthSecret = "bearer", "canary"
			}
			_, err := newHTTP(t, anyLoopback).Join(within(t, patience), request(c.tr), ignore)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if asked.Load() != c.asked {
				t.Errorf("asked %d times, want %d", asked.Load(), c.asked)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestACallThatIsOverStopsAsking(t *testing.T) {
	t.Parallel()
	ctx, over := context.WithCancel(within(t, patience))
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		over()
		<-r.Context().Done()
	}))
	defer srv.Close()
	_, err := newHTTP(t, anyLoopback).Join(ctx, request(endpoint.AgentTransport{URL: srv.URL}), ignore)
	if !errors.Is(err, media.ErrNoAgent) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, media.ErrNoAgent)
	}
}

func TestACallThatIsOverBeforeItsOfferIsMadeAsksNobody(t *testing.T) {
	t.Parallel()
	ctx, over := context.WithCancel(t.Context())
	over()
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer srv.Close()
	w := &workers{offer: func(context.Context, int, []byte) ([]byte, error) { return nil, context.Canceled }}
	for range 20 { // our offer may be made all the same
		_, err1 := newHTTP(t, anyLoopback).Join(ctx, request(endpoint.AgentTransport{URL: srv.URL}), ignore)
		_, err2 := connect.NewNATS(newStack(t), w, nil, errNoWorker).Join(ctx, request(endpoint.AgentTransport{}), ignore)
		if !errors.Is(err1, media.ErrNoAgent) || !errors.Is(err2, media.ErrNoAgent) {
			t.Fatalf("got %v and %v, want %v", err1, err2, media.ErrNoAgent)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// spellings are ways to write a host that must not be dialled.
var spellings = []string{
	"127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "0x7f.0.0.1", "0x7f000001", "0x7F.1", "2130706433", "017700000001",
	"0177.0.0.1", "localhost", "localhost.", "LOCALHOST", "0", "0.0.0.0", "[::1]", "[0:0:0:0:0:0:0:1]",
	"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
	"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "[::ffff:169.254.169.254]",
	"[::ffff:a9fe:a9fe]", "2852039166", "0xa9fea9fe", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25lo]", "[fc00::1]", "100.100.100.200",
	"198.18.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "[ff02::1]", "[2001:db8::1]", "①②⑦.⓪.⓪.①", "127。0。0。1",
}

func TestNoSpellingOfAForbiddenHostIsDialled(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if len(spellings) < 40 {
		t.Fatalf("%d spellings, want at least 40", len(spellings))
	}
	h := newHTTP(t, dialguard.Guard{})
	for _, host := range spellings {
		isIP, limit := net.ParseIP(strings.Trim(host, "[]")) != nil, 0
		if !isIP {
			limit = 500 // a resolver may take its time
		}
		_, err := h.Join(within(t, patience), request(endpoint.AgentTransport{URL: "http://" + host + ":" + port + "/", TimeoutMs: limit, Attempts: 1}), ignore)
		if !errors.Is(err, media.ErrAgentUnreachable) {
			t.Errorf("%s: got %v, want %v", host, err, media.ErrAgentUnreachable)
		}
		if isIP && !errors.Is(err, dialguard.ErrForbidden) {
			t.Errorf("%s: got %v, want %v", host, err, dialguard.ErrForbidden)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the server was reached %d times", n)
	}
}

func TestBadURLsAreRefusedBeforeDialling(t *testing.T) {
	t.Parallel()
	h := newHTTP(t, dialguard.Guard{AllowPrivate: true})
	for _, u := range []string{"", "ftp://host/", "http://", "http://user:pw@127.0.0.1/", "file:///etc/passwd", "http://a b/", "//host/"} {
		_, err := h.Join(within(t, patience), request(endpoint.AgentTransport{URL: u}), ignore)
		if !errors.Is(err, media.ErrAgentUnreachable) || slices.Contains([]string{"pw"}, err.Error()) {
			t.Errorf("%q: got %v, want %v", u, err, media.ErrAgentUnreachable)
		}
	}
}

// A severed link passes bytes on to a server, until it is cut: what came before
// stays open and silent, as where a host has gone without a word.
type severed struct {
	net.Listener
	to    string
	links atomic.Int32
	cut   atomic.Int32 // links up to this one are silent
}

func (s *severed) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		d, err := net.Dial("tcp", s.to)
		if err != nil {
			_ = c.Close()
			continue
		}
		n := s.links.Add(1)
		pass := func(from, to net.Conn) {
			defer to.Close()
			b := make([]byte, 16<<10)
			for {
				k, err := from.Read(b)
				if err != nil {
					return
				}
				if n > s.cut.Load() {
					_, _ = to.Write(b[:k])
				}
			}
		}
		go pass(c, d)
		go pass(d, c)
	}
}

func TestAConnectionThatHasDiedCostsFewCalls(t *testing.T) {
	t.Parallel()
	a := newAgent(t)
	var proto atomic.Value
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q connect.Question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		proto.Store(r.Proto)
		_, _ = w.Write(encode(t, a.answer(q.SDP)))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	link := &severed{Listener: ln, to: srv.Listener.Addr().String()}
	defer link.Close()
	go link.serve()
	h := newHTTP(t, anyLoopback)
	h.Trust(srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	join := func(limit time.Duration) error {
		leg, err := h.Join(within(t, patience), request(endpoint.AgentTransport{
			URL: "https://" + ln.Addr().String(), Attempts: 1, TimeoutMs: int(limit.Milliseconds())}), ignore)
		if err == nil {
			leg.Close(call.CauseNormal)
		}
		return err
	}
	if err := join(patience); err != nil || proto.Load() != "HTTP/2.0" {
		t.Fatalf("%v over %v", err, proto.Load())
	}
	link.cut.Store(link.links.Load())
	for n := range 20 {
		if err = join(time.Second + time.Duration(n)*time.Second/2); err == nil { // longer each time: the machine may be busy
			return
		}
	}
	t.Fatalf("calls still go to a connection that has died: %v", err)
}
