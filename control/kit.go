package control

import (
	"context"
	"log/slog"
	"time"
)

// A Kit is what a face of the API is given: the native one, and each vendor's.
// A face turns its own wire format into calls of Do and back. It decides about
// no rights, keeps no objects and counts nothing by itself: Do, and Count for
// it, is the one place for that.
type Kit struct {
	// Do carries out one operation, within its time and a place among the
	// requests under way. Its error is for Told.
	Do func(ctx context.Context, cred Credential, r Request) (any, error)
	// Count counts a request of a client by itself, or refuses it with CodeRate: for
	// a face that counts also what never reaches Do, or needs Do several times for
	// one request. What it has counted goes to Do with Request.Counted. It returns
	// what is left; the zero Rate: there is no limit.
	Count func(ctx context.Context, cred Credential) (Rate, error)
	// Verify returns what a key may do. Any key that is not good is CodeDenied.
	Verify func(ctx context.Context, key string) (Credential, error)
	// Rate says how much of its requests a credential has left, without counting
	// one; false: they are not limited. Ask after Do.
	Rate func(ctx context.Context, cred Credential) (Rate, bool)
	// Told is what a client may hear of an error. What is ours to fix is logged,
	// and the client hears no detail. Fields are named as in the native API.
	Told func(ctx context.Context, err error) *Error

	Host   string           // host, or host:port, of sip_uri
	Domain string           // base domain, under which accounts' domains are
	Now    func() time.Time // the clock
	Log    *slog.Logger     // add request_id, of [AskedOf]
}

// A Rate is how much of its requests an account, or a project or key with a
// limit of its own, has left.
type Rate struct {
	Limit     int           // requests a minute
	Remaining int           // that could be made at once now
	Reset     time.Duration // until all of them could be
}

// An Asked is what is known of a web request beside the operation.
type Asked struct {
	RequestID string // for logs and error bodies
	BaseURL   string // scheme and host by which the client came, without a slash at its end
}

type askedKey struct{}

// WithAsked notes what is known of the request.
func WithAsked(ctx context.Context, a Asked) context.Context {
	return context.WithValue(ctx, askedKey{}, a)
}

// AskedOf returns what is known of the request of a face; nothing where there
// is none.
func AskedOf(ctx context.Context) Asked {
	a, _ := ctx.Value(askedKey{}).(Asked)
	return a
}
