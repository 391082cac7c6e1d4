package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// A Client asks the control service on behalf of one tenant.
type Client struct {
	Conn   *nats.Conn
	Tenant string
	// IdempotencyKey makes a creation happen once, however often it is asked
	// for within 24 h; "": each time.
	IdempotencyKey string
}

// Dial connects a Client of tenant to a cluster's NATS. creds is a credentials
// file, or "". The connection is the caller's to close.
func Dial(url, creds, tenant string, timeout time.Duration) (Client, error) {
	opts := []nats.Option{nats.Name("patchbay client"), nats.Timeout(timeout)}
	if creds != "" {
		opts = append(opts, nats.UserCredentials(creds))
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return Client{}, fmt.Errorf("reach NATS: %w", err)
	}
	return Client{Conn: nc, Tenant: tenant}, nil
}

// Do carries out one operation: noun and verb as in docs/control-api.md. in is
// the request, out a pointer to the reply or nil. A refusal is an [*Error].
func (c Client) Do(ctx context.Context, noun, verb string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s %s: %w", noun, verb, err)
	}
	subject := strings.Join([]string{prefix, c.Tenant, noun, verb}, ".")
	ask := nats.NewMsg(subject)
	ask.Data = body
	if c.IdempotencyKey != "" {
		ask.Header.Set(idempotencyHeader, c.IdempotencyKey)
	}
	msg, err := c.Conn.RequestMsgWithContext(ctx, ask)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return &Error{Code: CodeUnavailable, Message: "no control service answers; is a node with the control role running?"}
	case err != nil:
		return fmt.Errorf("%s %s: %w", noun, verb, err)
	}
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		told := &Error{Code: Code(code), Message: msg.Header.Get(micro.ErrorHeader)}
		_ = json.Unmarshal(msg.Data, told) // the headers say enough without it
		return told
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(msg.Data, out); err != nil {
		return fmt.Errorf("%s %s: reply: %w", noun, verb, err)
	}
	return nil
}
