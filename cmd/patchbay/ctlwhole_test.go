package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"patchbay/control"
)

// helpers of ctl's commands that carry out one verb of a noun, or several.
var ctlHelpers = map[string][]string{"get": {"get"}, "list": {"list"}, "remove": {"delete"}, "object": {"create", "get", "list", "update", "delete"}}

// TestCtlHasACommandForEveryOperation reads ctl's own code for what it asks.
func TestCtlHasACommandForEveryOperation(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				note(asked, call)
			}
			return true
		})
	}
	for _, d := range (&control.Operations{}).Described() {
		if op := d.Noun + "." + d.Verb; !asked[op] {
			t.Errorf("ctl has no command for %s", op)
		}
	}
}

// note adds the operations that a call carries out: of r.do, ask and the
// helpers, whose nouns and verbs are written out.
func note(asked map[string]bool, call *ast.CallExpr) {
	var words []string
	for _, arg := range call.Args {
		if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if word, err := strconv.Unquote(lit.Value); err == nil {
				words = append(words, word)
			}
		}
	}
	name := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	switch {
	case (name == "do" || name == "ask") && len(words) >= 2:
		asked[words[0]+"."+words[1]] = true
	case len(words) >= 1:
		for _, verb := range ctlHelpers[name] {
			asked[words[0]+"."+verb] = true
		}
	}
}

func TestObjectsAreSetByTheirFieldsAsJSON(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	file := filepath.Join(t.TempDir(), "throttle.json")
	if err := os.WriteFile(file, []byte(`{"name":"campaign","rules":[{"max_calls":10,"window_seconds":60}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	made := must[control.ThrottleView](b, "default", "throttle.create", `{"spec":{"name":"slow","rules":[{"max_calls":1,"window_seconds":60}]}}`)
	if got := b.mustCtl("throttle", "create", "--file", file); !strings.Contains(got, `"name": "campaign"`) {
		t.Errorf("create: %s", got)
	}
	if got := b.mustCtl("throttles", "update", made.ID, "--spec", `{"name":"slower"}`); !strings.Contains(got, `"name": "slower"`) {
		t.Errorf("update: %s", got)
	}
	if got := b.mustCtl("throttle", "delete", made.ID); got != "deleted\n" {
		t.Errorf("delete: %q", got)
	}
	if got := b.mustCtl("throttle", "list"); strings.Contains(got, made.ID) || !strings.Contains(got, "campaign") {
		t.Errorf("list: %s", got)
	}
	for _, wrong := range [][]string{{"throttle", "create"}, {"throttle", "create", "--spec", "[]"}, {"throttle", "create", "--spec", "{}", "--file", file},
		{"call", "create", "--agent", "a", "--to", "sip:x@y", "--context", "{"}} {
		if _, _, err := b.ctl(wrong...); err == nil {
			t.Errorf("ctl %s: no error", strings.Join(wrong, " "))
		}
	}
}

func TestAListOfEndpointsIsNarrowed(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	must[control.EndpointView](b, "default", "endpoint.create", `{"spec":{"name":"Night desk"}}`)
	must[control.EndpointView](b, "default", "endpoint.create", `{"spec":{"name":"Day desk","is_active":false}}`)
	for flags, want := range map[string]string{"--name night": "Night", "--active": "Night", "--active=false": "Day", "--kind slug --name day": "Day", "--kind address": ""} {
		got := b.mustCtl(append([]string{"endpoint", "list"}, strings.Fields(flags)...)...)
		for _, name := range []string{"Night", "Day"} {
			if strings.Contains(got, name+" desk") != (name == want) {
				t.Errorf("%s: want %q only:\n%s", flags, want, got)
			}
		}
		path := "/v1/endpoints?" + strings.NewReplacer("--active=", "is_active=", "--active", "is_active=true", "--name ", "name_contains=", "--kind ", "kinds=", " ", "&").Replace(flags)
		if resp, body := b.web("GET", path, ""); resp.StatusCode != 200 || strings.Contains(string(body), "Night desk") != (want == "Night") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	if got := b.mustCtl("endpoint", "create", "--name", "Desk 7", "--kind", "slug", "--prefix", "seven"); !strings.Contains(got, "sip:seven-") {
		t.Errorf("create: %s", got)
	}
}
