package doctest

import (
	"fmt"
	"go/ast"
	"go/constant"
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
	"time"
)

const module = "patchbay/"

// product are the folders whose constants an operator may meet.
var product = []string{"actors", "sip", "media", "control", "cluster", "config", "cmd",
	"internal/web", "internal/keys", "internal/pki", "internal/telemetry", "internal/lifecycle", "internal/dialguard", "internal/webhook"}

// A named is one constant: where it is declared, and its expression.
type named struct {
	dir, name string
	at        string // sip/edge/send.go:17
	expr      ast.Expr
	imports   map[string]string // of its file: name to folder of ours
}

// A number is a constant's value. A duration's is in nanoseconds.
type number struct {
	value    constant.Value
	duration bool
}

// constants are all constants of the product by folder and name, such as
// sip/edge.maxDials.
var constants = sync.OnceValues(func() (map[string]named, error) {
	all := map[string]named{}
	for _, folder := range product {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return filepath.SkipDir
			case filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			return collect(all, name)
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	return all, nil
})

// collect adds the constants of one file.
func collect(all map[string]named, name string) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	rel := filepath.ToSlash(strings.TrimPrefix(name, filepath.FromSlash(root)+string(filepath.Separator)))
	imports := map[string]string{}
	for _, spec := range file.Imports {
		full, _ := strconv.Unquote(spec.Path.Value)
		if mine, ok := strings.CutPrefix(full, module); ok {
			as := path.Base(mine)
			if spec.Name != nil {
				as = spec.Name.Name
			}
			imports[as] = mine
		}
	}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			v := spec.(*ast.ValueSpec)
			for i, id := range v.Names {
				if i >= len(v.Values) {
					continue // repeats the line above: an enumeration
				}
				n := named{dir: path.Dir(rel), name: id.Name, expr: v.Values[i], imports: imports,
					at: rel + ":" + strconv.Itoa(fset.Position(id.Pos()).Line)}
				all[n.dir+"."+n.name] = n
			}
		}
	}
	return nil
}

// evaluate returns the value of a constant.
func evaluate(all map[string]named, key string) (number, error) {
	n, ok := all[key]
	if !ok {
		return number{}, fmt.Errorf("no constant %s", key)
	}
	got, err := n.eval(all, n.expr)
	if err != nil {
		return number{}, fmt.Errorf("%s: %w", n.at, err)
	}
	return got, nil
}

var units = map[string]time.Duration{"Nanosecond": time.Nanosecond, "Microsecond": time.Microsecond,
	"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}

func (n named) eval(all map[string]named, expr ast.Expr) (number, error) {
	switch e := expr.(type) {
	case *ast.BasicLit:
		return number{value: constant.MakeFromLiteral(e.Value, e.Kind, 0)}, nil
	case *ast.ParenExpr:
		return n.eval(all, e.X)
	case *ast.Ident:
		return evaluate(all, n.dir+"."+e.Name)
	case *ast.SelectorExpr:
		pkg, ok := e.X.(*ast.Ident)
		if d, known := units[e.Sel.Name]; ok && pkg.Name == "time" && known {
			return number{constant.MakeInt64(int64(d)), true}, nil
		}
		if ok && n.imports[pkg.Name] != "" {
			return evaluate(all, n.imports[pkg.Name]+"."+e.Sel.Name)
		}
	case *ast.CallExpr: // int(bufSize/2)
		if _, conversion := e.Fun.(*ast.Ident); conversion && len(e.Args) == 1 {
			return n.eval(all, e.Args[0])
		}
	case *ast.BinaryExpr:
		return n.binary(all, e)
	}
	return number{}, fmt.Errorf("%T is more than this test can work out", expr)
}

func (n named) binary(all map[string]named, e *ast.BinaryExpr) (number, error) {
	x, err := n.eval(all, e.X)
	if err != nil {
		return number{}, err
	}
	y, err := n.eval(all, e.Y)
	if err != nil {
		return number{}, err
	}
	out := number{duration: x.duration != y.duration || x.duration && e.Op != token.QUO}
	switch e.Op {
	case token.SHL, token.SHR:
		shift, _ := constant.Uint64Val(y.value)
		out.value = constant.Shift(x.value, e.Op, uint(shift))
	case token.QUO:
		out.value = constant.BinaryOp(x.value, token.QUO_ASSIGN, y.value) // of integers
	default:
		out.value = constant.BinaryOp(x.value, e.Op, y.value)
	}
	return out, nil
}

// loaded returns the constants, or ends the test.
func loaded(t *testing.T) map[string]named {
	t.Helper()
	all, err := constants()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d constants found under %s", len(all), strings.Join(product, ", "))
	}
	return all
}

func TestConstantsAreWorkedOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "x.go")
	text := "package x\nimport \"time\"\nconst (\n\ta = 64 << 10\n\tb = 3 * c\n\tc = 500 * time.Millisecond\n\td = a / 3\n\te = c / c\n\tf = 1<<16 - 1\n)\n"
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	all := map[string]named{}
	if err := collect(all, name); err != nil {
		t.Fatal(err)
	}
	var got []string
	for key := range all {
		v, err := evaluate(all, key)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %v %v", key[len(key)-1:], v.value, v.duration))
	}
	slices.Sort(got)
	want := []string{"a 65536 false", "b 1500000000 true", "c 500000000 true", "d 21845 false", "e 1 false", "f 65535 false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
