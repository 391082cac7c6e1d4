package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"patchbay/control"
	"patchbay/control/gateway"
	"patchbay/internal/golden"
)

// sourceDirs are the packages whose types are in requests and replies.
var sourceDirs = map[string]string{"patchbay/control": "..", "patchbay/actors/endpoint": "../../actors/endpoint",
	"patchbay/actors/call": "../../actors/call", "patchbay/actors": "../../actors"}

// openAPI is the document of the native API.
func openAPI(t testing.TB) doc {
	t.Helper()
	s := newSchemas(t, readSources(t, sourceDirs))
	all := exchanges(t)
	for _, x := range all {
		if x.route.Spec != nil {
			s.partsOf(x.route.Spec)
		}
		s.partsOf(x.about.In)
	}
	paths := doc{}
	for _, x := range all {
		path := strings.ReplaceAll(x.route.Path, "...", "")
		methods, ok := paths[path].(doc)
		if !ok {
			methods = doc{}
			paths[path] = methods
		}
		methods[strings.ToLower(x.route.Method)] = s.operation(x)
	}
	return doc{
		"openapi": "3.1.0",
		"info": doc{"title": "Patchbay", "version": "1", "summary": "SIP calls to AI agents over WebRTC",
			"description": "The native API. Each operation is the same as over NATS, and keeps the same rules; GET /reference has them for people."},
		"servers":  []doc{{"url": "/"}},
		"security": []doc{{"bearer": []string{}}, {"key": []string{}}},
		"tags":     tags(all),
		"paths":    paths,
		"components": doc{
			"schemas":         s.finished(t),
			"securitySchemes": doc{"bearer": doc{"type": "http", "scheme": "bearer"}, "key": doc{"type": "apiKey", "in": "header", "name": "X-API-Key"}},
			"responses":       errorReplies(t),
			"headers":         replyHeaders(),
		},
	}
}

func tags(all []exchange) (list []doc) {
	seen := map[string]bool{}
	for _, x := range all {
		if !seen[x.about.Noun] {
			seen[x.about.Noun] = true
			list = append(list, doc{"name": x.about.Noun})
		}
	}
	return list
}

// finished adds what no operation returns by itself.
func (s *schemas) finished(testing.TB) doc {
	problem := s.object(nil, reflect.TypeFor[struct{}]())
	problem["description"] = "An error (RFC 9457)."
	problem["required"] = []string{"type", "title", "status", "detail", "code"}
	problem["properties"] = doc{
		"type": doc{"type": "string", "format": "uri-reference"}, "title": doc{"type": "string"}, "status": doc{"type": "integer"},
		"detail": doc{"type": "string"}, "code": doc{"type": "string", "enum": s.from.words["patchbay/control.Code"]},
		"problems":       doc{"type": "array", "items": s.named(problemType), "description": "Every mistake of the request"},
		"retry_after_ms": doc{"type": "integer"}, "request_id": doc{"type": "string"},
	}
	s.all["Error"] = problem
	return s.all
}

// operation describes one route.
func (s *schemas) operation(x exchange) doc {
	o := doc{"operationId": operationID(x.route), "summary": x.route.Does, "tags": []string{x.about.Noun},
		"description": permission(x.about), "responses": s.replies(x)}
	if list := s.parameters(x); len(list) > 0 {
		o["parameters"] = list
	}
	if x.route.Method == http.MethodPost || x.route.Method == http.MethodPatch {
		if schema := s.body(x); schema != nil {
			content := doc{"schema": schema}
			if x.call.body != "" {
				content["example"] = decoded[any](s.t, []byte(x.call.body))
			}
			o["requestBody"] = doc{"required": len(content) > 1, "content": doc{"application/json": content}}
		}
	}
	return o
}

// operationID is one for each route: some operations have two.
func operationID(r gateway.Route) string {
	id := strings.ReplaceAll(r.Op, ".", "-")
	if len(r.Without) > 0 {
		return "own-" + id
	}
	return id
}

// permission says who may.
func permission(d control.Description) string {
	text := "Wants the scope `" + strings.Join(d.Scopes, "` and `") + "`."
	if d.Operator {
		text += " For the operator's account only."
	}
	return text + " Over NATS: `" + d.Noun + "." + d.Verb + "`."
}

