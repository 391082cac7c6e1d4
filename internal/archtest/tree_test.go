package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "patchbay/"

// A source is one Go file of ours, parsed.
type source struct {
	path string // from the root, with slashes: sip/edge/udp.go
	dir  string
	test bool // a test file, or under e2e, where all is tests
	fset *token.FileSet
	ast  *ast.File
}

// at writes where a node stands: sip/edge/udp.go:12.
func (s source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// imports returns the paths that the file imports.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// parse makes a source of text, as if it stood at that path.
func parse(name, text string) (source, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go") || under(path.Dir(name), "e2e"), fset: fset, ast: f}, err
}

// skipped are folders that hold nothing of ours.
var skipped = []string{".git", "bin", "data", "testdata", "node_modules", "__pycache__"}

// files returns every file of the tree outside the skipped folders, by its
// path from the root.
func files() ([]string, error) {
	var found []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(skipped, d.Name()) {
			return filepath.SkipDir
		}
		if rel, err := filepath.Rel(root, name); err == nil && d.Type().IsRegular() {
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	return found, err
}

const root = "../.."

// tree parses every Go file of ours, once.
var tree = sync.OnceValues(func() ([]source, error) {
	names, err := files()
	if err != nil {
		return nil, err
	}
	var all []source
	for _, name := range names {
		if path.Ext(name) != ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		s, err := parse(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", name, err)
		}
		all = append(all, s)
	}
	return all, nil
})

// sources returns the tree, or ends the test.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files found under %s", len(all), root)
	}
	return all
}

// report fails the test with one line per finding.
func report(t *testing.T, findings []string) {
	t.Helper()
	slices.Sort(findings)
	for _, f := range findings {
		t.Error(f)
	}
}

// under reports whether a folder is one of those or lies in one.
func under(dir string, parents ...string) bool {
	return slices.ContainsFunc(parents, func(p string) bool { return dir == p || strings.HasPrefix(dir, p+"/") })
}

// breaking runs a rule over snippets, each named by its path, and compares
// what it finds with what it should; empty: nothing.
func breaking(t *testing.T, rule func(source) []string, cases map[string]string, want map[string]string) {
	t.Helper()
	for name, text := range cases {
		s, err := parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(rule(s), "\n"); got != want[name] {
			t.Errorf("%s:\n got  %q\n want %q", name, got, want[name])
		}
	}
}
