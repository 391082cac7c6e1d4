package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"patchbay/control"
	"patchbay/control/gateway"
	"patchbay/internal/golden"
)

// An exchange is the example of a route: what control's own example of the
// operation is over HTTP.
type exchange struct {
	route   gateway.Route
	about   control.Description
	call    call
	request map[string]any // what the operation must be asked
	reply   json.RawMessage
}

// exchanges returns one for each route.
func exchanges(t testing.TB) (all []exchange) {
	t.Helper()
	ops := described()
	for _, r := range gateway.Routes() {
		i := slices.IndexFunc(ops, func(d control.Description) bool { return d.Noun+"."+d.Verb == r.Op })
		if i < 0 {
			t.Fatalf("%s: there is no operation %s", r.Pattern(), r.Op)
		}
		if _, err := os.Stat("../testdata/api/" + r.Op + ".reply.json"); err != nil {
			t.Errorf("%s has no example: see TestExamplesOfTheControlAPI in control", r.Op)
			continue
		}
		all = append(all, exchangeOf(t, r, ops[i]))
	}
	return all
}

func exchangeOf(t testing.TB, r gateway.Route, d control.Description) exchange {
	t.Helper()
	given := decoded[map[string]any](t, example(t, r.Op+".request"))
	x := exchange{route: r, about: d, request: given, reply: example(t, r.Op+".reply"), call: call{method: r.Method, path: r.Path, head: map[string]string{}}}
	left := maps.Clone(given)
	for _, name := range r.InPath() {
		if left[name] == nil {
			given[name] = "acme"
		}
		x.call.path = strings.NewReplacer("{"+name+"}", fmt.Sprint(given[name]), "{"+name+"...}", fmt.Sprint(given[name])).Replace(x.call.path)
		delete(left, name)
	}
	if revision, ok := left["revision"]; ok {
		x.call.head["If-Match"] = fmt.Sprintf(`"%v"`, revision)
		delete(left, "revision")
	}
	switch r.Method {
	case http.MethodPatch:
		x.call.body = string(encoded(t, left["patch"]))
	case http.MethodPost:
		spec, _ := left["spec"].(map[string]any)
		delete(left, "spec")
		maps.Copy(left, spec)
		if len(left) > 0 {
			x.call.body = string(encoded(t, left))
		}
	default:
		q := url.Values{}
		for name, value := range left {
			q.Set(name, fmt.Sprint(value))
		}
		if len(q) > 0 {
			x.call.path += "?" + q.Encode()
		}
	}
	return x
}

// text writes the exchange as it goes over the wire.
func (x exchange) text(t testing.TB, resp *http.Response) []byte {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\nAuthorization: Bearer <key>\n", x.call.method, x.call.path)
	for _, name := range slices.Sorted(maps.Keys(x.call.head)) {
		fmt.Fprintf(&b, "%s: %s\n", name, x.call.head[name])
	}
	if x.call.body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\n\n%s", x.call.body)
	}
	fmt.Fprintf(&b, "\nHTTP/1.1 %s\n", resp.Status)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
	}
	if raw := bodyOf(t, resp); len(raw) > 0 {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, raw, "", "  "); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
		fmt.Fprintf(&b, "\n%s", pretty.Bytes())
	}
	return b.Bytes()
}

// file is the name of a route's golden file.
func (x exchange) file() string {
	name := strings.NewReplacer("/v1/", "", "/", "-", "{", "", "}", "", "...", "").Replace(x.route.Path)
	return "testdata/routes/" + name + "." + strings.ToLower(x.route.Method) + ".http"
}

// TestEveryRouteAsksItsOperationAndWritesItsReply sends control's example of
// each operation over HTTP: the operation must be asked the same as over NATS,
// and the reply be the same.
func TestEveryRouteAsksItsOperationAndWritesItsReply(t *testing.T) {
	t.Parallel()
	for _, x := range exchanges(t) {
		d := &desk{reply: x.reply}
		resp := do(t, d, x.call)
		if len(d.asked) != 1 {
			t.Errorf("%s: %s: %s", x.route.Pattern(), resp.Status, bodyOf(t, resp))
			continue
		}
		got := decoded[map[string]any](t, d.asked[0].Body)
		if !sameRequest(got, x.request) || d.asked[0].Noun+"."+d.asked[0].Verb != x.route.Op {
			t.Errorf("%s asked %s.%s %s, want %s %v", x.route.Pattern(), d.asked[0].Noun, d.asked[0].Verb, d.asked[0].Body, x.route.Op, x.request)
		}
		golden.Compare(t, x.file(), x.text(t, resp))
	}
}

// sameRequest ignores a spec or patch that says nothing.
func sameRequest(a, b map[string]any) bool {
	for _, m := range []map[string]any{a, b} {
		for _, name := range []string{"spec", "patch"} {
			if inner, ok := m[name].(map[string]any); ok && len(inner) == 0 {
				delete(m, name)
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

// TestEveryOperationHasARoute is how an operation that HTTP lacks is found.
func TestEveryOperationHasARoute(t *testing.T) {
	t.Parallel()
	routed := map[string]bool{}
	for _, r := range gateway.Routes() {
		routed[r.Op] = true
	}
	for _, d := range described() {
		if !routed[d.Noun+"."+d.Verb] {
			t.Errorf("%s.%s has no route: add one to control/gateway/routes.go, then go test ./control/gateway ./internal/doctest -update", d.Noun, d.Verb)
		}
	}
}

// TestFieldsOfARequestAreNoFieldsOfItsSpec holds what lets a body have both side
// by side.
func TestFieldsOfARequestAreNoFieldsOfItsSpec(t *testing.T) {
	t.Parallel()
	for _, x := range exchanges(t) {
		if x.route.Spec == nil || x.route.Method != http.MethodPost {
			continue
		}
		names := map[string]bool{}
		for _, f := range control.JSONFields(x.route.Spec) {
			names[f.Name] = true
		}
		for _, f := range control.JSONFields(x.about.In) {
			if names[f.Name] {
				t.Errorf("%s: %s is a field of the request and of its spec", x.route.Op, f.Name)
			}
		}
	}
}

// TestAnOperationWithASpecSaysWhatItIs keeps documents whole.
func TestAnOperationWithASpecSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, x := range exchanges(t) {
		wants := false
		for _, f := range control.JSONFields(x.about.In) {
			wants = wants || f.Name == "spec" || f.Name == "patch"
		}
		if wants != (x.route.Spec != nil) || x.route.Does == "" {
			t.Errorf("%s: the route must say what its spec is, and what it does", x.route.Pattern())
		}
	}
}
