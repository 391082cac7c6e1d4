package yappr

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"patchbay/control"
)

// A code is Yappr's word for an error. Clients branch on it.
type code string

// Codes that Yappr documents. A 404 has none but of a path that does not exist.
const (
	codeNone        code = ""
	codeMissingKey  code = "MISSING_KEY"
	codeInvalidKey  code = "INVALID_KEY"
	codeExpiredKey  code = "EXPIRED_KEY"
	codeScope       code = "INSUFFICIENT_SCOPE"
	codeRequest     code = "SIP_ENDPOINT_REQUEST_INVALID"
	codeQuery       code = "SIP_ENDPOINT_QUERY_INVALID"
	codeAgent       code = "INVALID_AGENT"
	codeRate        code = "RATE_LIMIT"
	codeTrunks      code = "SIP_TRUNKS_NOT_ENABLED"
	codeRegister    code = "SIP_REGISTER_NOT_ENABLED"
	codeMode        code = "NOT_SUPPORTED_FOR_MODE"
	codeForbidden   code = "FORBIDDEN"
	codeRoute       code = "ROUTE_NOT_FOUND"
	codeMethod      code = "METHOD_NOT_ALLOWED"
	codeConflict    code = "CONFLICT"
	codeTooLarge    code = "PAYLOAD_TOO_LARGE"
	codeInternal    code = "INTERNAL_ERROR"
	codeUnavailable code = "SERVICE_UNAVAILABLE"
)

// unknownObject is the code of a problem with a field that names what is not
// there.
const unknownObject = "unknown"

// retryUnavailable is how long a client is asked to wait where the cluster did
// not answer, seconds.
const retryUnavailable = 1

// A problem is an error as Yappr's clients read it.
type problem struct {
	Status int    `json:"-"`
	Text   string `json:"error"`
	Code   code   `json:"code,omitempty"`
	after  int    // of Retry-After, seconds; 0: none
}

// Error implements error.
func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Text) }

func refuse(status int, c code, text string) *problem {
	return &problem{Status: status, Code: c, Text: text}
}

// wrong refuses a field of a body, by its name.
func wrong(field, why string) *problem {
	return refuse(http.StatusBadRequest, codeRequest, field+": "+why)
}

// notFound is what any endpoint is that a key's owner does not have, or that
// this face does not show.
func notFound() *problem { return refuse(http.StatusNotFound, codeNone, "SIP endpoint not found") }

// ours translates what an operation refused.
func ours(told *control.Error) *problem {
	switch told.Code {
	case control.CodeInvalid:
		return invalid(told)
	case control.CodeNotFound:
		return notFound()
	case control.CodeConflict, control.CodeExists:
		return refuse(http.StatusConflict, codeConflict, told.Message)
	case control.CodeLimit:
		return refuse(http.StatusTooManyRequests, codeRate, told.Message)
	case control.CodeRate:
		p := refuse(http.StatusTooManyRequests, codeRate, told.Message)
		p.after = max(int(math.Ceil(float64(told.RetryAfterMs)/1000)), 1)
		return p
	case control.CodeDenied:
		return refuse(http.StatusUnauthorized, codeInvalidKey, told.Message)
	case control.CodeForbidden:
		return refuse(http.StatusForbidden, codeForbidden, told.Message)
	case control.CodeBusy, control.CodeUnavailable:
		p := refuse(http.StatusServiceUnavailable, codeUnavailable, told.Message)
		p.after = retryUnavailable
		return p
	}
	return refuse(http.StatusInternalServerError, codeInternal, "internal error")
}

// invalid names every mistake by the field of Yappr that it is in. An agent that
// the account does not have is a mistake of its own.
func invalid(told *control.Error) *problem {
	lines := make([]string, 0, len(told.Problems))
	for _, p := range told.Problems {
		if p.Code == unknownObject && strings.HasSuffix(p.Field, "agent_id") {
			return refuse(http.StatusUnprocessableEntity, codeAgent, "inbound_agent_id: there is no such agent in this workspace")
		}
		lines = append(lines, theirField(p.Field)+": "+p.Message)
	}
	if len(lines) == 0 {
		lines = append(lines, told.Message)
	}
	return refuse(http.StatusBadRequest, codeRequest, strings.Join(lines, "; "))
}

// theirField is Yappr's name of a field of ours.
func theirField(field string) string {
	switch {
	case strings.HasPrefix(field, "handler."):
		return "inbound_agent_id"
	case field == "slug_prefix":
		return "slug"
	case strings.HasPrefix(field, "ip"):
		return "allowed_source_ips" + indexOf(field)
	}
	return field
}

// indexOf returns "[3]" of "ip.entries[3].raw".
func indexOf(field string) string {
	from, to := strings.IndexByte(field, '['), strings.IndexByte(field, ']')
	if from < 0 || to < from {
		return ""
	}
	return field[from : to+1]
}

// write sends the problem.
func (p *problem) write(w http.ResponseWriter) {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if p.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.after))
	}
	answer(w, p.Status, p)
}

// answer sends a body. What it holds may be a credential: nobody may keep it.
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // our own types always can be
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal error","code":"INTERNAL_ERROR"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have gone away
}

// Refuse answers what is refused before the face sees it, as Yappr would: it
// counts against nobody.
func Refuse(now func() time.Time) func(http.ResponseWriter, *http.Request, *control.Error) {
	return func(w http.ResponseWriter, _ *http.Request, told *control.Error) {
		showRate(w, control.Rate{}, now())
		ours(told).write(w)
	}
}
