package yappr

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// Settings are what this face is told of the node.
type Settings struct {
	// Transports are what a PBX may use towards sip_connection.server.
	Transports []string
}

// A face serves Yappr's routes. It keeps nothing between requests.
type face struct {
	kit    control.Kit
	set    Settings
	routes *http.ServeMux
}

// A request is one request of a client whose key is good.
type request struct {
	*http.Request
	cred control.Credential
}

// A reply is what a route answers with.
type reply struct {
	status int
	body   any
}

// A route does what one method of one path is for.
type route struct {
	scope string // in Yappr's words
	do    func(*face, request) (reply, error)
}

// methods are the routes of one path.
type methods map[string]route

// served are all paths below /sip-endpoints, in the order in which GET / tells
// them.
var served = []struct {
	path string
	by   methods
}{
	{"/sip-endpoints", methods{
		http.MethodGet:  {endpoint.ScopeYapprRead, (*face).list},
		http.MethodPost: {endpoint.ScopeYapprManage, (*face).create}}},
	{"/sip-endpoints/status", methods{
		http.MethodGet: {endpoint.ScopeYapprRead, (*face).status}}},
	{"/sip-endpoints/{id}", methods{
		http.MethodGet:    {endpoint.ScopeYapprRead, (*face).get},
		http.MethodPatch:  {endpoint.ScopeYapprManage, (*face).patch},
		http.MethodDelete: {endpoint.ScopeYapprManage, (*face).remove}}},
	{"/sip-endpoints/{id}/rotate-password", methods{
		http.MethodPost: {endpoint.ScopeYapprManage, (*face).rotate}}},
}

// Patterns returns what the handler of [New] serves, in the syntax of
// [http.ServeMux].
func Patterns() []string { return []string{"GET /{$}", "/sip-endpoints", "/sip-endpoints/"} }

// New returns Yappr's API over the operations of a kit.
func New(kit control.Kit, set Settings) http.Handler {
	f := &face{kit: kit, set: set, routes: http.NewServeMux()}
	for _, s := range served {
		f.routes.Handle(s.path, f.known(s.by))
	}
	f.routes.Handle("/sip-endpoints/", f.known(nil))
	f.routes.HandleFunc("GET /{$}", f.discover)
	return f.routes
}

// known serves one path to whoever has a key; nil: there is no such path.
func (f *face) known(by methods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := f.serve(w, r, by)
		if err != nil {
			f.refusal(r.Context(), err).write(w)
			return
		}
		answer(w, out.status, out.body)
	})
}

// serve decides in the order: key, rate, path, method, scope, query. A request
// without a good key counts against nobody; every other counts once, whatever
// becomes of it.
func (f *face) serve(w http.ResponseWriter, r *http.Request, by methods) (reply, error) {
	f.showRate(w, control.Rate{})
	cred, err := f.credential(r)
	if err != nil {
		return reply{}, err
	}
	left, err := f.kit.Count(r.Context(), cred)
	f.showRate(w, left)
	if err != nil {
		return reply{}, err
	}
	if by == nil {
		return reply{}, refuse(http.StatusNotFound, codeRoute, "no such path; GET / lists what there is")
	}
	do, ok := by[methodOf(r)]
	if !ok {
		w.Header().Set("Allow", by.allow())
		return reply{}, refuse(http.StatusMethodNotAllowed, codeMethod, "want "+by.allow())
	}
	if !cred.Allows(do.scope) && !cred.Allows(ourScope[do.scope]) {
		return reply{}, refuse(http.StatusUnauthorized, codeScope, "the key lacks the scope "+do.scope)
	}
	return do.do(f, request{r, cred})
}

// ourScope is what a scope of Yappr is in our words.
var ourScope = map[string]string{
	endpoint.ScopeYapprRead:   endpoint.ScopeEndpointsRead,
	endpoint.ScopeYapprManage: endpoint.ScopeEndpointsManage,
}

// methodOf returns the method whose route serves a request: HEAD is a GET whose
// body nobody sees.
func methodOf(r *http.Request) string {
	if r.Method == http.MethodHead {
		return http.MethodGet
	}
	return r.Method
}

func (m methods) allow() string { return strings.Join(m.all(), ", ") }

// credential returns what the request's key may do. Through this face every key
// is under Yappr's rules, whatever its kind.
func (f *face) credential(r *http.Request) (control.Credential, error) {
	word, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if key = strings.TrimSpace(key); !strings.EqualFold(word, "bearer") || key == "" {
		return control.Credential{}, refuse(http.StatusUnauthorized, codeMissingKey, "want Authorization: Bearer <API key>")
	}
	cred, err := f.kit.Verify(r.Context(), key)
	if err != nil {
		if errors.Is(err, control.ErrExpired) {
			return cred, refuse(http.StatusUnauthorized, codeExpiredKey, "the API key has expired")
		}
		return cred, err
	}
	cred.Kind = endpoint.KindOfYappr
	return cred, nil
}

// showRate tells how much is left of what may be asked in a minute. The zero Rate
// is of a request that counts against nobody.
func (f *face) showRate(w http.ResponseWriter, left control.Rate) { showRate(w, left, f.kit.Now()) }

func showRate(w http.ResponseWriter, left control.Rate, now time.Time) {
	if left.Limit == 0 {
		left = control.Rate{Limit: endpoint.YapprRequestsPerMinute, Remaining: endpoint.YapprRequestsPerMinute, Reset: time.Minute}
	}
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(left.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(left.Remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(now.Add(left.Reset+time.Second-1).Unix(), 10))
}

// refusal is what a client is told of an error.
func (f *face) refusal(ctx context.Context, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	return ours(f.kit.Told(ctx, err))
}
