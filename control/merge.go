package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// merge applies an RFC 7396 merge patch to the JSON form of base and returns
// the result as a new T. A null removes, an absent field stays, an array is
// replaced whole. Unknown fields and wrong types are an [Error] naming them.
func merge[T any](base T, patch json.RawMessage) (T, error) {
	var out T
	if len(bytes.TrimSpace(patch)) == 0 {
		return base, nil
	}
	before, err := plainJSON(base)
	if err != nil {
		return out, fmt.Errorf("merge: %w", err)
	}
	var doc, change any
	if err := verbatim(before, &doc); err != nil {
		return out, fmt.Errorf("merge: %w", err)
	}
	if err := verbatim(patch, &change); err != nil {
		return out, shapeError(err)
	}
	if _, ok := change.(map[string]any); !ok {
		return out, invalid("", "invalid", "want a JSON object")
	}
	merged := apply(doc, change)
	keepCompat(merged, before, patch)
	after, err := plainJSON(merged)
	if err != nil {
		return out, fmt.Errorf("merge: %w", err)
	}
	return out, strict(after, &out)
}

// plainJSON writes JSON in which <, > and & stand for themselves: what is six
// times as long might be too long.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// keepCompat merges vendors' fields by their names alone: each value is one
// JSON text, kept as it was written, with the nulls in it and in its order.
func keepCompat(merged any, before, patch []byte) {
	var old, change struct {
		Compat map[string]json.RawMessage `json:"compat"`
	}
	object, ok := merged.(map[string]any)
	if !ok || json.Unmarshal(before, &old) != nil || json.Unmarshal(patch, &change) != nil {
		return // whoever decodes it says what is wrong
	}
	if _, stays := object["compat"]; !stays {
		return
	}
	kept := old.Compat
	if kept == nil {
		kept = map[string]json.RawMessage{}
	}
	for name, value := range change.Compat {
		if string(value) == "null" {
			delete(kept, name)
			continue
		}
		kept[name] = value
	}
	object["compat"] = kept
}

// verbatim decodes JSON and keeps numbers as they are written: vendors' ids are
// larger than a float64 can tell apart.
func verbatim(text []byte, into *any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(into)
}

func apply(doc, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := doc.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range change {
		if value == nil {
			delete(object, name)
			continue
		}
		object[name] = apply(object[name], value)
	}
	return object
}

// strict decodes a request. An unknown field is an error that names it: a
// misspelt wish must not be lost. All mistakes of form are told at once.
func strict(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if problems := shapeProblems(body, reflect.TypeOf(into)); len(problems) > 0 {
			return invalidAll(problems)
		}
		return shapeError(err)
	}
	if dec.More() {
		return invalid("", "invalid", "more than one JSON value")
	}
	if problems := misspelt(body, reflect.TypeOf(into)); len(problems) > 0 {
		return invalidAll(problems)
	}
	return nil
}

func shapeError(err error) *Error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return invalid(wrong.Field, "invalid", fmt.Sprintf("want %s, got %s", wordOf(wrong.Type.Kind().String()), wrong.Value))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalid(strings.Trim(name, `"`), "unknown", "there is no such field")
	}
	return invalid("", "invalid", "this is no JSON of the expected form")
}

func wordOf(kind string) string {
	switch kind {
	case "struct", "map":
		return "an object"
	case "slice", "array":
		return "a list"
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	}
	return "a number"
}
