package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

func TestEveryPackageAndExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	var findings []string
	all := sources(t)
	for _, s := range all {
		findings = append(findings, nameFindings(s)...)
	}
	report(t, append(findings, packageFindings(all)...))
}

// packageFindings returns the packages without a door sign: a comment that
// begins with "Package x" or, for a program, "Command x".
func packageFindings(all []source) (findings []string) {
	signed := map[string]bool{}
	for _, s := range all {
		if s.test {
			continue
		}
		text := s.ast.Doc.Text()
		signed[s.dir] = signed[s.dir] || strings.HasPrefix(text, "Package "+s.ast.Name.Name+" ") ||
			s.ast.Name.Name == "main" && strings.HasPrefix(text, "Command ")
	}
	for dir, ok := range signed {
		if !ok {
			findings = append(findings, dir+": no file says what the package decides and what it refuses (// Package ...)")
		}
	}
	return findings
}

func nameFindings(s source) (findings []string) {
	if s.test || s.ast.Name.Name == "main" {
		return nil
	}
	note := func(n ast.Node, what string) {
		findings = append(findings, fmt.Sprintf("%s: %s is exported and not documented", s.at(n), what))
	}
	for _, decl := range s.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if recv := receiver(d); d.Name.IsExported() && d.Doc == nil && (recv == "" || ast.IsExported(recv)) {
				note(d, strings.TrimPrefix(recv+"."+d.Name.Name, "."))
			}
		case *ast.GenDecl:
			undocumented(d, note)
		}
	}
	return findings
}

// receiver returns the name of a method's type, or "".
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// undocumented notes the names of a declaration without a comment. A comment
// over a group of constants or variables speaks for all of it, and that of an
// interface for its methods; each type needs its own.
func undocumented(d *ast.GenDecl, note func(ast.Node, string)) {
	for _, spec := range d.Specs {
		switch sp := spec.(type) {
		case *ast.TypeSpec:
			if sp.Name.IsExported() && sp.Doc == nil && sp.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				note(sp, sp.Name.Name)
			}
		case *ast.ValueSpec:
			if d.Tok == token.IMPORT || d.Doc != nil || sp.Doc != nil || sp.Comment != nil {
				continue
			}
			for _, name := range sp.Names {
				if name.IsExported() {
					note(name, name.Name)
				}
			}
		}
	}
}

func TestUndocumentedNamesAreFound(t *testing.T) {
	t.Parallel()
	breaking(t, nameFindings, map[string]string{
		"a/bare.go": "package a\n\nfunc F() {}\n\ntype T struct{}\n\nfunc (t *T) M() {}\n\nconst C = 1\n\nvar V int\n\ntype G[X any] int\n\nfunc (g G[X]) M() {}\n",
		"a/good.go": "package a\n\n// F does.\nfunc F() {}\n\n// T is.\ntype T struct{}\n\n// M does.\nfunc (t *T) M() {}\n\n" +
			"// Constants.\nconst (\n\tC = 1\n\tD = 2\n)\n\nvar V int // a count\n\ntype t struct{}\n\nfunc (t) M() {}\n\n// S does M.\ntype S interface{ M() }\n",
		"a/group.go": "package a\n\n// Types.\ntype (\n\tA int\n)\n",
	}, map[string]string{
		"a/bare.go": strings.Join([]string{
			"a/bare.go:3: F is exported and not documented",
			"a/bare.go:5: T is exported and not documented",
			"a/bare.go:7: T.M is exported and not documented",
			"a/bare.go:9: C is exported and not documented",
			"a/bare.go:11: V is exported and not documented",
			"a/bare.go:13: G is exported and not documented",
			"a/bare.go:15: G.M is exported and not documented",
		}, "\n"),
		"a/group.go": "a/group.go:5: A is exported and not documented",
	})
	var all []source
	for name, text := range map[string]string{
		"a/a.go": "package a\n", "a/doc.go": "// Package a is.\npackage a\n",
		"b/b.go": "// package b is.\npackage b\n", "cmd/c/main.go": "// Command c does.\npackage main\n",
	} {
		s, err := parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if got := packageFindings(all); len(got) != 1 || !strings.HasPrefix(got[0], "b: ") {
		t.Errorf("got %q", got)
	}
}
