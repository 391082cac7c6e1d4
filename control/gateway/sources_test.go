package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sources are what the code says about its types: comments, and the words of
// enumerations. Documents are made of them, so that nobody writes them twice.
type sources struct {
	types  map[string]string   // by package.Type
	fields map[string]string   // by package.Type.Field
	words  map[string][]string // values of text constants, by package.Type
}

func readSources(t testing.TB, dirs map[string]string) sources {
	t.Helper()
	s := sources{types: map[string]string{}, fields: map[string]string{}, words: map[string][]string{}}
	for pkg, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			s.read(pkg, file)
		}
	}
	for _, words := range s.words {
		slices.Sort(words)
	}
	return s
}

func (s sources) read(pkg string, file *ast.File) {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc
				if doc == nil {
					doc = gen.Doc
				}
				s.typeSpec(pkg+"."+spec.Name.Name, doc.Text(), spec)
			case *ast.ValueSpec:
				s.constants(pkg, spec)
			}
		}
	}
}

func (s sources) typeSpec(name, doc string, spec *ast.TypeSpec) {
	s.types[name] = sentence(doc)
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range structure.Fields.List {
		text := f.Comment.Text()
		if text == "" {
			text = f.Doc.Text()
		}
		for _, id := range f.Names {
			s.fields[name+"."+id.Name] = sentence(text)
		}
	}
}

func (s sources) constants(pkg string, spec *ast.ValueSpec) {
	id, ok := spec.Type.(*ast.Ident)
	if !ok {
		return
	}
	for _, v := range spec.Values {
		if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if word, err := strconv.Unquote(lit.Value); err == nil && word != "" {
				s.words[pkg+"."+id.Name] = append(s.words[pkg+"."+id.Name], word)
			}
		}
	}
}

// links are what comments have for readers of code.
var links = regexp.MustCompile(`\[([\w.*]+)\]`)

// sentence writes a comment as one line.
func sentence(text string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n\n")
	return links.ReplaceAllString(strings.Join(strings.Fields(first), " "), "$1")
}

// of is the name of a type as the maps have it.
func (s sources) of(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return t.PkgPath() + "." + name
}
