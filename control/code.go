package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"patchbay/actors/endpoint"
)

// A Code tells a client what to do about an error. Values never change.
type Code string

// Codes, as they travel in the Nats-Service-Error-Code header and in bodies.
const (
	CodeInvalid     Code = "invalid"      // the request is wrong: Problems names each field
	CodeNotFound    Code = "not_found"    // no such object, or not this tenant's
	CodeConflict    Code = "conflict"     // the object changed meanwhile: read it again
	CodeExists      Code = "exists"       // the name is taken
	CodeLimit       Code = "limit"        // the account has as many as it may
	CodeRate        Code = "rate_limited" // the account may make no more requests for now: RetryAfterMs says for how long
	CodeBusy        Code = "busy"         // too many requests at once: try again
	CodeUnavailable Code = "unavailable"  // the store or a node does not answer: try again
	CodeDenied      Code = "denied"       // there is no credential, or it is not valid
	CodeForbidden   Code = "forbidden"    // the credential is valid and does not allow it
	CodeInternal    Code = "internal"     // ours to fix
)

// An Error is what a client is told.
type Error struct {
	Code     Code               `json:"code"`
	Message  string             `json:"message"`
	Problems []endpoint.Problem `json:"problems,omitempty"`
	// RetryAfterMs, of CodeRate, is how long to wait before the next request.
	RetryAfterMs int64 `json:"retry_after_ms,omitempty"`

	stale bool
}

// Stale reports that the object is not at the revision that the request was made
// for, or changed in the same moment.
func (e *Error) Stale() bool { return e.stale }

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.RetryAfterMs > 0:
		return fmt.Sprintf("%s: %s; try again in %v", e.Code, e.Message, time.Duration(e.RetryAfterMs)*time.Millisecond)
	case len(e.Problems) == 0:
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return fmt.Sprintf("%s: %s", e.Code, strings.Join(lines, "; "))
}

// ErrUnavailable is wrapped by stores and nodes that cannot answer now.
var ErrUnavailable = errors.New("control: not reachable now")

func invalid(field, code, message string) *Error {
	return &Error{Code: CodeInvalid, Message: "the request is wrong", Problems: []endpoint.Problem{{Field: field, Code: code, Message: message}}}
}

func invalidAll(ps []endpoint.Problem) *Error {
	return &Error{Code: CodeInvalid, Message: "the request is wrong", Problems: ps}
}

// errorOf maps an error to what a client is told. What is not listed is ours to
// fix: it is logged in full, and the client hears no detail.
func errorOf(err error) *Error {
	var known *Error
	var taken *endpoint.Taken
	var twice *endpoint.Duplicate
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &taken):
		return &Error{Code: CodeExists, Message: taken.Error()}
	case errors.As(err, &twice):
		return &Error{Code: CodeExists, Message: "another object has it already",
			Problems: []endpoint.Problem{{Field: twice.Field, Code: endpoint.CodeDuplicate, Message: "another has it already"}}}
	case errors.Is(err, endpoint.ErrNotFound):
		return &Error{Code: CodeNotFound, Message: "no such object"}
	case errors.Is(err, endpoint.ErrConflict):
		return &Error{Code: CodeConflict, Message: "the object changed since you read it", stale: true}
	case errors.Is(err, endpoint.ErrReused):
		return &Error{Code: CodeConflict, Message: "the idempotency key belongs to another request"}
	case errors.Is(err, endpoint.ErrExists):
		return &Error{Code: CodeExists, Message: "the object exists already"}
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: CodeUnavailable, Message: "the cluster did not answer in time; try again"}
	}
	return &Error{Code: CodeInternal, Message: "internal error"}
}
