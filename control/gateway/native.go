package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// NativeName is the name of the native face.
const NativeName = "native"

// A native is the native API: every operation, as JSON over HTTP.
type native struct {
	kit control.Kit
	mux *http.ServeMux
}

// NewNative returns the native face of operations. A route of an operation that is
// not there is an error.
func NewNative(kit control.Kit, operations []control.Description) (Face, error) {
	n := &native{kit: kit, mux: http.NewServeMux()}
	for _, r := range Routes() {
		i := slices.IndexFunc(operations, func(d control.Description) bool { return d.Noun+"."+d.Verb == r.Op })
		if i < 0 {
			return Face{}, fmt.Errorf("gateway: route %s: no operation %s", r.Pattern(), r.Op)
		}
		n.mux.Handle(r.Pattern(), n.serve(pack(r, operations[i])))
	}
	n.mux.HandleFunc("/v1/", n.nothing)
	return Face{Name: NativeName, Patterns: []string{"/v1/"}, Handler: n.mux}, nil
}

// serve carries out one route.
func (n *native) serve(p *parcel) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cred, err := n.credential(r)
		if err != nil {
			fail(n.kit, w, r, err)
			return
		}
		noted(r).tenant = cred.Tenant
		out, err := n.do(w, r, p, cred)
		if err == nil {
			err = p.reply(w, r, out)
		}
		if err != nil {
			fail(n.kit, w, r, err)
		}
	})
}

// do counts the request, also one that is wrong, and carries it out.
func (n *native) do(w http.ResponseWriter, r *http.Request, p *parcel, cred control.Credential) (any, error) {
	rate, err := n.kit.Count(r.Context(), cred)
	if rate.Limit > 0 {
		showRate(w.Header(), rate, n.kit.Now())
	}
	if err != nil {
		return nil, err
	}
	req, err := p.request(r)
	if err != nil {
		return nil, err
	}
	req.Counted = true
	return n.kit.Do(r.Context(), cred, req)
}

// credential verifies the key of a request: Authorization: Bearer, or X-API-Key.
func (n *native) credential(r *http.Request) (control.Credential, error) {
	key := r.Header.Get(headerKey)
	if given := r.Header.Get("Authorization"); given != "" {
		kind, bearer, _ := strings.Cut(given, " ")
		bearer = strings.TrimSpace(bearer)
		if !strings.EqualFold(kind, "bearer") || key != "" && key != bearer {
			return control.Credential{}, &control.Error{Code: control.CodeDenied, Message: "want one key: Authorization: Bearer <key>, or X-API-Key: <key>"}
		}
		key = bearer
	}
	if key == "" {
		return control.Credential{}, &control.Error{Code: control.CodeDenied, Message: "want a key: Authorization: Bearer <key>, or X-API-Key: <key>"}
	}
	return n.kit.Verify(r.Context(), key)
}

// showRate says what is left of a limit: in the common headers, whose reset is a
// Unix time, and in those of the IETF's draft, whose times are seconds.
func showRate(h http.Header, r control.Rate, now time.Time) {
	seconds := int64((r.Reset + time.Second - 1) / time.Second)
	h.Set("X-RateLimit-Limit", strconv.Itoa(r.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(r.Remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(now.Unix()+seconds, 10))
	h.Set("RateLimit-Policy", fmt.Sprintf(`"minute";q=%d;w=60`, r.Limit))
	h.Set("RateLimit", fmt.Sprintf(`"minute";r=%d;t=%d`, r.Remaining, seconds))
}

// outline is what the gateway looks at in a reply.
type outline struct {
	ID       string            `json:"id"`
	Tenant   string            `json:"tenant"`
	Source   string            `json:"source"`
	Revision endpoint.Revision `json:"revision"`
	Next     string            `json:"next"`
}

// reply writes what the operation returned.
func (p *parcel) reply(w http.ResponseWriter, r *http.Request, out any) error {
	h := w.Header()
	h.Set("Cache-Control", "no-store") // slugs are credentials
	if p.Status() == http.StatusNoContent {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	body, err := plainJSON(out)
	if err != nil {
		return fmt.Errorf("write a reply: %w", err)
	}
	var about outline
	_ = json.Unmarshal(body, &about) // what it does not find is not there
	if about.Revision != 0 {
		h.Set("ETag", etag(uint64(about.Revision)))
	}
	if p.Method == http.MethodGet && about.Revision != 0 && known(r.Header.Values("If-None-Match"), h.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if about.Next != "" && p.Method == http.MethodGet {
		h.Set("Link", nextLink(r, about.Next))
	}
	if p.Names != "" {
		name := map[string]string{"id": about.ID, "tenant": about.Tenant, "source": about.Source}[p.Names]
		h.Set("Location", r.URL.Path+"/"+(&url.URL{Path: name}).EscapedPath())
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(p.Status())
	_, _ = w.Write(append(body, '\n'))
	return nil
}

// known reports whether a client has the version already (RFC 9110 13.1.2: by
// weak comparison).
func known(given []string, tag string) bool {
	for _, one := range strings.Split(strings.Join(given, ","), ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// nextLink leads to the next page of the same list (RFC 8288).
func nextLink(r *http.Request, cursor string) string {
	q := r.URL.Query()
	q.Set("cursor", cursor)
	return "<" + r.URL.EscapedPath() + "?" + q.Encode() + `>; rel="next"`
}

// methods are those that the native API has.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete}

// nothing answers where no route is: 405 or OPTIONS with what the path allows,
// or 404. It asks for no key: the routes are no secret.
func (n *native) nothing(w http.ResponseWriter, r *http.Request) {
	allowed := n.allowed(r)
	switch {
	case allowed == nil:
		writeProblem(w, r, http.StatusNotFound, &control.Error{Code: control.CodeNotFound, Message: "no such route; GET /reference lists them"})
		return
	case r.Method != http.MethodOptions:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, r, http.StatusMethodNotAllowed, &control.Error{Code: control.CodeInvalid, Message: "this path has no method " + methodWord(r.Method)})
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	w.WriteHeader(http.StatusNoContent)
}

// allowed returns the methods of a path, OPTIONS among them; nil: it has none.
func (n *native) allowed(r *http.Request) (all []string) {
	for _, method := range methods {
		probe := &http.Request{Method: method, Host: r.Host, URL: r.URL}
		if _, pattern := n.mux.Handler(probe); pattern != "/v1/" {
			all = append(all, method)
		}
	}
	if all == nil {
		return nil
	}
	return append(all, http.MethodOptions)
}

// methodWord is a method as it may be shown, in logs and metrics too.
func methodWord(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
