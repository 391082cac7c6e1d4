package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"patchbay/control/gateway"
)

// FuzzRequest sends what nobody would: the operation is asked with one JSON
// object or not at all, and the client is never told that the fault is ours.
func FuzzRequest(f *testing.F) {
	for i, body := range []string{``, `{}`, `{"spec":{"a":1},"id":null}`, `{"a":1,"a":2}`, `[1]`, `{"limits":1e999}`, "{\"\xff\":\"\\ud800\"}", `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`} {
		f.Add(uint8(i*7), "limit=1&cursor=%2F", body, `"3"`)
	}
	f.Add(uint8(0), "a;b=%zz", "", `W/"1"`)
	routes := gateway.Routes()
	f.Fuzz(func(t *testing.T, n uint8, query, body, match string) {
		r := routes[int(n)%len(routes)]
		path := r.Path
		for _, name := range r.InPath() {
			path = strings.NewReplacer("{"+name+"}", "x", "{"+name+"...}", "x").Replace(path)
		}
		d := &desk{reply: json.RawMessage(`{}`)}
		c := call{method: r.Method, path: path, body: body}
		req := c.request()
		req.URL = &url.URL{Path: path, RawQuery: query}
		req.Header["If-Match"] = []string{match}
		resp := serve(t, d, req)
		if resp.StatusCode == http.StatusInternalServerError {
			t.Fatalf("%s?%s: 500", r.Pattern(), query)
		}
		if len(d.asked) > 0 {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(d.asked[0].Body, &object); err != nil || object == nil {
				t.Fatalf("%s: asked %q", r.Pattern(), d.asked[0].Body)
			}
		}
	})
}