// parameters are those of path, query and headers.
func (s *schemas) parameters(x exchange) (list []doc) {
	inPath, reads := x.route.InPath(), x.route.Method == http.MethodGet || x.route.Method == http.MethodDelete
	revision := false
	for _, f := range control.JSONFields(x.about.In) {
		switch {
		case f.Name == "revision":
			revision = true
		case slices.Contains(inPath, f.Name):
			list = append(list, doc{"name": f.Name, "in": "path", "required": true, "schema": s.field(f)})
		case reads && !slices.Contains(x.route.Without, f.Name):
			list = append(list, doc{"name": f.Name, "in": "query", "required": !f.Absent, "schema": s.field(f)})
		}
	}
	head := func(name, text string) {
		list = append(list, doc{"name": name, "in": "header", "schema": doc{"type": "string"}, "description": text})
	}
	switch {
	case x.route.Names != "":
		head("Idempotency-Key", "The same key with the same body makes the object once within 24 h; at most 255 bytes")
	case revision:
		head("If-Match", "ETag of a reply: 412 where the object has changed since")
	case x.route.Method == http.MethodGet && returnsRevision(x):
		head("If-None-Match", "ETag of a reply: 304 where the object has not changed since")
	}
	return list
}

func returnsRevision(x exchange) bool {
	return slices.ContainsFunc(control.JSONFields(x.about.Out), func(f control.JSONField) bool { return f.Name == "revision" })
}

// body is the schema of a request's body; nil: it has none.
func (s *schemas) body(x exchange) doc {
	if x.route.Method == http.MethodPatch {
		is := clone(s.of(x.route.Spec))
		is["description"] = "A merge patch (RFC 7396): what is absent stays, null removes."
		return is
	}
	var fields []control.JSONField
	var required []string
	for _, f := range control.JSONFields(x.about.In) {
		if f.Name == "spec" || f.Name == "revision" || slices.Contains(x.route.InPath(), f.Name) {
			continue
		}
		fields = append(fields, f)
		if !f.Absent {
			required = append(required, f.Name)
		}
	}
	if x.route.Spec != nil {
		fields = append(fields, control.JSONFields(x.route.Spec)...)
	}
	if len(fields) == 0 {
		return nil
	}
	is := s.object(fields, reflect.TypeFor[struct{}]())
	delete(is, "required")
	if len(required) > 0 {
		is["required"] = required
	}
	is["additionalProperties"] = false
	return is
}

// replies are the good one, and errors.
func (s *schemas) replies(x exchange) doc {
	heads := doc{}
	for name, has := range map[string]bool{"X-Request-Id": true, "X-RateLimit-Limit": true, "X-RateLimit-Remaining": true, "X-RateLimit-Reset": true,
		"ETag": returnsRevision(x), "Location": x.route.Names != "", "Link": strings.HasSuffix(x.about.Out.Name(), "]") && x.route.Method == http.MethodGet} {
		if has {
			heads[name] = doc{"$ref": "#/components/headers/" + name}
		}
	}
	good := doc{"description": x.route.Does, "headers": heads}
	if x.route.Status() != http.StatusNoContent {
		good["content"] = doc{"application/json": doc{"schema": s.of(x.about.Out), "example": decoded[any](s.t, x.reply)}}
	}
	out := doc{fmt.Sprint(x.route.Status()): good}
	if x.route.Method == http.MethodGet && returnsRevision(x) {
		out["304"] = doc{"description": "The object has not changed since the ETag of If-None-Match",
			"headers": doc{"X-Request-Id": heads["X-Request-Id"], "ETag": heads["ETag"]}}
	}
	for _, status := range failures(x) {
		out[fmt.Sprint(status)] = doc{"$ref": fmt.Sprintf("#/components/responses/%d", status)}
	}
	return out
}

// failures are the statuses that a route may answer with beside its good one.
func failures(x exchange) []int {
	all := []int{400, 401, 403, 429, 500, 503}
	if len(x.route.InPath()) > 0 {
		all = append(all, 404)
	}
	if x.route.Method == http.MethodPost || x.route.Method == http.MethodPatch {
		all = append(all, 408, 413, 415)
	}
	if x.route.Method != http.MethodGet {
		all = append(all, 409)
	}
	for _, f := range control.JSONFields(x.about.In) {
		if f.Name == "revision" {
			all = append(all, 412)
		}
	}
	return all
}

