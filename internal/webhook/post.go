package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"patchbay/actors/endpoint"
)

// maxPostReply is how much of the reply to an event is read, bytes: it says
// nothing, but a connection whose reply is read can be used again.
const maxPostReply = 4 << 10

// An Occasion is one event for one receiver.
type Occasion struct {
	Kind    endpoint.WebhookKind
	URL     string
	Secrets []string // opened; each signs
	ID      string   // of the delivery
	Body    []byte
}

// A Receipt is how a try to tell a receiver ended.
type Receipt struct {
	Status  int    // of the reply; 0: none came
	Failure string // "": it was taken. It holds no part of the URL
}

// Tell posts an event, signed as its kind wants it. Any 2xx is a success.
func (c *Client) Tell(ctx context.Context, o Occasion) Receipt {
	target, err := url.Parse(o.URL)
	if err != nil || target.Scheme != "https" && target.Scheme != "http" || target.Host == "" || target.User != nil {
		return Receipt{Failure: "its URL is not http(s)://host/path"}
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(o.Body))
	if err != nil {
		return Receipt{Failure: "its URL cannot be asked"}
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("User-Agent", "patchbay")
	sign(post.Header, &o, c.options.Now())
	resp, err := c.http.Do(post)
	switch {
	case err != nil && ctx.Err() != nil:
		return Receipt{Failure: "no reply in time"}
	case err != nil:
		return Receipt{Failure: unreached(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxPostReply) // the status has said all there is
	return receiptOf(resp.StatusCode)
}

func receiptOf(code int) Receipt {
	switch {
	case code >= 300 && code < 400:
		return Receipt{code, fmt.Sprintf("HTTP status %d, and redirects are not followed", code)}
	case code < 200 || code > 299:
		return Receipt{code, fmt.Sprintf("HTTP status %d", code)}
	}
	return Receipt{Status: code}
}

// sign sets the header fields of a kind. The delivery's id is always there, so
// that a receiver can tell repetitions.
func sign(h http.Header, o *Occasion, now time.Time) {
	h.Set(IDHeader, o.ID)
	switch o.Kind {
	case endpoint.WebhookUltravox:
		at := Timestamp(now)
		h.Set(TimestampHeader, at)
		h.Set(SignatureHeader, Sign(o.Secrets, o.Body, at))
	default: // ours; of Yappr none is documented, so that ours hurts nobody
		if len(o.Secrets) > 0 {
			at, sums := Standard(o.Secrets, o.ID, now, o.Body)
			h.Set(SentHeader, at)
			h.Set(StandardHeader, sums)
		}
	}
}
