package gateway_test

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"patchbay/control"
	"patchbay/internal/golden"
)

// A chapter is the routes of one noun.
type chapter struct {
	Noun  string
	Lines []line
}

// A line is one route, as both documents show it.
type line struct {
	ID, Method, Path, Op, Does, Scope string
	Operator                          bool
	Fields                            []fieldLine
	Ask, Reply                        string
}

// A fieldLine is what may be sent, by its path.
type fieldLine struct {
	Name, Type, Text string
	Wanted           bool
}

// fieldLines are the parameters of a route, or the fields of its body.
func fieldLines(s *schemas, x exchange) (all []fieldLine) {
	fields := control.JSONFields(x.about.In)
	if x.route.Method == http.MethodPatch {
		fields = nil
	}
	for _, f := range fields {
		if f.Name != "spec" && f.Name != "revision" && !slices.Contains(x.route.InPath(), f.Name) && !slices.Contains(x.route.Without, f.Name) {
			all = append(all, s.lines("", f, !f.Absent)...)
		}
	}
	if x.route.Spec != nil {
		for _, f := range control.JSONFields(x.route.Spec) {
			all = append(all, s.lines("", f, false)...)
		}
	}
	return all
}

// lines are a field and the fields within it.
func (s *schemas) lines(before string, f control.JSONField, wanted bool) []fieldLine {
	schema, list := s.of(f.Type), ""
	if schema["type"] == "array" {
		schema, list = schema["items"].(doc), "[]"
	}
	name := before + f.Name + list
	l := fieldLine{Name: name, Text: s.from.fields[s.from.of(f.Owner)+"."+f.Go], Wanted: wanted}
	if words, ok := schema["enum"].([]string); ok {
		l.Type = strings.Join(words, ", ")
	} else if kind, ok := schema["type"].(string); ok {
		l.Type = kind
	}
	if format, ok := schema["format"].(string); ok {
		l.Type = format
	}
	ref, structure := schema["$ref"].(string)
	if !structure {
		return []fieldLine{l}
	}
	var inner []fieldLine
	for _, one := range control.JSONFields(s.known[strings.TrimPrefix(ref, "#/components/schemas/")]) {
		inner = append(inner, s.lines(name+".", one, false)...)
	}
	if l.Text != "" {
		l.Type = "object"
		inner = append([]fieldLine{l}, inner...)
	}
	return inner
}

// chapters are all routes in order.
func chapters(t testing.TB) (all []chapter) {
	t.Helper()
	s := newSchemas(t, readSources(t, sourceDirs))
	for _, x := range exchanges(t) {
		resp := do(t, &desk{reply: x.reply}, x.call)
		ask, reply, _ := strings.Cut(string(x.text(t, resp)), "\nHTTP/1.1 ")
		l := line{ID: operationID(x.route), Method: x.route.Method, Path: strings.ReplaceAll(x.route.Path, "...", ""), Op: x.route.Op, Does: x.route.Does,
			Scope: strings.Join(x.about.Scopes, ", "), Operator: x.about.Operator, Fields: fieldLines(s, x), Ask: strings.TrimSpace(ask), Reply: strings.TrimSpace("HTTP/1.1 " + reply)}
		i := slices.IndexFunc(all, func(c chapter) bool { return c.Noun == x.about.Noun })
		if i < 0 {
			all, i = append(all, chapter{Noun: x.about.Noun}), len(all)
		}
		all[i].Lines = append(all[i].Lines, l)
	}
	return all
}

// codeLines are the rows of the table of codes.
func codeLines(t testing.TB) (rows [][3]string) {
	t.Helper()
	for _, c := range decoded[[]struct {
		Code control.Code
		HTTP int
	}](t, example(t, "codes")) {
		if codeTexts[c.Code] == "" {
			t.Errorf("the reference does not explain %s", c.Code)
		}
		rows = append(rows, [3]string{string(c.Code), fmt.Sprint(c.HTTP), codeTexts[c.Code]})
	}
	return rows
}

// shown are the routes whose exchange docs/http-api.md shows; /reference shows
// all.
var shown = []string{"agent-create", "agent-get", "agent-update", "endpoint-create", "call-list", "call-hangup"}

// markdown is docs/http-api.md.
func markdown(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# HTTP API\n\n<!-- Written by control/gateway: go test ./control/gateway -update -->\n\n" + referenceIntro + "\n")
	b.WriteString("\n```sh\nKEY=$(cat data/admin.key)\ncurl -H \"X-API-Key: $KEY\" http://127.0.0.1:8080/v1/agents\n" +
		"curl --cacert data/https/ca.pem -H \"Authorization: Bearer $KEY\" https://localhost:8443/v1/calls\n```\n\n## Rules\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "\n**%s.** %s\n", r.title, r.text)
	}
	b.WriteString("\n## Routes\n\nA field in braces is the object's name. What each operation takes and returns is in [control-api.md](control-api.md), and in `/reference` with an " +
		"example of each route.\n\n| route | operation | what it does | scope |\n|---|---|---|---|\n")
	all := chapters(t)
	for _, c := range all {
		for _, l := range c.Lines {
			scope := "`" + strings.ReplaceAll(l.Scope, ", ", "`, `") + "`"
			if l.Operator {
				scope += ", operator"
			}
			fmt.Fprintf(&b, "| `%s %s` | `%s` | %s | %s |\n", l.Method, l.Path, l.Op, l.Does, scope)
		}
	}
	b.WriteString("\n## Errors\n\nAn error is `application/problem+json` (RFC 9457): `type` leads to its place in `/reference`, `detail` is for people, `code` for programs; " +
		"`problems` names every field that is wrong. Beside the codes there are the statuses 405 with `Allow`, 408, 413 and 415, all of the code `invalid`.\n\n| code | HTTP | what to do |\n|---|---|---|\n")
	for _, row := range codeLines(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", row[0], row[1], row[2])
	}
	fmt.Fprintf(&b, "\n```http\n%s\n```\n\n## Examples\n", mistake(t))
	for _, c := range all {
		for _, l := range c.Lines {
			if slices.Contains(shown, l.ID) {
				fmt.Fprintf(&b, "\n%s.\n\n```http\n%s\n```\n\n```http\n%s\n```\n", l.Does, l.Ask, l.Reply)
			}
		}
	}
	return b.Bytes()
}

