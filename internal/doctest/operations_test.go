package doctest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	operationsDoc = "docs/operations.md"
	observeFile   = "cmd/patchbay/observe.go"
	decidedFile   = "cmd/patchbay/decided.go"
)

func TestMetricsAreInTheDocument(t *testing.T) {
	t.Parallel()
	want := words(t, "internal/telemetry", "Name")
	// The depth of mailboxes is told apart by kind of actor.
	i := slices.Index(want, "patchbay_mailbox_depth")
	if i < 0 {
		t.Fatal("no metric patchbay_mailbox_depth")
	}
	want = append(slices.Delete(want, i, i+1), "patchbay_mailbox_depth_endpoint", "patchbay_mailbox_depth_call")
	report(t, compareColumn(operationsDoc, read(t, operationsDoc), "metric", want))
}

func TestReasonsAndDropsAreInTheDocument(t *testing.T) {
	t.Parallel()
	text := read(t, operationsDoc)
	findings := compareColumn(operationsDoc, text, "reason", words(t, "actors/endpoint", "Reason"))
	report(t, append(findings, compareColumn(operationsDoc, text, "why", words(t, "sip/edge", "Drop"))...))
}

func TestEveryRuleOfADecisionIsInTheDocument(t *testing.T) {
	t.Parallel()
	n := 0
	for _, r := range rows(read(t, operationsDoc)) {
		if r.head != "key of decision" || r.code(0) != "rule" {
			continue
		}
		n++
		told := strings.FieldsFunc(r.cells[1], func(c rune) bool { return c == ' ' || c == ',' || c == ';' })
		for _, rule := range words(t, "actors/endpoint", "Rule") {
			if !slices.Contains(told, rule) {
				t.Errorf("%s:%d: the rule %s is not told", operationsDoc, r.line, rule)
			}
		}
	}
	if n != 1 {
		t.Errorf("%s: %d rows say the rules of a decision, want one", operationsDoc, n)
	}
}

// TestBusWordsAreCounted wants each word of the table of patchbay_bus_total,
// up to its variable part, in the code that counts.
func TestBusWordsAreCounted(t *testing.T) {
	t.Parallel()
	code := read(t, observeFile)
	n := 0
	for _, r := range rows(read(t, operationsDoc)) {
		if r.head != "what" {
			continue
		}
		n++
		fixed, _, _ := strings.Cut(r.code(0), "<")
		if !strings.Contains(code, `"`+fixed) {
			t.Errorf("%s:%d: %s counts no %s", operationsDoc, r.line, observeFile, r.code(0))
		}
	}
	if counted := strings.Count(code, "metrics.Bus."); n < counted-1 {
		t.Errorf("%s: %d words of patchbay_bus_total, %s counts at %d places", operationsDoc, n, observeFile, counted)
	}
}

// TestCausesAreInTheDocument compares the table of causes with the variables
// of actors/call/cause.go.
func TestCausesAreInTheDocument(t *testing.T) {
	t.Parallel()
	numbers := causes(t, "actors/call/cause.go")
	var want []string
	for word := range numbers {
		want = append(want, word)
	}
	text := read(t, operationsDoc)
	findings := compareColumn(operationsDoc, text, "cause", want)
	for _, r := range rows(text) {
		if r.head == "cause" && r.cells[1] != numbers[r.code(0)] {
			findings = append(findings, fmt.Sprintf("%s:%d: %s has Q.850 %s, the document says %s", operationsDoc, r.line, r.code(0), numbers[r.code(0)], r.cells[1]))
		}
	}
	report(t, findings)
}

// causes returns the Q.850 number of each word, as they are declared:
// CauseNormal = Cause{16, "normal_clearing"}.
func causes(t *testing.T, name string) map[string]string {
	t.Helper()
	found := map[string]string{}
	inspect(t, name, func(n ast.Node) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return
		}
		for _, v := range spec.Values {
			lit, ok := v.(*ast.CompositeLit)
			if !ok || len(lit.Elts) != 2 {
				continue
			}
			number, isNumber := lit.Elts[0].(*ast.BasicLit)
			word := literal(lit.Elts[1])
			if isNumber && word != "" {
				found[word] = number.Value
			}
		}
	})
	if len(found) < 15 {
		t.Fatalf("%s: only %d causes", name, len(found))
	}
	return found
}

// TestKeysOfLogLinesAreInTheDocument compares the tables of keys with the
// lines as they are written.
func TestKeysOfLogLinesAreInTheDocument(t *testing.T) {
	t.Parallel()
	lines := map[string][]string{}
	look := func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return
		}
		if fun, ok := call.Fun.(*ast.SelectorExpr); !ok || fun.Sel.Name != "Info" {
			return
		}
		message := literal(call.Args[0])
		for i := 1; i < len(call.Args); i += 2 {
			lines[message] = append(lines[message], literal(call.Args[i]))
		}
	}
	inspect(t, observeFile, look)
	inspect(t, decidedFile, look)
	text := read(t, operationsDoc)
	var findings []string
	for _, message := range []string{"decision", "webhook asked", "call ended"} {
		if len(lines[message]) == 0 {
			t.Fatalf("%s and %s write no line %q", observeFile, decidedFile, message)
		}
		findings = append(findings, compareColumn(operationsDoc, text, "key of "+message, lines[message])...)
	}
	report(t, findings)
}

// inspect visits every node of a file of ours.
func inspect(t *testing.T, name string, visit func(ast.Node)) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		visit(n)
		return true
	})
}

// literal returns the text of a literal, or "".
func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return text
}
