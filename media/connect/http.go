package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
	"patchbay/media"
	"patchbay/media/peer"
)

// Bounds of the connection pool.
const (
	maxIdlePerHost  = 16
	maxConnsPerHost = 64
	maxIdle         = 256
	idleTimeout     = 90 * time.Second
	dialTimeout     = 3 * time.Second
	maxReplyHeader  = 16 << 10
)

// dialectJSON is the one dialect that is served.
const dialectJSON = "json"

// Unseal opens a secret at rest.
type Unseal func(endpoint.SecretRef) (string, error)

// HTTP is the connector that POSTs our offer to a URL.
type HTTP struct {
	stack  *peer.Stack
	client *http.Client
	unseal Unseal
}

// NewHTTP returns the connector. guard says which addresses may be dialled.
func NewHTTP(s *peer.Stack, guard dialguard.Guard, unseal Unseal) *HTTP {
	transport := &http.Transport{
		DialContext:            guard.Dialer(dialTimeout).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxConnsPerHost:        maxConnsPerHost,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxReplyHeader,
	}
	return &HTTP{stack: s, unseal: unseal, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close drops idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Join implements [media.Connector].
func (h *HTTP) Join(ctx context.Context, req media.JoinRequest, chosen func(worker string)) (media.AgentLeg, error) {
	if d := req.Agent.WebRTC.Dialect; d != "" && d != dialectJSON {
		return nil, fmt.Errorf("%w: dialect %.16q is not served, only json is", media.ErrAgentUnreachable, d)
	}
	p := newPeer(h.stack, req)
	if err := h.join(ctx, req, p, chosen); err != nil {
		p.Close(causeOf(err))
		return nil, err
	}
	return p, nil
}

func (h *HTTP) join(ctx context.Context, req media.JoinRequest, p *peer.Peer, chosen func(string)) error {
	sdp, err := p.Offer(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(Question{SDP: sdp, Type: "offer", Call: invitation(req)})
	if err != nil {
		return fmt.Errorf("write the offer: %w", err)
	}
	a, err := h.ask(ctx, req.Agent.WebRTC, body)
	if err != nil {
		return err
	}
	chosen(a.WorkerID)
	return finish(ctx, p, a.SDP)
}

// ask posts until the agent answers. A refusal is final; want of room, a server
// error and silence are tried again.
func (h *HTTP) ask(ctx context.Context, t endpoint.AgentTransport, body []byte) (Answer, error) {
	target, secret, err := h.target(t)
	if err != nil {
		return Answer{}, err
	}
	for n := 0; ; n++ {
		a, again, err := h.post(ctx, t, target, secret, body)
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil:
			return Answer{}, ended(ctx)
		case !again || n+1 >= attempts(t):
			return Answer{}, fmt.Errorf("%w (%s, attempt %d)", err, target.Hostname(), n+1)
		}
		if err := pause(ctx, n); err != nil {
			return Answer{}, err
		}
	}
}

// target reads the agent's URL and opens its secret. Errors name neither.
func (h *HTTP) target(t endpoint.AgentTransport) (*url.URL, string, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, "", fmt.Errorf("%w: its url is not http(s)://host/path", media.ErrAgentUnreachable)
	}
	switch t.AuthType {
	case "":
		return u, "", nil
	case "bearer":
	default:
		return nil, "", fmt.Errorf("%w: auth_type %.16q is not served, only bearer is", media.ErrAgentUnreachable, t.AuthType)
	}
	secret, err := h.unseal(t.AuthSecret)
	if err != nil {
		return nil, "", fmt.Errorf("%w: its secret cannot be opened", media.ErrAgentUnreachable)
	}
	return u, secret, nil
}

// post makes one attempt and reports whether another may do better.
func (h *HTTP) post(ctx context.Context, t endpoint.AgentTransport, u *url.URL, secret string, body []byte) (Answer, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout(t))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, false, fmt.Errorf("%w: its url cannot be asked", media.ErrAgentUnreachable)
	}
	for name, value := range t.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		again := !errors.Is(err, dialguard.ErrForbidden)
		return Answer{}, again, fmt.Errorf("%w: %w", media.ErrAgentUnreachable, withoutURL(err))
	}
	defer resp.Body.Close()
	return read(resp)
}

func read(resp *http.Response) (Answer, bool, error) {
	switch code := resp.StatusCode; {
	case code == http.StatusServiceUnavailable, code == http.StatusTooManyRequests:
		return Answer{}, true, media.ErrAgentBusy
	case code >= 500:
		return Answer{}, true, fmt.Errorf("%w: HTTP status %d", media.ErrAgentRefused, code)
	case code >= 300 && code < 400:
		return Answer{}, false, fmt.Errorf("%w: HTTP status %d, and redirects are not followed", media.ErrAgentRefused, code)
	case code != http.StatusOK && code != http.StatusCreated:
		return Answer{}, false, fmt.Errorf("%w: HTTP status %d", media.ErrAgentRefused, code)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return Answer{}, true, fmt.Errorf("%w: its answer broke off", media.ErrAgentUnreachable)
	}
	a, err := readAnswer(b)
	if errors.Is(err, errBusy) {
		return Answer{}, true, media.ErrAgentBusy
	}
	return a, false, err
}

// withoutURL strips what the client wraps around an error: the URL may hold a
// secret in its query.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
