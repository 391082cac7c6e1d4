package control

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/config"
)

// Limits of dial-in.
const (
	maxOffer    = 64 << 10         // bytes of an agent's SDP
	maxPoll     = 25 * time.Second // longest wait for a call to come
	pollEvery   = 100 * time.Millisecond
	answerLimit = 10 * time.Second // longest wait for the media node's answer
)

// A WaitingCall is a call that an agent may dial in to. Token is a credential
// for this call and one use.
type WaitingCall struct {
	CallID call.ID    `json:"call_id"`
	Token  string     `json:"token"`
	From   call.Party `json:"from"`
	To     call.Party `json:"to"`
	Since  time.Time  `json:"since"`
}

// DialIn reaches the calls that wait for an agent to dial in.
type DialIn interface {
	// Waiting lists the calls that wait for an agent of the tenant.
	Waiting(ctx context.Context, tenant, agent string) ([]WaitingCall, error)
	// Answer gives an agent's SDP offer to a call and returns the SDP answer.
	// A wrong token is endpoint.ErrNotFound: a stranger learns nothing.
	Answer(ctx context.Context, id call.ID, token, offer string) (string, error)
	// Park lets an agent that has sent an SDP offer stand by for its next call.
	Park(ctx context.Context, agent endpoint.Agent, offer string) (id, answer string, err error)
	// Leave ends a session that stands by; endpoint.ErrNotFound when none does
	// under this id.
	Leave(ctx context.Context, tenant, agent, id string) error
}

// A Gateway is the HTTP side of dial-in agents.
type Gateway struct {
	DialIn DialIn
	// Verify returns what a key may do, as [Verify] does.
	Verify func(ctx context.Context, key string) (Credential, error)
	// Agent returns an agent of a tenant.
	Agent func(ctx context.Context, tenant, id string) (endpoint.Agent, error)
	// Translate is that of [Operations].
	Translate func(error) error
	HTTP      config.HTTP
	Log       *slog.Logger

	polls polls
}

// Routes mounts the gateway's paths.
func (g *Gateway) Routes(mount func(pattern string, h http.Handler)) {
	mount("POST /v1/calls/{call}/webrtc", g.face(g.answer))
	mount("GET /v1/agents/{agent}/waiting", g.face(g.waiting))
	mount("POST /v1/agents/{agent}/webrtc", g.face(g.park))
	mount("DELETE /v1/agents/{agent}/webrtc/{session}", g.face(g.leave))
	preflight := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.allowOrigin(w, r)
		w.WriteHeader(http.StatusNoContent)
	})
	for _, path := range []string{"/v1/calls/{call}/webrtc", "/v1/agents/{agent}/waiting", "/v1/agents/{agent}/webrtc", "/v1/agents/{agent}/webrtc/{session}"} {
		mount("OPTIONS "+path, preflight)
	}
}

// face contains panics and turns errors into problem+json (RFC 9457).
func (g *Gateway) face(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				g.Log.Error("http request panicked", "path", r.Pattern, "err", fmt.Sprintf("%T", p)) // what it says may hold a secret
				writeProblem(w, r, &Error{Code: CodeInternal, Message: "internal error"})
			}
		}()
		g.allowOrigin(w, r)
		err := do(w, r)
		if err == nil {
			return
		}
		if g.Translate != nil {
			err = g.Translate(err)
		}
		told := errorOf(err)
		if told.Code == CodeInternal {
			g.Log.Error("http request failed", "path", r.Pattern, "err", err)
		}
		writeProblem(w, r, told)
	})
}

func (g *Gateway) allowOrigin(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(g.HTTP.CORSOrigins, origin) {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Expose-Headers", "Location")
	h.Set("Vary", "Origin")
}

// answer takes an agent's offer for one call: POST application/sdp with the
// call's token, answered 201 with our SDP.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request) error {
	id, err := call.ParseID(r.PathValue("call"))
	if err != nil {
		return endpoint.ErrNotFound
	}
	token, err := bearer(r)
	if err != nil {
		return err
	}
	offer, err := sdpOf(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerLimit)
	defer cancel()
	answer, err := g.DialIn.Answer(ctx, id, token, offer)
	if err != nil {
		return err
	}
	g.created(w, r.URL.Path, answer)
	return nil
}

func bearer(r *http.Request) (string, error) {
	kind, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(kind, "bearer") || token == "" {
		return "", &Error{Code: CodeDenied, Message: "want Authorization: Bearer <token>"}
	}
	return token, nil
}

func writeProblem(w http.ResponseWriter, r *http.Request, e *Error) {
	if e.Code == CodeDenied {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if e.RetryAfterMs > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt((e.RetryAfterMs+999)/1000, 10))
	}
	WriteProblem(w, r, HTTPStatus(e.Code), e)
}
