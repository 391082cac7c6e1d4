package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchbay/control"
)

// Limits of requests.
const (
	bodyTime     = 10 * time.Second // longest time for a body to come
	maxRequestID = 64               // bytes of a request id that a client chose
)

// requestID is the client's id of the request if it is a sane one, else a new
// one.
func requestID(given string) string {
	sane := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-_.:", r)
	}
	if given != "" && len(given) <= maxRequestID && strings.IndexFunc(given, func(r rune) bool { return !sane(r) }) < 0 {
		return given
	}
	var b [12]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// A note is what a face tells the access log.
type note struct{ tenant string }

type noteKey struct{}

// noted is the note of a request; a face that stands alone has none that is
// read.
func noted(r *http.Request) *note {
	if n, ok := r.Context().Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// Noting returns the kit for a face of a vendor: whose key it verifies is whose
// request it is in the access log.
func Noting(kit control.Kit) control.Kit {
	verify := kit.Verify
	kit.Verify = func(ctx context.Context, key string) (control.Credential, error) {
		cred, err := verify(ctx, key)
		if n, ok := ctx.Value(noteKey{}).(*note); ok && err == nil {
			n.tenant = cred.Tenant
		}
		return cred, err
	}
	return kit
}

// A recorder sees the status of a reply.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// A body is one that must come within a time, which begins when somebody reads
// it: who waits for a call may wait longer.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	begun   bool
}

func newBody(w http.ResponseWriter, b io.ReadCloser) *body {
	return &body{ReadCloser: http.MaxBytesReader(w, b, MaxBody), control: http.NewResponseController(w)}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		_ = b.control.SetReadDeadline(time.Now().Add(bodyTime)) // a test's recorder has none
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// allowOrigin lets pages of the origins that http.cors_origins names use the
// API, and reports whether the request only asks whether they may. By default
// there are none.
func (f *Front) allowOrigin(w http.ResponseWriter, r *http.Request) (preflight bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(f.cfg.CORSOrigins, origin) {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "ETag, Link, Location, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-API-Key, X-Request-Id")
	h.Set("Access-Control-Max-Age", "600")
	return true
}
