package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/config"
	"patchbay/control"
	"patchbay/control/gateway"
)

const (
	goodKey   = "pbk_good"
	requestID = "0123456789abcdef01234567"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// A desk stands for control's operations: it notes what it is asked and answers
// what it is told to.
type desk struct {
	asked []control.Request
	reply any
	err   error
	rate  control.Rate
	count error
	told  []error
	panic bool
}

func (d *desk) kit() control.Kit {
	return control.Kit{
		Do: func(_ context.Context, _ control.Credential, r control.Request) (any, error) {
			if d.panic {
				panic("sip:secret-slug@example.com")
			}
			d.asked = append(d.asked, r)
			return d.reply, d.err
		},
		Count: func(context.Context, control.Credential) (control.Rate, error) { return d.rate, d.count },
		Rate:  func(context.Context, control.Credential) (control.Rate, bool) { return d.rate, d.rate.Limit > 0 },
		Verify: func(_ context.Context, key string) (control.Credential, error) {
			if key != goodKey {
				return control.Credential{}, &control.Error{Code: control.CodeDenied, Message: "the key is not valid"}
			}
			return control.Credential{Tenant: "acme", KeyID: "k", Kind: endpoint.KindOfNative, Scopes: []string{"*"}}, nil
		},
		Told: func(_ context.Context, err error) *control.Error {
			d.told = append(d.told, err)
			return (&control.Operations{}).Told(err, slog.New(slog.DiscardHandler))
		},
		Host: "sip.example.com", Domain: "sip.example.com", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
	}
}

// described are all operations.
func described() []control.Description { return (&control.Operations{}).Described() }

// native returns the native face before a desk.
func native(t testing.TB, d *desk) gateway.Face {
	t.Helper()
	face, err := gateway.NewNative(d.kit(), described())
	if err != nil {
		t.Fatal(err)
	}
	return face
}

// A call is one request of a client that has a good key, unless head says
// otherwise.
type call struct {
	method, path, body string
	head               map[string]string // "": without it
}

func (c call) request() *http.Request {
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequest(c.method, c.path, body)
	r.Header.Set("Authorization", "Bearer "+goodKey)
	r.Header.Set("X-Request-Id", requestID)
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.head {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}))
}

// front returns the native face and the documents behind what all faces share.
func front(t testing.TB, d *desk, cfg config.HTTP, saw gateway.Observer, more ...gateway.Face) *gateway.Front {
	t.Helper()
	f := gateway.NewFront(cfg, slog.New(slog.DiscardHandler), saw, nil)
	for _, face := range append([]gateway.Face{native(t, d), gateway.Documents()}, more...) {
		if err := f.Mount(face); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// do serves one request.
func do(t testing.TB, d *desk, c call) *http.Response {
	t.Helper()
	return serve(t, d, c.request())
}

func serve(t testing.TB, d *desk, r *http.Request) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	front(t, d, config.HTTP{}, gateway.Observer{}).ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t testing.TB, r *http.Response) []byte {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A problem is what a client reads of an error.
type problem struct {
	Type, Title, Detail string
	Status              int
	Code                control.Code
	Problems            []endpoint.Problem
	RequestID           string `json:"request_id"`
}

// refused reads a problem, and fails the test where the reply is none.
func refused(t testing.TB, r *http.Response, status int, code control.Code) (p problem) {
	t.Helper()
	raw := bodyOf(t, r)
	if err := json.Unmarshal(raw, &p); err != nil || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("no problem+json: %s %s: %v", r.Status, raw, err)
	}
	if r.StatusCode != status || p.Status != status || p.Code != code || p.RequestID != r.Header.Get("X-Request-Id") || p.RequestID == "" {
		t.Errorf("got %s %s, want %d %s", r.Status, raw, status, code)
	}
	return p
}

// fields are the fields and codes of a problem.
func (p problem) fields() (all []string) {
	for _, one := range p.Problems {
		all = append(all, one.Field+" "+one.Code)
	}
	return all
}

// example reads an example of control's own tests.
func example(t testing.TB, name string) json.RawMessage {
	t.Helper()
	raw, err := os.ReadFile("../testdata/api/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decoded[T any](t testing.TB, raw []byte) (v T) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
