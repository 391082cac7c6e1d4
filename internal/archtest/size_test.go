package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// The budget: what fits on a screen or two, and what fits in a head. Tests are
// exempt.
const (
	maxFile     = 400 // lines
	maxFunction = 60  // lines
	maxBranches = 12  // 1 + if, for, case, && and ||
)

func TestSizes(t *testing.T) {
	t.Parallel()
	var findings []string
	for _, s := range sources(t) {
		findings = append(findings, sizeFindings(s)...)
	}
	report(t, findings)
}

func sizeFindings(s source) (findings []string) {
	if s.test || ast.IsGenerated(s.ast) {
		return nil
	}
	if n := s.fset.File(s.ast.Pos()).LineCount(); n > maxFile {
		findings = append(findings, fmt.Sprintf("%s: %d lines, at most %d", s.path, n, maxFile))
	}
	for _, decl := range s.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1; n > maxFunction {
			findings = append(findings, fmt.Sprintf("%s: %s has %d lines, at most %d", s.at(fn), fn.Name.Name, n, maxFunction))
		}
		if n := branches(fn); n > maxBranches {
			findings = append(findings, fmt.Sprintf("%s: %s has %d branches, at most %d", s.at(fn), fn.Name.Name, n, maxBranches))
		}
	}
	return findings
}

// branches counts the ways through a function, funcs inside it included.
func branches(fn *ast.FuncDecl) int {
	n := 1
	ast.Inspect(fn, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil { // a default is where the other ways do not lead
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

func TestSizesFindsWhatBreaksThem(t *testing.T) {
	t.Parallel()
	long := "package x\n\nfunc long() {\n" + strings.Repeat("\tprintln()\n", 59) + "}\n"
	fits := "package x\n\nfunc long() {\n" + strings.Repeat("\tprintln()\n", 58) + "}\n"
	wide := "package x\n\nfunc wide(a, b bool, c int) {\n" + strings.Repeat("\tif a && b {\n\t}\n", 5) + "\tswitch c {\n\tcase 1:\n\tdefault:\n\t}\n}\n"
	tooWide := strings.Replace(wide, "default", "case 2", 1)
	breaking(t, sizeFindings, map[string]string{
		"a/long.go":      long,
		"a/fits.go":      fits,
		"a/long_test.go": long,
		"a/wide.go":      wide,
		"a/toowide.go":   tooWide,
		"a/file.go":      "package x\n" + strings.Repeat("\n", maxFile-1),
		"a/bigfile.go":   "package x\n" + strings.Repeat("\n", maxFile),
	}, map[string]string{
		"a/long.go":    "a/long.go:3: long has 61 lines, at most 60",
		"a/toowide.go": "a/toowide.go:3: wide has 13 branches, at most 12",
		"a/bigfile.go": "a/bigfile.go: 401 lines, at most 400",
	})
}
