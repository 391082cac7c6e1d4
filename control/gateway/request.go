package gateway

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// Headers of the native API.
const (
	headerIdempotency = "Idempotency-Key"
	headerRequestID   = "X-Request-Id"
	headerKey         = "X-API-Key"
)

// A field is what a route takes from a place outside the body.
type field struct {
	name string
	typ  reflect.Type
}

// A parcel is a route with what its operation wants.
type parcel struct {
	Route
	about control.Description

	query    []field // GET, DELETE
	fields   []string
	spec     bool // what is no field is the spec's
	revision bool // If-Match may be sent
}

// pack finds out how a route makes a request of its operation.
func pack(r Route, d control.Description) *parcel {
	p := &parcel{Route: r, about: d}
	inPath := r.InPath()
	for _, f := range control.JSONFields(d.In) {
		switch {
		case f.Name == "revision":
			p.revision = true
		case f.Name == "spec" || f.Name == "patch":
			p.spec = true
		case slices.Contains(inPath, f.Name) || slices.Contains(r.Without, f.Name):
		case r.Method == http.MethodGet || r.Method == http.MethodDelete:
			p.query = append(p.query, field{f.Name, f.Type})
		default:
			p.fields = append(p.fields, f.Name)
		}
	}
	return p
}

// request makes the operation's request of an HTTP one.
func (p *parcel) request(r *http.Request) (control.Request, error) {
	noun, verb, _ := strings.Cut(p.Op, ".")
	out := control.Request{Noun: noun, Verb: verb, IdempotencyKey: r.Header.Get(headerIdempotency)}
	all := map[string]json.RawMessage{}
	problems := p.fromQuery(r, all)
	if p.Method == http.MethodPost || p.Method == http.MethodPatch {
		more, err := p.fromBody(r, all)
		if err != nil {
			return out, err
		}
		problems = append(problems, more...)
	}
	for _, name := range p.InPath() {
		all[name] = text(r.PathValue(name))
	}
	problems = append(problems, p.fromIfMatch(r, all)...)
	if len(problems) > 0 {
		return out, &control.Error{Code: control.CodeInvalid, Message: "the request is wrong", Problems: problems}
	}
	var err error
	out.Body, err = plainJSON(all)
	return out, err
}

// fromQuery takes fields from the query. A parameter that the route does not
// have is a mistake: a misspelt wish must not be lost.
func (p *parcel) fromQuery(r *http.Request, all map[string]json.RawMessage) (problems []endpoint.Problem) {
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return []endpoint.Problem{{Field: "query", Code: endpoint.CodeInvalid, Message: "the query cannot be read"}}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i := slices.IndexFunc(p.query, func(f field) bool { return f.name == name })
		if i < 0 {
			problems = append(problems, endpoint.Problem{Field: name, Code: "unknown", Message: "there is no such parameter"})
			continue
		}
		value, want := parameter(p.query[i].typ, given[name])
		if want != "" {
			problems = append(problems, endpoint.Problem{Field: name, Code: endpoint.CodeInvalid, Message: want})
			continue
		}
		all[name] = value
	}
	return problems
}

var textDecoder = reflect.TypeFor[encoding.TextUnmarshaler]()

// parameter writes the values of a parameter as JSON of a type, or says what is
// wanted.
func parameter(t reflect.Type, values []string) (value json.RawMessage, want string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice {
		list, _ := json.Marshal(values)
		return list, ""
	}
	if len(values) != 1 {
		return nil, "want it once"
	}
	switch v := values[0]; {
	case t.Kind() == reflect.String || reflect.PointerTo(t).Implements(textDecoder):
		return text(v), ""
	case t.Kind() == reflect.Bool && (v == "true" || v == "false"):
		return json.RawMessage(v), ""
	case t.Kind() == reflect.Bool:
		return nil, "want true or false"
	default:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, "want a whole number"
		}
		return json.RawMessage(strconv.FormatInt(n, 10)), ""
	}
}

// fromBody takes fields from the body; what the request has no field for is of
// its spec, or the patch.
func (p *parcel) fromBody(r *http.Request, all map[string]json.RawMessage) (problems []endpoint.Problem, err error) {
	given, err := object(r)
	if err != nil {
		return nil, err
	}
	if p.Method == http.MethodPatch {
		all["patch"], err = plainJSON(given)
		return nil, err
	}
	rest := map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case slices.Contains(p.fields, name):
			all[name] = given[name]
		case p.spec:
			rest[name] = given[name]
		default:
			problems = append(problems, endpoint.Problem{Field: name, Code: "unknown", Message: "there is no such field"})
		}
	}
	if p.spec {
		all["spec"], err = plainJSON(rest)
	}
	return problems, err
}

// object reads a body, which is a JSON object or nothing.
func object(r *http.Request) (map[string]json.RawMessage, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, unread(err)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return map[string]json.RawMessage{}, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" && !(r.Method == http.MethodPatch && kind == "application/merge-patch+json") || err != nil {
		return nil, &refusal{http.StatusUnsupportedMediaType, invalid("Content-Type", "want application/json")}
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil || given == nil {
		return nil, invalid("", "want a JSON object")
	}
	return given, nil
}

// unread says why a body could not be read.
func unread(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return &refusal{http.StatusRequestEntityTooLarge, invalidAs(endpoint.CodeTooLong, "body", fmt.Sprintf("want at most %d bytes", long.Limit))}
	}
	return &refusal{http.StatusRequestTimeout, invalid("body", "the request did not come whole in time")}
}

// fromIfMatch takes the revision from If-Match: the ETag of a reply, or * for
// any.
func (p *parcel) fromIfMatch(r *http.Request, all map[string]json.RawMessage) []endpoint.Problem {
	given := strings.TrimSpace(strings.Join(r.Header.Values("If-Match"), ", "))
	if given == "" || p.Method == http.MethodGet {
		return nil
	}
	if !p.revision {
		return []endpoint.Problem{{Field: "If-Match", Code: endpoint.CodeNotSupported, Message: "what this is about has no revision"}}
	}
	if given == "*" {
		return nil
	}
	n, err := strconv.ParseUint(strings.Trim(given, `"`), 10, 64)
	if err != nil || n == 0 || given != etag(n) {
		return []endpoint.Problem{{Field: "If-Match", Code: endpoint.CodeInvalid, Message: "want one ETag of a reply, or *"}}
	}
	all["revision"] = json.RawMessage(strconv.FormatUint(n, 10))
	return nil
}

func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

func text(s string) json.RawMessage {
	raw, _ := json.Marshal(s)
	return raw
}

// plainJSON writes JSON without escapes that only browsers need: what is six
// times as long might be too long.
func plainJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
