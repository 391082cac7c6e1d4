package yappr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A form is a request's body, field by field. The first mistake that is found is
// kept; fields are read in the order in which the documents name them.
type form struct {
	fields map[string]json.RawMessage
	bad    *problem
}

// readForm reads a body that is one JSON object.
func readForm(r *http.Request) (*form, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, refuse(http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("want at most %d bytes", large.Limit))
		}
		return nil, refuse(http.StatusBadRequest, codeRequest, "the body did not arrive whole")
	}
	f := &form{}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&f.fields); err != nil || f.fields == nil || dec.More() {
		return nil, refuse(http.StatusBadRequest, codeRequest, "want a JSON object as the body")
	}
	return f, nil
}

// only refuses every field but those that are read, by name.
func (f *form) only(read ...string) error {
	var extra []string
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		if !slices.Contains(read, name) {
			extra = append(extra, fmt.Sprintf("%.64q", name))
		}
	}
	if len(extra) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, codeRequest,
		"not read here: "+strings.Join(extra[:min(len(extra), maxNamed)], ", ")+"; want only "+strings.Join(read, ", "))
}

// maxNamed is how many unknown fields an error names.
const maxNamed = 8

// has reports whether the body has a field, also if it is null.
func (f *form) has(name string) bool { _, ok := f.fields[name]; return ok }

func (f *form) fail(name, why string) {
	if f.bad == nil {
		f.bad = wrong(name, why)
	}
}

// failed returns the first mistake.
func (f *form) failed() error {
	if f.bad == nil {
		return nil
	}
	return f.bad
}

// isNull reports whether a field is null.
func (f *form) isNull(name string) bool { return bytes.Equal(f.fields[name], []byte("null")) }

// read decodes a field that must not be null.
func read[T any](f *form, name, want string) (value T) {
	if f.isNull(name) || json.Unmarshal(f.fields[name], &value) != nil {
		f.fail(name, "want "+want)
		var zero T
		return zero
	}
	return value
}

func (f *form) text(name string) string { return read[string](f, name, "a string") }
func (f *form) flag(name string) bool   { return read[bool](f, name, "true or false") }
