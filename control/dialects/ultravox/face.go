package ultravox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"patchbay/control"
)

// Patterns are what the face serves, for [http.ServeMux].
func Patterns() []string {
	return []string{"/api/sip", "/api/sip/", "/api/calls", "/api/calls/", "/api/agents", "/api/agents/", "/api/webhooks", "/api/webhooks/"}
}

// keyHeader holds the API key.
const keyHeader = "X-API-Key"

// Names tells the name of one of a tenant's agents; "" where it is not known.
type Names func(ctx context.Context, tenant, agent string) string

// A Face serves the API. Make it with [New].
type Face struct {
	kit   control.Kit
	names Names
	mux   *http.ServeMux
}

// New returns the face. names may be nil: agents are shown without them.
func New(kit control.Kit, names Names) *Face {
	if names == nil {
		names = func(context.Context, string, string) string { return "" }
	}
	f := &Face{kit: kit, names: names, mux: http.NewServeMux()}
	for path, verbs := range f.routes() {
		f.mux.Handle(path, f.route(verbs))
	}
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { write(w, notFound().answer()) })
	return f
}

// A verb carries out one method of a path.
type verb func(*ask) (answer, error)

// routes are the paths of the API with what each can do.
func (f *Face) routes() map[string]map[string]verb {
	return map[string]map[string]verb{
		"/api/sip":                    {"GET": getSIP, "PATCH": patchSIP},
		"/api/sip/registrations":      {"GET": listRegistrations, "POST": createRegistration},
		"/api/sip/registrations/{id}": {"GET": getRegistration, "PATCH": patchRegistration, "DELETE": deleteRegistration},
		"/api/agents/{agent}/calls":   {"GET": listAgentCalls, "POST": createAgentCall},
		"/api/calls":                  {"GET": listCalls, "POST": createCall},
		"/api/calls/{id}":             {"GET": getCall, "DELETE": deleteCall},
		"/api/calls/{id}/sip_logs":    {"GET": getSIPLogs},
		"/api/webhooks":               {"GET": listWebhooks, "POST": createWebhook},
		"/api/webhooks/{id}":          {"GET": getWebhook, "PUT": putWebhook, "PATCH": patchWebhook, "DELETE": deleteWebhook},
	}
}

// ServeHTTP implements [http.Handler].
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

// Refuse answers in the face's words what was refused before it was asked.
func Refuse(w http.ResponseWriter, _ *http.Request, told *control.Error) {
	write(w, faultOf(told, nil).answer())
}

// route serves one path: the method, the key, the account's rate, then the
// verb.
func (f *Face) route(verbs map[string]verb) http.Handler {
	allowed := make([]string, 0, len(verbs))
	for method := range verbs {
		allowed = append(allowed, method)
	}
	slices.Sort(allowed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		do, ok := verbs[method]
		if !ok {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			write(w, detail(http.StatusMethodNotAllowed, `Method "`+r.Method+`" not allowed.`).answer())
			return
		}
		a, err := f.admit(r)
		if err == nil {
			var out answer
			if out, err = do(a); err == nil {
				write(w, out)
				return
			}
		}
		write(w, f.fault(r.Context(), err).answer())
	})
}

// An ask is one request of a client whose key is good.
type ask struct {
	face *Face
	http *http.Request
	cred control.Credential
}

// admit looks at the key and counts the request.
func (f *Face) admit(r *http.Request) (*ask, error) {
	key := r.Header.Get(keyHeader)
	if key == "" {
		return nil, detail(http.StatusUnauthorized, "Authentication credentials were not provided.")
	}
	cred, err := f.kit.Verify(r.Context(), key)
	if err != nil {
		return nil, err
	}
	if _, err := f.kit.Count(r.Context(), cred); err != nil {
		return nil, err
	}
	return &ask{face: f, http: r, cred: cred}, nil
}

// do carries out one operation. Fields that its error names are told by their
// names in this API, which fields holds.
func do[T any](a *ask, noun, verb string, in any, fields names) (T, error) {
	var none T
	body, err := json.Marshal(in)
	if err != nil {
		return none, err
	}
	out, err := a.face.kit.Do(a.http.Context(), a.cred, control.Request{Noun: noun, Verb: verb, Body: body, Counted: true,
		IdempotencyKey: a.http.Header.Get("Idempotency-Key")})
	if err != nil {
		return none, faultOf(a.face.kit.Told(a.http.Context(), err), fields)
	}
	typed, ok := out.(T)
	if !ok {
		return none, fmt.Errorf("%s.%s: a reply of type %T", noun, verb, out)
	}
	return typed, nil
}
