package golden

import (
	"encoding/json"
	"reflect"
	"testing"
)

// Covers fails the test unless everything that stands in one JSON text stands
// in another, too, at the same place and with the same value: what an earlier
// release wrote was read, and nothing of it was lost. What the other has beside
// it does not matter.
func Covers(t testing.TB, what string, old, got []byte) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(old, &a); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := json.Unmarshal(got, &b); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if at, ok := covers(a, b, what); !ok {
		t.Errorf("%s was lost, or came back changed", at)
	}
}

// covers returns the first place that does not.
func covers(a, b any, at string) (string, bool) {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			return at, false
		}
		for name, v := range a {
			if place, ok := covers(v, b[name], at+"."+name); !ok {
				return place, false
			}
		}
		return "", true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return at, false
		}
		for i := range a {
			if place, ok := covers(a[i], b[i], at+"[]"); !ok {
				return place, false
			}
		}
		return "", true
	}
	return at, reflect.DeepEqual(a, b)
}
