package ultravox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A form is a JSON object of a request, read field by field. Mistakes are
// gathered; what nobody reads is one.
type form struct {
	fields map[string]json.RawMessage
	read   map[string]bool
	faults tree // of the whole body
	path   []string
}

// form reads the body of the request.
func (a *ask) form() (*form, error) {
	if kind := a.http.Header.Get("Content-Type"); kind != "" {
		if media, _, err := mime.ParseMediaType(kind); err != nil || media != "application/json" {
			return nil, detail(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported media type %q in request.", kind))
		}
	}
	body, err := io.ReadAll(a.http.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, err
		}
		return nil, detail(http.StatusBadRequest, "The request broke off.")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	if !json.Valid(body) {
		return nil, detail(http.StatusBadRequest, "JSON parse error.")
	}
	f := &form{faults: tree{}}
	if !f.take(body) {
		return nil, fieldFault("Invalid data. Expected a dictionary.", general)
	}
	return f, nil
}

// take reads an object; false: it is none.
func (f *form) take(body json.RawMessage) bool {
	f.read = map[string]bool{}
	return json.Unmarshal(body, &f.fields) == nil && f.fields != nil
}

func (f *form) wrong(name, text string) {
	f.faults.add(text, append(append([]string(nil), f.path...), name)...)
}

// has reports whether the field is there, null or not.
func (f *form) has(name string) bool {
	_, ok := f.fields[name]
	return ok
}

// value returns a field that is there and not null. A null is a mistake.
func (f *form) value(name string) (json.RawMessage, bool) {
	v, ok := f.fields[name]
	f.read[name] = true
	if ok && string(v) == "null" {
		f.wrong(name, "This field may not be null.")
		return nil, false
	}
	return v, ok
}

// null takes a field that is null, and reports whether it was.
func (f *form) null(name string) bool {
	if string(f.fields[name]) != "null" {
		return false
	}
	f.read[name] = true
	return true
}

// need notes a required field that is not there.
func (f *form) need(names ...string) {
	for _, name := range names {
		if !f.has(name) {
			f.wrong(name, "This field is required.")
		}
	}
}

// text reads a text of at most max characters; ok: it is there and good.
func (f *form) text(name string, max int) (text string, ok bool) {
	v, ok := f.value(name)
	if !ok {
		return "", false
	}
	if why := textOf(v, &text, max); why != "" {
		f.wrong(name, why)
		return "", false
	}
	return text, true
}

// textOf reads a text, or says what is wrong with it.
func textOf(v json.RawMessage, into *string, max int) string {
	switch {
	case json.Unmarshal(v, into) != nil || string(v) == "null":
		return "Not a valid string."
	case *into == "":
		return "This field may not be blank."
	case max > 0 && utf8.RuneCountInString(*into) > max:
		return "Ensure this field has no more than " + strconv.Itoa(max) + " characters."
	}
	return ""
}

// orNull reads a text that may be null or blank: nil then.
func (f *form) orNull(name string, max int) *string {
	if f.null(name) || string(f.fields[name]) == `""` {
		f.read[name] = true
		return nil
	}
	if s, ok := f.text(name, max); ok {
		return &s
	}
	return nil
}

// flag reads true or false; ok: it is there and good.
func (f *form) flag(name string) (flag, ok bool) {
	v, ok := f.value(name)
	if !ok {
		return false, false
	}
	if json.Unmarshal(v, &flag) != nil {
		f.wrong(name, "Must be a valid boolean.")
		return false, false
	}
	return flag, true
}

// items reads a list; ok: it is there and one.
func (f *form) items(name string) (items []json.RawMessage, ok bool) {
	v, ok := f.value(name)
	if !ok {
		return nil, false
	}
	if json.Unmarshal(v, &items) != nil {
		f.wrong(name, "Expected a list of items but got type "+strconv.Quote(typeOf(v))+".")
		return nil, false
	}
	return items, true
}

// texts reads a list of texts, each checked by its own.
func (f *form) texts(name string, max int) (texts []string, ok bool) {
	items, ok := f.items(name)
	if !ok {
		return nil, false
	}
	texts = make([]string, len(items))
	for i, v := range items {
		if why := textOf(v, &texts[i], max); why != "" {
			f.below(name).wrong(strconv.Itoa(i), why)
			ok = false
		}
	}
	return texts, ok
}

// object reads an object; ok: it is there and one. Close it.
func (f *form) object(name string) (*form, bool) {
	v, ok := f.value(name)
	if !ok {
		return nil, false
	}
	return f.inner(v, name)
}

// inner is an object somewhere below.
func (f *form) inner(v json.RawMessage, path ...string) (*form, bool) {
	below := f.below(path...)
	if !below.take(v) {
		f.faults.add("Invalid data. Expected a dictionary, but got "+typeOf(v)+".", below.path...)
		return nil, false
	}
	return below, true
}

// below is a form whose mistakes stand at a path below this one's.
func (f *form) below(path ...string) *form {
	return &form{faults: f.faults, path: append(append([]string(nil), f.path...), path...)}
}

// ignore passes over fields that are read-only.
func (f *form) ignore(names ...string) {
	for _, name := range names {
		f.read[name] = true
	}
}

// close ends an object: fields that nobody read are mistakes, so that no wish is
// lost.
func (f *form) close() {
	for name := range f.fields {
		if !f.read[name] {
			f.wrong(name, "This field is not served.")
		}
	}
}

// done ends the body.
func (f *form) done() error {
	f.close()
	if len(f.faults) > 0 {
		return f.faults.fault()
	}
	return nil
}

// typeOf is Python's name of a JSON value's type.
func typeOf(v json.RawMessage) string {
	switch {
	case len(v) == 0 || v[0] == 'n':
		return "NoneType"
	case v[0] == '"':
		return "str"
	case v[0] == '{':
		return "dict"
	case v[0] == '[':
		return "list"
	case v[0] == 't' || v[0] == 'f':
		return "bool"
	case strings.ContainsAny(string(v), ".eE"):
		return "float"
	}
	return "int"
}

// isUUID reports the usual form of a UUID, in any case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

// raw is a value as JSON.
func raw(v any) json.RawMessage {
	b, _ := json.Marshal(v) // what is made here cannot fail
	return b
}
