package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"patchbay/actors"
	"patchbay/actors/endpoint"
	"patchbay/internal/dialguard"
)

var _ actors.Fallback = (*Client)(nil)

// Bounds of the connections to webhooks.
const (
	maxIdle         = 512
	maxIdlePerHost  = 32
	maxConnsPerHost = 256 // of all tenants that share a host
	idleTimeout     = 90 * time.Second
	dialTimeout     = 3 * time.Second
	maxReplyHeader  = 16 << 10
)

// A Dial connects to a webhook's host.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Options are what a Client needs.
type Options struct {
	Dial   Dial                                     // usually that of a [dialguard.Guard]
	Unseal func(endpoint.SecretRef) (string, error) // opens a secret at rest
	Now    func() time.Time                         // the clock
	TLS    *tls.Config                              // nil: the system's roots
}

// A Client asks webhooks. It is safe for concurrent use.
type Client struct {
	options  Options
	http     *http.Client
	breakers breakers
}

// New returns a Client that dials only what guard allows.
func New(guard dialguard.Guard, unseal func(endpoint.SecretRef) (string, error)) *Client {
	return NewClient(Options{Dial: guard.Dialer(dialTimeout).DialContext, Unseal: unseal, Now: time.Now})
}

// NewClient returns a Client with the given options.
func NewClient(o Options) *Client {
	return &Client{options: o, http: &http.Client{
		Transport: &http.Transport{
			DialContext: o.Dial, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true,
			MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdlePerHost, MaxConnsPerHost: maxConnsPerHost,
			IdleConnTimeout: idleTimeout, TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxReplyHeader,
			HTTP2: dialguard.Pings(),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ask implements actors.Fallback. The handler's time holds for all of it:
// name, connection, TLS, and the whole reply.
func (c *Client) Ask(ctx context.Context, req actors.FallbackRequest) (endpoint.Answer, error) {
	target := req.Tenant + " " + req.Handler.URL
	if !c.breakers.allow(target, c.options.Now()) {
		return endpoint.Answer{}, failed(endpoint.ReasonWebhookSuspended, fmt.Sprintf("it failed %d times in a row", breakAfter))
	}
	limit := time.Duration(req.Handler.Timeout()) * time.Millisecond
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := c.ask(short, req)
	switch {
	case err != nil && ctx.Err() != nil: // the node stops; the webhook has done nothing wrong
		c.breakers.free(target)
		return endpoint.Answer{}, ctx.Err()
	case err != nil && short.Err() != nil:
		err = failed(endpoint.ReasonWebhookTimeout, "no whole reply within "+limit.String())
	}
	var told *actors.WebhookError
	errors.As(err, &told)
	c.breakers.report(target, c.options.Now(), told != nil && told.Reason != endpoint.ReasonWebhookReply)
	return answer, err
}

func failed(why endpoint.Reason, text string) *actors.WebhookError {
	return &actors.WebhookError{Reason: why, Why: text}
}

func (c *Client) ask(ctx context.Context, req actors.FallbackRequest) (endpoint.Answer, error) {
	post, err := c.request(ctx, req)
	if err != nil {
		return endpoint.Answer{}, err
	}
	resp, err := c.http.Do(post)
	if err != nil {
		return endpoint.Answer{}, failed(endpoint.ReasonWebhookFailed, unreached(err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch code := resp.StatusCode; {
	case code >= 300 && code < 400:
		return endpoint.Answer{}, failed(endpoint.ReasonWebhookFailed, fmt.Sprintf("HTTP status %d, and redirects are not followed", code))
	case code < 200 || code > 299:
		return endpoint.Answer{}, failed(endpoint.ReasonWebhookFailed, fmt.Sprintf("HTTP status %d", code))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, endpoint.MaxReply+1))
	if err != nil {
		return endpoint.Answer{}, failed(endpoint.ReasonWebhookFailed, "its reply broke off")
	}
	answer, err := endpoint.ParseAnswer(body)
	if err != nil {
		return endpoint.Answer{}, failed(endpoint.ReasonWebhookReply, err.Error())
	}
	return answer, nil
}

// request writes and signs the question.
func (c *Client) request(ctx context.Context, req actors.FallbackRequest) (*http.Request, error) {
	target, err := url.Parse(req.Handler.URL)
	if err != nil || target.Scheme != "https" && target.Scheme != "http" || target.Host == "" || target.User != nil {
		return nil, failed(endpoint.ReasonWebhookFailed, "its URL is not http(s)://host/path")
	}
	secrets := make([]string, len(req.Handler.Secrets))
	for i, sealed := range req.Handler.Secrets {
		if secrets[i], err = c.options.Unseal(sealed); err != nil {
			return nil, failed(endpoint.ReasonWebhookFailed, "a secret of it cannot be opened")
		}
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(req.Body))
	if err != nil {
		return nil, failed(endpoint.ReasonWebhookFailed, "its URL cannot be asked")
	}
	at := Timestamp(c.options.Now())
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Accept", "application/json")
	post.Header.Set("User-Agent", "patchbay")
	post.Header.Set(KeyHeader, req.Call.String())
	post.Header.Set(TimestampHeader, at)
	post.Header.Set(SignatureHeader, Sign(secrets, req.Body, at))
	return post, nil
}

// unreached says why no reply came, without the URL: its query may hold a
// secret.
func unreached(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, dialguard.ErrForbidden) {
		return "its address may not be dialled"
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return "its certificate does not verify"
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		return "its name cannot be looked up"
	}
	return "it cannot be reached"
}
