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
	Key    string // id of the API key that Conn showed; "": none, or one that may do all that the tenant may
	// IdempotencyKey makes a creation happen once, however often it is asked
	// for within 24 h; "": each time.
	IdempotencyKey string
}

// ErrUnknown says that NATS does not know the credential, or was shown none.
var ErrUnknown = errors.New("not let in")

// An Access says how a program outside the cluster gets into its NATS.
type Access struct {
	URL      string // servers, comma separated; may hold user and password
	Creds    string // credentials file; empty: none
	CA       string // file of certificates to check servers' with; empty: the system's
	Nkey     string // public key to show; empty: none
	Sign     func(nonce []byte) ([]byte, error)
	User     string // empty: none but the URL's
	Password string
	Inbox    string        // what its inboxes must begin with; empty: _INBOX
	Timeout  time.Duration // of a connection
}

// Dial connects a Client of tenant to a cluster's NATS. The connection is the
// caller's to close. A NATS that asks for no credential gets none.
func Dial(a Access, tenant string) (Client, error) {
	nc, err := nats.Connect(a.URL, a.options()...)
	if errors.Is(err, nats.ErrNkeysNotSupported) {
		a.Nkey = ""
		nc, err = nats.Connect(a.URL, a.options()...)
	}
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return Client{}, fmt.Errorf("reach NATS: %w: %w", ErrUnknown, err)
	case errors.Is(err, nats.ErrNoServers):
		return Client{}, fmt.Errorf("reach NATS: %w; is a node with the broker role running?", err)
	case err != nil:
		return Client{}, fmt.Errorf("reach NATS: %w", err)
	}
	return Client{Conn: nc, Tenant: tenant}, nil
}

func (a Access) options() []nats.Option {
	opts := []nats.Option{nats.Name("patchbay client"), nats.Timeout(a.Timeout), nats.MaxReconnects(-1), nats.PingInterval(time.Second)}
	if a.Creds != "" {
		opts = append(opts, nats.UserCredentials(a.Creds))
	}
	if a.CA != "" {
		opts = append(opts, nats.RootCAs(a.CA))
	}
	if a.Nkey != "" {
		opts = append(opts, nats.Nkey(a.Nkey, a.Sign))
	}
	if a.User != "" {
		opts = append(opts, nats.UserInfo(a.User, a.Password))
	}
	if a.Inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(a.Inbox))
	}
	return opts
}

// Do carries out one operation: noun and verb as in docs/control-api.md. in is
// the request, out a pointer to the reply or nil. A refusal is an [*Error].
func (c Client) Do(ctx context.Context, noun, verb string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s %s: %w", noun, verb, err)
	}
	subject := strings.Join([]string{prefix, c.Tenant, noun, verb}, ".")
	if c.Key != "" {
		subject += "." + c.Key
	}
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
