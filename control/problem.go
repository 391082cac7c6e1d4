package control

import (
	"encoding/json"
	"net/http"

	"patchbay/actors/endpoint"
)

// httpStatus is the one table from codes to HTTP.
var httpStatus = map[Code]int{
	CodeInvalid: http.StatusBadRequest, CodeNotFound: http.StatusNotFound, CodeConflict: http.StatusConflict,
	CodeExists: http.StatusConflict, CodeLimit: http.StatusTooManyRequests, CodeRate: http.StatusTooManyRequests, CodeBusy: http.StatusServiceUnavailable,
	CodeUnavailable: http.StatusServiceUnavailable, CodeDenied: http.StatusUnauthorized,
	CodeForbidden: http.StatusForbidden, CodeInternal: http.StatusInternalServerError,
}

// HTTPStatus is the status of a code: 500 for one that is not in the table.
func HTTPStatus(c Code) int {
	if status, ok := httpStatus[c]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// problemTypes is where the reference explains each code.
const problemTypes = "/reference#"

// WriteProblem writes an error as problem+json (RFC 9457). A write that fails
// means that the client went away.
func WriteProblem(w http.ResponseWriter, r *http.Request, status int, e *Error) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Type         string             `json:"type"`
		Title        string             `json:"title"`
		Status       int                `json:"status"`
		Detail       string             `json:"detail"`
		Code         Code               `json:"code"`
		Problems     []endpoint.Problem `json:"problems,omitempty"`
		RetryAfterMs int64              `json:"retry_after_ms,omitempty"`
		RequestID    string             `json:"request_id,omitempty"`
	}{problemTypes + string(e.Code), http.StatusText(status), status, e.Message, e.Code, e.Problems, e.RetryAfterMs, AskedOf(r.Context()).RequestID})
}