// mistake is the example of an error, of the native API itself.
func mistake(t testing.TB) string {
	t.Helper()
	x := exchange{call: call{"POST", "/v1/numbers?dry_run=true", `{"number":"+15551234567","endpoint":"desk"}`, nil}}
	text := string(x.text(t, do(t, &desk{}, x.call)))
	_, reply, _ := strings.Cut(text, "\nHTTP/1.1 ")
	return "HTTP/1.1 " + strings.TrimSpace(reply)
}

// links to files of this repository lead nowhere from a node.
var fileLinks = regexp.MustCompile(`\[([^\]]+)\]\([a-z-]+\.md\)`)

// TestReferenceIsWhatIsServed writes docs/http-api.md and what nodes serve of
// it.
func TestReferenceIsWhatIsServed(t *testing.T) {
	t.Parallel()
	text := markdown(t)
	golden.Compare(t, "../../docs/http-api.md", text)
	golden.Compare(t, "documents/reference.md", fileLinks.ReplaceAll(text, []byte("$1")))
	golden.Compare(t, "documents/reference.html", page(t))
	golden.Compare(t, "documents/llms.txt", index(t))
}

// index is /llms.txt.
func index(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# Patchbay\n\n> Patchbay takes SIP calls from carriers and PBXs and hands each one to an AI agent over WebRTC. This node serves its native API under /v1: " +
		"JSON over HTTP, with a key in Authorization: Bearer or X-API-Key.\n\n" +
		"## Documents\n\n- [OpenAPI 3.1](/openapi.json): every route with schemas and examples\n- [Reference](/reference.md): rules, routes, errors, in Markdown\n" +
		"- [Reference, as a page](/reference): the same, with an example of every route\n")
	for _, c := range chapters(t) {
		fmt.Fprintf(&b, "\n## Routes: %s\n\n", c.Noun)
		for _, l := range c.Lines {
			fmt.Fprintf(&b, "- [%s %s](/reference#%s): %s\n", l.Method, l.Path, l.ID, l.Does)
		}
	}
	return b.Bytes()
}

// page is /reference: one file, without scripts, for wide and narrow screens.
func page(t testing.TB) []byte {
	t.Helper()
	source, err := os.ReadFile("testdata/reference.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	tmpl := template.Must(template.New("page").Funcs(template.FuncMap{"code": codeSpans}).Parse(string(source)))
	type text struct{ Title, Text string }
	var b bytes.Buffer
	data := struct {
		Intro    string
		Rules    []text
		Chapters []chapter
		Codes    [][3]string
		Mistake  string
	}{Intro: string(fileLinks.ReplaceAll([]byte(referenceIntro), []byte("$1"))), Chapters: chapters(t), Codes: codeLines(t), Mistake: mistake(t)}
	for _, r := range rules {
		data.Rules = append(data.Rules, text{r.title, r.text})
	}
	if err := tmpl.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var backticks = regexp.MustCompile("`([^`]+)`")

// codeSpans writes text with code in backticks as HTML.
func codeSpans(text string) template.HTML {
	return template.HTML(backticks.ReplaceAllString(html.EscapeString(text), "<code>$1</code>"))
}

// TestDocumentsWantNoKeyAndNothingFromElsewhere looks at what a browser gets.
func TestDocumentsWantNoKeyAndNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	for path, kind := range map[string]string{"/openapi.json": "application/json", "/reference": "text/html; charset=utf-8",
		"/reference.md": "text/markdown; charset=utf-8", "/llms.txt": "text/plain; charset=utf-8"} {
		resp := do(t, &desk{}, call{"GET", path, "", map[string]string{"Authorization": ""}})
		raw := bodyOf(t, resp)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != kind || len(raw) < 1000 || resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %s, %s, %d bytes", path, resp.Status, resp.Header.Get("Content-Type"), len(raw))
		}
		if kind[:9] == "text/html" {
			for _, foreign := range []string{"<script", "src=", "@import", "url(", "<link"} {
				if bytes.Contains(raw, []byte(foreign)) {
					t.Errorf("the page has %s", foreign)
				}
			}
			for _, wanted := range []string{`name="viewport"`, "prefers-color-scheme: dark", `id="rate_limited"`, `id="agent-create"`} {
				if !bytes.Contains(raw, []byte(wanted)) {
					t.Errorf("the page lacks %s", wanted)
				}
			}
		}
		if again := do(t, &desk{}, call{"GET", path, "", map[string]string{"If-None-Match": resp.Header.Get("ETag")}}); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %s", path, again.Status)
		}
	}
}