// TestOpenAPIIsWhatIsServed writes openapi.json, and compares it with the routes.
func TestOpenAPIIsWhatIsServed(t *testing.T) {
	t.Parallel()
	golden.Compare(t, "documents/openapi.json", encoded(t, openAPI(t)))
}

// TestOpenAPIHoldsTogether looks for what validators of OpenAPI look for.
func TestOpenAPIHoldsTogether(t *testing.T) {
	t.Parallel()
	raw := encoded(t, openAPI(t))
	api := decoded[doc](t, raw)
	ids := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), item)
			}
		case doc:
			if ref, ok := v["$ref"].(string); ok && find(api, ref) == nil {
				t.Errorf("%s: %s leads nowhere", at, ref)
			}
			if id, ok := v["operationId"].(string); ok {
				if ids[id] {
					t.Errorf("%s: %s is there twice", at, id)
				}
				ids[id] = true
			}
			for name, inner := range v {
				if name != "example" {
					walk(at+"."+name, inner)
				}
			}
		case nil:
			t.Errorf("%s is null", at)
		}
	}
	walk("", map[string]any(api))
	if len(ids) != len(gateway.Routes()) {
		t.Errorf("%d operations for %d routes", len(ids), len(gateway.Routes()))
	}
	for path, methods := range api["paths"].(doc) {
		for method, o := range methods.(doc) {
			params, _ := json.Marshal(o.(doc)["parameters"])
			_, told := o.(doc)["responses"].(doc)["304"]
			if asks := strings.Contains(string(params), `"If-None-Match"`); asks != told {
				t.Errorf("%s %s takes If-None-Match: %v, and says what 304 is: %v", method, path, asks, told)
			}
			for _, part := range strings.Split(path, "/") {
				if name, ok := strings.CutPrefix(part, "{"); ok && !strings.Contains(string(params), `"name":"`+strings.TrimSuffix(name, "}")+`"`) {
					t.Errorf("%s %s does not describe {%s", method, path, name)
				}
			}
		}
	}
}

// find follows a reference.
func find(api doc, ref string) any {
	var at any = map[string]any(api)
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		object, ok := at.(doc)
		if !ok {
			return nil
		}
		at = object[name]
	}
	return at
}

// TestExamplesFitTheirSchemas checks the examples of requests and replies.
func TestExamplesFitTheirSchemas(t *testing.T) {
	t.Parallel()
	api := decoded[doc](t, encoded(t, openAPI(t)))
	n := 0
	var walk func(at string, v any)
	walk = func(at string, v any) {
		object, ok := v.(doc)
		if !ok {
			return
		}
		if schema, ok := object["schema"].(doc); ok && object["example"] != nil {
			n++
			fit(t, api, at, schema, object["example"])
			return
		}
		for name, inner := range object {
			walk(at+"."+name, inner)
		}
	}
	walk("", api["paths"])
	if n < 2*len(gateway.Routes())/3 {
		t.Errorf("only %d examples", n)
	}
}

// fit compares an example with its schema: types, required and unknown fields,
// words of enumerations.
func fit(t *testing.T, api doc, at string, schema doc, v any) {
	t.Helper()
	if ref, ok := schema["$ref"].(string); ok {
		schema, _ = find(api, ref).(doc)
	}
	if v == nil {
		return // null removes
	}
	is := map[string]bool{}
	switch v := v.(type) {
	case doc:
		is["object"] = true
		properties, _ := schema["properties"].(doc)
		for name, inner := range v {
			if property, ok := properties[name].(doc); ok {
				fit(t, api, at+"."+name, property, inner)
			} else if properties != nil {
				t.Errorf("%s: %s is in the example only", at, name)
			}
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				t.Errorf("%s: the example lacks %s", at, name)
			}
		}
	case []any:
		is["array"] = true
		items, _ := schema["items"].(doc)
		for i, item := range v {
			fit(t, api, fmt.Sprintf("%s[%d]", at, i), items, item)
		}
	case string:
		is["string"] = true
		if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, any(v)) {
			t.Errorf("%s: %q is none of %v", at, v, words)
		}
	case bool:
		is["boolean"] = true
	case json.Number:
		is["number"], is["integer"] = true, !strings.ContainsAny(v.String(), ".eE")
	}
	if want, ok := schema["type"].(string); ok && !is[want] {
		t.Errorf("%s: %v is no %s", at, v, want)
	}
}
