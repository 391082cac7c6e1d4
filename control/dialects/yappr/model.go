package yappr

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
	"patchbay/control"
)

// shown are the kinds of endpoint that Yappr has, and its words for them in
// auth_mode. One whose slug is its credential has none.
var shown = map[endpoint.Kind]string{
	endpoint.KindSlug:       "",
	endpoint.KindCredential: modeCredentials,
	endpoint.KindRegister:   modeRegister,
}

// shownKinds are the keys of shown, in the order of the documents.
var shownKinds = []endpoint.Kind{endpoint.KindSlug, endpoint.KindCredential, endpoint.KindRegister}

// Words of auth_mode.
const (
	modeCredentials = "credentials"
	modeRegister    = "register"
)

// do carries out one operation of a request that was counted.
func do[Out any](f *face, ctx context.Context, cred control.Credential, r control.Request, in any) (out Out, err error) {
	if r.Body, err = json.Marshal(in); err != nil {
		return out, fmt.Errorf("%s.%s: %w", r.Noun, r.Verb, err)
	}
	r.Counted = true
	got, err := f.kit.Do(ctx, cred, r)
	if err != nil {
		return out, err
	}
	out, ok := got.(Out)
	if !ok {
		return out, fmt.Errorf("%s.%s: a reply of type %T", r.Noun, r.Verb, got)
	}
	return out, nil
}

// operation names an operation on endpoints.
func operation(verb string) control.Request { return control.Request{Noun: "endpoint", Verb: verb} }

// inner returns a credential that may also read what the face looks at by itself,
// for a request that it was decided about. Nothing of it is shown beyond what the
// request's own scope shows.
func inner(cred control.Credential, scope string) control.Credential {
	cred.Scopes = append(slices.Clone(cred.Scopes), scope)
	return cred
}

// find returns the endpoint that a request's path names. One of a kind that Yappr
// does not have is not there.
func (f *face) find(r request) (control.EndpointView, error) {
	id := strings.ToLower(r.PathValue("id"))
	if !isUUID(id) {
		return control.EndpointView{}, notFound()
	}
	v, err := do[control.EndpointView](f, r.Context(), inner(r.cred, endpoint.ScopeEndpointsRead), operation("get"), control.ID{ID: id})
	if err != nil {
		return v, err
	}
	if _, ok := shown[v.Kind]; !ok {
		return v, notFound()
	}
	return v, nil
}

// isUUID reports whether an id could be one of ours: anything else is not looked
// for.
func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range []byte(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// get answers with one endpoint.
func (f *face) get(r request) (reply, error) {
	if err := noQuery(r); err != nil {
		return reply{}, err
	}
	v, err := f.find(r)
	if err != nil {
		return reply{}, err
	}
	return f.one(http.StatusOK, v, ""), nil
}

// remove deletes an endpoint. When it answers, the address is refused; calls that
// are up go on.
func (f *face) remove(r request) (reply, error) {
	if err := noQuery(r); err != nil {
		return reply{}, err
	}
	v, err := f.find(r)
	if err != nil {
		return reply{}, err
	}
	if _, err := do[control.Deleted](f, r.Context(), r.cred, operation("delete"), control.Target{ID: v.ID}); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, map[string]bool{"ok": true}}, nil
}

// noQuery refuses parameters: no route but the list reads any.
func noQuery(r request) error {
	for name := range r.URL.Query() {
		return refuse(http.StatusBadRequest, codeQuery, fmt.Sprintf("%.64q is not read here", name))
	}
	return nil
}
