package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"testing"
)

// pure folders decide: they reach for nothing outside their arguments.
var pure = []string{"actors/endpoint", "actors/call"}

// impure are packages that a pure folder may not import, and what lies in
// them; net/netip and net/url only read text.
var impure = []string{"net", "os", "io/fs", "sync", "context", "math/rand", "crypto/rand", "runtime", "syscall", "unsafe", "testing"}

var readsTextOnly = []string{"net/netip", "net/url"}

// timeless folders take the time as an argument; pure ones do too. What waits
// or asks the clock in them cannot be tested in virtual time.
var timeless = slices.Concat(pure, []string{"config", "sip/sdp", "sip/wire", "sip/token", "sip/txn", "sip/dialog", "media/rtp", "internal/g722"})

// clock are the funcs of package time that do more than calculate.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}

// environment are the funcs of package os that read what an operator set.
// Only cmd may, and testkit: everybody else is handed a config.
var environment = []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}

func TestPurity(t *testing.T) {
	t.Parallel()
	var findings []string
	for _, s := range sources(t) {
		findings = append(findings, purityFindings(s)...)
	}
	report(t, findings)
}

func purityFindings(s source) (findings []string) {
	if s.test {
		return nil
	}
	if under(s.dir, pure...) {
		for _, imp := range s.imports() {
			if under(imp, impure...) && !slices.Contains(readsTextOnly, imp) {
				findings = append(findings, fmt.Sprintf("%s imports %s: %s is pure", s.path, imp, s.dir))
			}
		}
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		switch {
		case !ok:
		case pkg.Name == "time" && slices.Contains(clock, sel.Sel.Name) && under(s.dir, timeless...):
			findings = append(findings, fmt.Sprintf("%s: time.%s: %s takes the time as an argument", s.at(n), sel.Sel.Name, s.dir))
		case pkg.Name == "os" && slices.Contains(environment, sel.Sel.Name) && !under(s.dir, "cmd", "internal/testkit", "examples"):
			findings = append(findings, fmt.Sprintf("%s: os.%s: only cmd reads the environment", s.at(n), sel.Sel.Name))
		}
		return true
	})
	return findings
}

func TestPurityFindsWhatBreaksIt(t *testing.T) {
	t.Parallel()
	breaking(t, purityFindings, map[string]string{
		"actors/call/a.go":      "package call\nimport (\"net/http\"; \"net/netip\"; \"time\")\nvar _ = netip.Addr{}\nvar _ time.Duration = time.Second\n",
		"actors/call/b.go":      "package call\nimport \"time\"\nfunc f() {\n\t_ = time.Now()\n\ttime.Sleep(1)\n}\n",
		"actors/call/b_test.go": "package call\nimport \"time\"\nvar _ = time.Now()\n",
		"actors/endpoint/c.go":  "package endpoint\nimport \"sync/atomic\"\n",
		"sip/txn/a.go":          "package txn\nimport (\"sync\"; \"time\")\nvar wait = time.After\n",
		"sip/edge/a.go":         "package edge\nimport (\"os\"; \"time\")\nvar now = time.Now\nvar e = os.Getenv(\"X\")\n",
		"cmd/patchbay/a.go":     "package main\nimport \"os\"\nvar e = os.Environ()\n",
	}, map[string]string{
		"actors/call/a.go":     "actors/call/a.go imports net/http: actors/call is pure",
		"actors/call/b.go":     "actors/call/b.go:4: time.Now: actors/call takes the time as an argument\nactors/call/b.go:5: time.Sleep: actors/call takes the time as an argument",
		"actors/endpoint/c.go": "actors/endpoint/c.go imports sync/atomic: actors/endpoint is pure",
		"sip/txn/a.go":         "sip/txn/a.go:3: time.After: sip/txn takes the time as an argument",
		"sip/edge/a.go":        "sip/edge/a.go:4: os.Getenv: only cmd reads the environment",
	})
}
