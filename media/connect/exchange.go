package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
	"patchbay/media"
)

// endTimeout is the longest a request that ends a session may take, and
// endAttempts how often it is made: sessions are billed by the minute.
const (
	endTimeout  = 3 * time.Second
	endAttempts = 2
)

// An exchange is all HTTP of one call with its agent.
type exchange struct {
	http    *HTTP
	dialect *dialect
	t       endpoint.AgentTransport
	target  *url.URL
	secret  string
}

// exchange reads the agent's URL and opens its secret. Errors name neither.
func (h *HTTP) exchange(t endpoint.AgentTransport, d *dialect) (*exchange, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: its url is not http(s)://host/path", media.ErrAgentUnreachable)
	}
	x := &exchange{http: h, dialect: d, t: t, target: u}
	switch t.AuthType {
	case "":
		return x, nil
	case "bearer":
	default:
		return nil, fmt.Errorf("%w: auth_type %.16q is not served, only bearer is", media.ErrAgentUnreachable, t.AuthType)
	}
	if x.secret, err = h.unseal(t.AuthSecret); err != nil {
		return nil, fmt.Errorf("%w: its secret cannot be opened", media.ErrAgentUnreachable)
	}
	return x, nil
}

// ask posts until the agent answers. A refusal is final; want of room, a server
// error and silence are tried again.
func (x *exchange) ask(ctx context.Context, q question) (Answer, error) {
	for n := 0; ; n++ {
		q.attempt = n + 1
		a, again, err := x.post(ctx, q)
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil:
			return Answer{}, ended(ctx)
		case !again || n+1 >= attempts(x.t):
			return Answer{}, fmt.Errorf("%w (%s, attempt %d)", err, x.target.Hostname(), n+1)
		}
		if err := pause(ctx, n); err != nil {
			return Answer{}, err
		}
	}
}

// post makes one attempt and reports whether another may do better.
func (x *exchange) post(ctx context.Context, q question) (Answer, bool, error) {
	mediaType, body, err := x.dialect.ask(q)
	if err != nil {
		return Answer{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout(x.t))
	defer cancel()
	req, err := x.request(ctx, http.MethodPost, x.target, bytes.NewReader(body))
	if err != nil {
		return Answer{}, false, err
	}
	req.Header.Set("Content-Type", mediaType)
	req.Header.Set("Accept", x.dialect.accept)
	resp, err := x.http.client.Do(req)
	if err != nil {
		again := !errors.Is(err, dialguard.ErrForbidden)
		return Answer{}, again, fmt.Errorf("%w: %w", media.ErrAgentUnreachable, withoutURL(err))
	}
	defer resp.Body.Close()
	return x.read(resp)
}

func (x *exchange) request(ctx context.Context, method string, u *url.URL, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: its url cannot be asked", media.ErrAgentUnreachable)
	}
	for name, value := range x.t.Headers {
		req.Header.Set(name, value)
	}
	if x.secret != "" {
		req.Header.Set("Authorization", "Bearer "+x.secret)
	}
	return req, nil
}

func (x *exchange) read(resp *http.Response) (Answer, bool, error) {
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
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return Answer{}, true, fmt.Errorf("%w: its answer broke off", media.ErrAgentUnreachable)
	}
	a, err := x.dialect.read(reply{status: resp.StatusCode, header: resp.Header, body: body})
	if errors.Is(err, errBusy) {
		return Answer{}, true, media.ErrAgentBusy
	}
	return a, false, err
}

// end tells the agent that its session is over, in the background. What goes
// wrong is let be: the agent sees DTLS close as well.
func (x *exchange) end(session string) {
	if session == "" || x.dialect.end == nil {
		return
	}
	method, target := x.dialect.end(x.target, session)
	if method == "" {
		return
	}
	x.http.ending.Go(func() {
		for range endAttempts {
			if x.endOnce(method, target) {
				return
			}
		}
	})
}

// endOnce reports whether the agent has answered.
func (x *exchange) endOnce(method string, target *url.URL) bool {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	req, err := x.request(ctx, method, target, http.NoBody)
	if err != nil {
		return true
	}
	resp, err := x.http.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, MaxAnswer)) // so that the connection can be used again
	return resp.StatusCode < 500
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
