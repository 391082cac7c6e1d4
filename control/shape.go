package control

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"patchbay/actors/endpoint"
)

// maxShape is how many mistakes of form one request is told.
const maxShape = 100

// shapeProblems returns everything about a JSON text that does not fit a type:
// unknown fields and values of the wrong kind, each by its path. The decoder
// stops at the first.
func shapeProblems(text []byte, t reflect.Type) []endpoint.Problem {
	var doc any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if dec.Decode(&doc) != nil {
		return nil
	}
	w := shapeWalk{}
	w.value("", doc, t)
	return w.problems
}

// misspelt returns the fields of a JSON text that a type has in other letters:
// the decoder takes name, Name and NAME for one, and which of them counts is
// chance.
func misspelt(text []byte, t reflect.Type) []endpoint.Problem {
	return slices.DeleteFunc(shapeProblems(text, t), func(p endpoint.Problem) bool { return p.Code != "unknown" })
}

type shapeWalk struct{ problems []endpoint.Problem }

func (w *shapeWalk) add(field, code, message string) {
	if len(w.problems) < maxShape {
		w.problems = append(w.problems, endpoint.Problem{Field: field, Code: code, Message: message})
	}
}

var (
	rawType      = reflect.TypeFor[json.RawMessage]()
	jsonDecoder  = reflect.TypeFor[json.Unmarshaler]()
	textDecoder  = reflect.TypeFor[encoding.TextUnmarshaler]()
	integerKinds = []reflect.Kind{reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64}
)

// value looks at one value, which is v as it came and of type t as it should be.
func (w *shapeWalk) value(at string, v any, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch to := reflect.PointerTo(t); {
	case v == nil || t == rawType || t.Kind() == reflect.Interface:
	case to.Implements(jsonDecoder) || to.Implements(textDecoder):
		w.own(at, v, t)
	default:
		w.kind(at, v, t)
	}
}

// kind looks at a value of a type that is spelt as any of its kind.
func (w *shapeWalk) kind(at string, v any, t reflect.Type) {
	switch t.Kind() {
	case reflect.Struct:
		w.object(at, v, t)
	case reflect.Map:
		object, _ := w.is(at, v, "an object").(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(object)) {
			w.value(join(at, name), object[name], t.Elem())
		}
	case reflect.Slice, reflect.Array:
		list, _ := w.is(at, v, "a list").([]any)
		for i, item := range list {
			w.value(fmt.Sprintf("%s[%d]", at, i), item, t.Elem())
		}
	case reflect.String, reflect.Bool:
		w.is(at, v, wordOf(t.Kind().String()))
	default:
		w.number(at, v, t)
	}
}

// own lets a type with a spelling of its own say what it thinks.
func (w *shapeWalk) own(at string, v any, t reflect.Type) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, reflect.New(t).Interface())
	}
	if err == nil {
		return
	}
	if _, ok := v.(string); !ok && reflect.PointerTo(t).Implements(textDecoder) {
		w.is(at, v, "a string")
		return
	}
	w.add(at, endpoint.CodeInvalid, "this is no "+strings.ToLower(spaced(t.Name())))
}

// object looks at the fields of a structure.
func (w *shapeWalk) object(at string, v any, t reflect.Type) {
	object, ok := w.is(at, v, "an object").(map[string]any)
	if !ok {
		return
	}
	fields := JSONFields(t)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		i := slices.IndexFunc(fields, func(f JSONField) bool { return f.Name == name })
		if i < 0 {
			w.add(join(at, name), "unknown", "there is no such field")
			continue
		}
		w.value(join(at, name), object[name], fields[i].Type)
	}
}

func (w *shapeWalk) number(at string, v any, t reflect.Type) {
	n, ok := w.is(at, v, "a number").(json.Number)
	if !ok || !slices.Contains(integerKinds, t.Kind()) {
		return
	}
	if json.Unmarshal([]byte(n), reflect.New(t).Interface()) != nil {
		w.add(at, endpoint.CodeInvalid, "want a whole number, not so large")
	}
}

// is notes where v is not what is wanted, and returns nil then.
func (w *shapeWalk) is(at string, v any, want string) any {
	got := ""
	switch v.(type) {
	case map[string]any:
		got = "an object"
	case []any:
		got = "a list"
	case string:
		got = "a string"
	case bool:
		got = "true or false"
	default:
		got = "a number"
	}
	if got != want {
		w.add(at, endpoint.CodeInvalid, "want "+want+", got "+got)
		return nil
	}
	return v
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// spaced writes a Go name as words.
func spaced(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// A JSONField is a field of a structure as it stands in JSON.
type JSONField struct {
	Name   string
	Owner  reflect.Type // that has it: an embedded structure's fields stand in the outer one
	Go     string       // its name there
	Type   reflect.Type
	Absent bool // it may be left out where it is empty
}

// JSONFields returns the fields of a structure in their order, those of embedded
// ones in their place.
func JSONFields(t reflect.Type) (all []JSONField) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "":
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			all = append(all, JSONFields(inner)...)
		default:
			if name == "" {
				name = f.Name
			}
			all = append(all, JSONField{Name: name, Owner: t, Go: f.Name, Type: f.Type, Absent: strings.Contains(options, "omit")})
		}
	}
	return all
}
