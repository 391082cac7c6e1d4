package control

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"patchbay/actors/endpoint"
)

// A Credential says for which account a request is made and what it may do. It
// comes from a key or from the NATS subject, never from a payload.
type Credential struct {
	Tenant    string
	KeyID     string // "": NATS permissions have decided
	ProjectID string
	Kind      string // of the key: which API's rules it is under
	Scopes    []string
}

// allOf is the credential of whoever may publish to a tenant's subjects.
func allOf(tenant string) Credential {
	return Credential{Tenant: tenant, Kind: endpoint.KindOfNative, Scopes: []string{endpoint.ScopeAll}}
}

// Allows reports whether the credential has a scope.
func (c Credential) Allows(scope string) bool { return endpoint.Allows(c.Scopes, scope) }

// A Directory finds API keys.
type Directory interface {
	// KeyByDigest returns the key whose secret has the digest, as it was within
	// the last two seconds, or an error that wraps endpoint.ErrNotFound.
	KeyByDigest(ctx context.Context, digest endpoint.Key) (endpoint.APIKey, error)
}

// maxKey is the longest secret that is looked at, bytes.
const maxKey = 256

// errKey is what the holder of any key hears that is not good: unknown,
// revoked and expired look the same. ErrExpired lets a face tell the holder of an
// expired key where its product does.
var (
	errKey     = &Error{Code: CodeDenied, Message: "the key is not valid"}
	ErrExpired = &Error{Code: CodeDenied, Message: "the key is not valid"}
)

// Verify returns what a key may do. Any key that is not good is CodeDenied; a
// store that cannot be read is its own error. The secret is compared in a time
// that tells nothing about it.
func Verify(ctx context.Context, keys Directory, secret string, now time.Time) (Credential, error) {
	if secret == "" || len(secret) > maxKey {
		return Credential{}, errKey
	}
	k, err := keys.KeyByDigest(ctx, endpoint.SecretDigest(secret))
	switch {
	case errors.Is(err, endpoint.ErrNotFound):
		return Credential{}, errKey
	case err != nil:
		return Credential{}, fmt.Errorf("look up a key: %w", err)
	case k.Matches(secret) && k.RevokedAt == nil && !k.Live(now):
		return Credential{}, ErrExpired
	case !k.Matches(secret) || !k.Live(now):
		return Credential{}, errKey
	}
	return Credential{Tenant: k.Tenant, KeyID: k.ID, ProjectID: k.ProjectID, Kind: k.Kind, Scopes: k.Scopes}, nil
}

// A Request is one operation as a face received it.
type Request struct {
	Noun, Verb     string
	Body           []byte // JSON
	IdempotencyKey string // of a creation; "": none
	Counted        bool   // by Count, as a request of its client
}

// maxIdempotencyKey is how long an idempotency key may be, bytes.
const maxIdempotencyKey = 255

// Do carries out one operation for a credential, and returns its reply to be
// written as JSON. Every face of the API comes through here: the account's rate,
// scope and operator's rights are checked in this place only. Every request
// counts, also one that is refused.
func (o *Operations) Do(ctx context.Context, cred Credential, r Request) (any, error) {
	if cred.Tenant == "" { // which below would mean every account
		return nil, &Error{Code: CodeDenied, Message: "the request is nobody's"}
	}
	if !r.Counted {
		if _, err := o.Count(ctx, cred); err != nil {
			return nil, err
		}
	}
	op, ok := o.find(r.Noun, r.Verb)
	switch {
	case !ok:
		return nil, &Error{Code: CodeNotFound, Message: "no such operation"}
	case op.operator && cred.Tenant != endpoint.OperatorTenant:
		return nil, errOperator
	case len(r.IdempotencyKey) > maxIdempotencyKey:
		return nil, invalid("idempotency_key", endpoint.CodeTooLong, fmt.Sprintf("want at most %d bytes", maxIdempotencyKey))
	}
	for _, scope := range op.scopes {
		if !cred.Allows(scope) {
			return nil, &Error{Code: CodeForbidden, Message: "the key lacks the scope " + scope}
		}
	}
	return op.run(withCall(ctx, cred, r), cred.Tenant, r.Body)
}

// errOperator is the same whatever else the request says, so that it tells
// nothing about what exists.
var errOperator = &Error{Code: CodeForbidden, Message: "this is for the operator's account only"}

// find returns an operation of the table.
func (o *Operations) find(noun, verb string) (operation, bool) {
	o.indexed.Do(func() {
		o.index = map[string]operation{}
		for _, op := range o.table() {
			o.index[op.noun+"."+op.verb] = op
		}
	})
	op, ok := o.index[noun+"."+verb]
	return op, ok
}

type callKey struct{}

// A calling is what an operation knows of its request beside the payload.
type calling struct {
	cred Credential
	once endpoint.Once
}

func withCall(ctx context.Context, cred Credential, r Request) context.Context {
	c := calling{cred: cred}
	if r.IdempotencyKey != "" {
		key, body := sha256.Sum256([]byte(r.IdempotencyKey)), sha256.New()
		fmt.Fprintf(body, "%s.%s\n%s", r.Noun, r.Verb, r.Body)
		c.once = endpoint.Once{
			Key:  strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(key[:16])),
			Body: hex.EncodeToString(body.Sum(nil)),
		}
	}
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns what is known of the request. An operation that is called
// without one may do everything.
func callOf(ctx context.Context, tenant string) calling {
	if c, ok := ctx.Value(callKey{}).(calling); ok {
		return c
	}
	return calling{cred: allOf(tenant)}
}

// terms returns what a creation is subject to: its idempotency key, and for
// endpoints the day's quota.
func (o *Operations) terms(ctx context.Context, tenant string, acct *endpoint.Account) endpoint.Terms {
	c := callOf(ctx, tenant)
	t := endpoint.Terms{Once: c.once}
	if acct == nil {
		return t
	}
	if t.Registrations = acct.Limits("").MaxRegisterOut; t.Registrations == 0 {
		t.Registrations = endpoint.DefaultRegistration
	}
	t.Day, t.PerDay = endpoint.Day(o.Now()), acct.Limits("").EndpointCreatesPerDay
	if c.cred.ProjectID != "" {
		t.Project, t.ProjectPerDay = c.cred.ProjectID, acct.Limits(c.cred.ProjectID).EndpointCreatesPerDay
	}
	if t.PerDay+t.ProjectPerDay == 0 && c.cred.Kind == endpoint.KindOfYappr {
		t.PerDay = endpoint.YapprCreatesPerDay
	}
	return t
}

// repeated returns what a creation under the request's idempotency key made
// before, if one did: "" if none.
func (o *Operations) repeated(ctx context.Context, tenant string) (endpoint.Repeat, error) {
	once := callOf(ctx, tenant).once
	if once.Key == "" {
		return endpoint.Repeat{}, nil
	}
	return repeatOf(o.Store.Repeated(ctx, tenant, once))
}

// repeatOf tells a Repeat from other errors.
func repeatOf(err error) (endpoint.Repeat, error) {
	var r *endpoint.Repeat
	if errors.As(err, &r) {
		return *r, nil
	}
	return endpoint.Repeat{}, err
}
