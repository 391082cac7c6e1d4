package gateway

import (
	"errors"
	"net/http"
	"strconv"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// A refusal is an error with a status of its own.
type refusal struct {
	status int
	told   *control.Error
}

// Error implements error.
func (r *refusal) Error() string { return r.told.Error() }

func invalid(field, message string) *control.Error {
	return invalidAs(endpoint.CodeInvalid, field, message)
}

func invalidAs(code, field, message string) *control.Error {
	return &control.Error{Code: control.CodeInvalid, Message: "the request is wrong",
		Problems: []endpoint.Problem{{Field: field, Code: code, Message: message}}}
}

// fail writes an error of a request as problem+json.
func fail(kit control.Kit, w http.ResponseWriter, r *http.Request, err error) {
	var own *refusal
	if errors.As(err, &own) {
		writeProblem(w, r, own.status, own.told)
		return
	}
	told := kit.Told(r.Context(), err)
	status := control.HTTPStatus(told.Code)
	if told.Stale() && r.Header.Get("If-Match") != "" {
		status = http.StatusPreconditionFailed
	}
	writeProblem(w, r, status, told)
}

// writeProblem writes a refusal (RFC 9457). Its type leads to the place in the
// reference that says what to do.
func writeProblem(w http.ResponseWriter, r *http.Request, status int, told *control.Error) {
	h := w.Header()
	if told.Code == control.CodeDenied {
		h.Set("WWW-Authenticate", `Bearer realm="patchbay"`)
	}
	if told.RetryAfterMs > 0 {
		h.Set("Retry-After", strconv.FormatInt((told.RetryAfterMs+999)/1000, 10))
	} else if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	control.WriteProblem(w, r, status, told)
}
