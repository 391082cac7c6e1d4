package ultravox

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// An answer is what a client gets.
type answer struct {
	status int
	body   any // nil: none
	retry  int // Retry-After in seconds; 0: none
}

func write(w http.ResponseWriter, a answer) {
	if a.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.retry))
	}
	w.Header().Set("Cache-Control", "no-store") // bodies hold secrets
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(a.body) // the client may be gone
}

// A fault is why a request is refused, as the client hears it.
type fault struct {
	answered answer
	code     control.Code // of the operation that failed; "": none did
}

// Error implements error.
func (f *fault) Error() string { return "refused with " + strconv.Itoa(f.answered.status) }

func (f *fault) answer() answer { return f.answered }

// detail is a fault that names no field.
func detail(status int, text string) *fault {
	return &fault{answered: answer{status: status, body: map[string]string{"detail": text}}}
}

func notFound() *fault { return detail(http.StatusNotFound, "Not found.") }

// fieldFault is a fault of one field.
func fieldFault(text string, path ...string) *fault {
	t := tree{}
	t.add(text, path...)
	return t.fault()
}

// fault is what a client hears of an error.
func (f *Face) fault(ctx context.Context, err error) *fault {
	var known *fault
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &large):
		return detail(http.StatusRequestEntityTooLarge, "Request body exceeds "+strconv.FormatInt(large.Limit, 10)+" bytes.")
	}
	return faultOf(f.kit.Told(ctx, err), nil)
}

// Pauses that are asked for where the operation names none, seconds.
const (
	pauseLimit = 5
	pauseBusy  = 2
)

// words are how this API says what an operation says by its code.
var words = map[control.Code]struct {
	status int
	text   string // "": the operation's own
	retry  int
}{
	control.CodeInvalid:     {http.StatusBadRequest, "", 0},
	control.CodeNotFound:    {http.StatusNotFound, "Not found.", 0},
	control.CodeConflict:    {http.StatusConflict, "", 0},
	control.CodeExists:      {http.StatusBadRequest, "", 0},
	control.CodeLimit:       {http.StatusTooManyRequests, "", pauseLimit},
	control.CodeRate:        {http.StatusTooManyRequests, "", pauseLimit},
	control.CodeBusy:        {http.StatusServiceUnavailable, "", pauseBusy},
	control.CodeUnavailable: {http.StatusServiceUnavailable, "", pauseBusy},
	control.CodeDenied:      {http.StatusUnauthorized, "Invalid API key.", 0},
	control.CodeForbidden:   {http.StatusForbidden, "", 0},
	control.CodeInternal:    {http.StatusInternalServerError, "A server error occurred.", 0},
}

// faultOf words the error of an operation.
func faultOf(e *control.Error, fields names) *fault {
	w, ok := words[e.Code]
	if !ok {
		w = words[control.CodeInternal]
	}
	text := w.text
	if text == "" {
		text = sentence(e.Message)
	}
	f := detail(w.status, text)
	f.code, f.answered.retry = e.Code, w.retry
	if e.RetryAfterMs > 0 {
		f.answered.retry = int((e.RetryAfterMs + 999) / 1000)
	}
	if e.Code == control.CodeRate {
		f.answered.body = map[string]string{"detail": "Request was throttled. Expected available in " + strconv.Itoa(f.answered.retry) + " seconds."}
	}
	if len(e.Problems) > 0 {
		t := tree{}
		for _, p := range e.Problems {
			t.add(messageOf(p), fields.path(p.Field)...)
		}
		f.answered.body = t
	}
	return f
}

// messageOf is a problem as this API says it.
func messageOf(p endpoint.Problem) string {
	if p.Code == endpoint.CodeRequired && !strings.Contains(p.Message, "secrets") {
		return "This field is required."
	}
	return sentence(p.Message)
}

// sentence writes a message as a sentence.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return strings.TrimSuffix(string(unicode.ToUpper(r))+s[n:], ".") + "."
}

// A tree is a body that names fields: name or index to a list of messages, or
// to another tree.
type tree map[string]any

// general is the name of what is wrong with no one field.
const general = "non_field_errors"

// add puts a message at a path. One that would stand beside the fields below it
// goes to them.
func (t tree) add(text string, path ...string) {
	if len(path) == 0 {
		path = []string{general}
	}
	at, last := t, len(path)-1
	for _, name := range path[:last] {
		below, ok := at[name].(tree)
		if !ok {
			below = tree{}
			if have, ok := at[name].([]string); ok {
				below[general] = have
			}
			at[name] = below
		}
		at = below
	}
	switch have := at[path[last]].(type) {
	case tree:
		have.add(text)
	case []string:
		at[path[last]] = append(have, text)
	default:
		at[path[last]] = []string{text}
	}
}

// fault is the refusal of a request with those mistakes.
func (t tree) fault() *fault {
	return &fault{answered: answer{status: http.StatusBadRequest, body: t}}
}

// names are this API's names of an operation's fields. Keys are paths of the
// operation's, with # for an index; what is below a key keeps its place.
type names map[string]string

// path returns where a field of the operation's stands in this API; none: it
// has no such field.
func (n names) path(field string) []string {
	parts := strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(field), ".")
	var key []string
	var indexes []string
	best, at := "", 0
	var taken []string
	for i, part := range parts {
		if _, err := strconv.Atoi(part); err == nil {
			indexes, part = append(indexes, part), "#"
		}
		key = append(key, part)
		if name, ok := n[strings.Join(key, ".")]; ok {
			best, at, taken = name, i+1, indexes
		}
	}
	if at == 0 {
		return nil
	}
	path := strings.Split(best, ".")
	for i, part := range path {
		if part == "#" && len(taken) > 0 {
			path[i], taken = taken[0], taken[1:]
		}
	}
	return path
}
