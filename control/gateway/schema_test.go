package gateway_test

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"patchbay/control"
)

// A doc is a JSON object, whose names are written in order.
type doc = map[string]any

// schemas are the types of the API as JSON Schema (OpenAPI 3.1).
type schemas struct {
	t     testing.TB
	from  sources
	known map[string]reflect.Type
	all   doc
	asked map[reflect.Type]bool // parts of requests: nothing is required of them
}

func newSchemas(t testing.TB, from sources) *schemas {
	return &schemas{t: t, from: from, known: map[string]reflect.Type{}, all: doc{}, asked: map[reflect.Type]bool{}}
}

var (
	rawType = reflect.TypeFor[json.RawMessage]()
	ofText  = reflect.TypeFor[encoding.TextMarshaler]()
	ofJSON  = reflect.TypeFor[json.Marshaler]()
	ofTime  = reflect.TypeFor[time.Time]()
)

// of returns the schema of a type; structures are named, and referred to.
func (s *schemas) of(t reflect.Type) doc {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == ofTime:
		return doc{"type": "string", "format": "date-time"}
	case t == rawType || t.Kind() == reflect.Interface:
		return doc{"description": "any JSON"}
	case t.Implements(ofText) || reflect.PointerTo(t).Implements(ofText):
		return s.text(t)
	case t.Implements(ofJSON):
		return doc{}
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.named(t)
	case reflect.Map:
		return doc{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Slice, reflect.Array:
		return doc{"type": "array", "items": s.of(t.Elem())}
	case reflect.String:
		return s.text(t)
	case reflect.Bool:
		return doc{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return doc{"type": "number"}
	}
	return doc{"type": "integer"}
}

// text is a string, of an enumeration if the code has one.
func (s *schemas) text(t reflect.Type) doc {
	is := doc{"type": "string"}
	if words := s.from.words[s.from.of(t)]; len(words) > 1 {
		is["enum"] = words
	}
	return is
}

// name is how a type is called in the document.
func (s *schemas) name(t reflect.Type) string {
	outer, inner, generic := strings.Cut(t.Name(), "[")
	if generic {
		inner = strings.TrimSuffix(inner, "]")
		return inner[strings.LastIndexByte(inner, '.')+1:] + outer
	}
	return outer
}

// named adds a structure to the document, once.
func (s *schemas) named(t reflect.Type) doc {
	if t.Name() == "" {
		return s.object(control.JSONFields(t), t)
	}
	name := s.name(t)
	if before, ok := s.known[name]; ok && before != t {
		s.t.Fatalf("%v and %v have one name: %s", before, t, name)
	}
	if _, ok := s.known[name]; !ok {
		s.known[name] = t
		is := s.object(control.JSONFields(t), t)
		if text := s.from.types[s.from.of(t)]; text != "" {
			is["description"] = text
		}
		s.all[name] = is
	}
	return doc{"$ref": "#/components/schemas/" + name}
}

// object is a structure of fields.
func (s *schemas) object(fields []control.JSONField, t reflect.Type) doc {
	properties, required := doc{}, []string{}
	for _, f := range fields {
		properties[f.Name] = s.field(f)
		if !f.Absent {
			required = append(required, f.Name)
		}
	}
	is := doc{"type": "object", "properties": properties}
	if len(required) > 0 && !s.asked[t] {
		is["required"] = required
	}
	return is
}

// field is one property, with what the code says about it.
func (s *schemas) field(f control.JSONField) doc {
	is := s.of(f.Type)
	if text := s.from.fields[s.from.of(f.Owner)+"."+f.Go]; text != "" {
		is = clone(is)
		is["description"] = text
	}
	return is
}

func clone(d doc) doc {
	out := doc{}
	for k, v := range d {
		out[k] = v
	}
	return out
}

// partsOf marks a type of a request, and what it is made of.
func (s *schemas) partsOf(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || s.asked[t] || t == ofTime {
		return
	}
	s.asked[t] = true
	for _, f := range control.JSONFields(t) {
		s.partsOf(f.Type)
	}
}
