package wire

import (
	"strconv"

	"patchbay/actors/call"
)

// A writer appends header fields whose values come from somewhere else: an
// agent, an operator, the caller of another call.
type writer []byte

// header appends one field. A name that is no token has no field.
func (w *writer) header(name, value string) {
	for i := range len(name) {
		if !isToken(name[i]) {
			return
		}
	}
	if name == "" {
		return
	}
	*w = append(append(*w, name...), ": "...)
	w.inert(value)
	*w = append(*w, crlf...)
}

// address appends a field whose value is one URI in brackets.
func (w *writer) address(name, uri string) {
	*w = append(append(*w, name...), ": <"...)
	w.inert(uri)
	*w = append(append(*w, '>'), crlf...)
}

func (w *writer) headers(all []call.Header) {
	for _, h := range all {
		w.header(h.Name, h.Value)
	}
}

// body ends the header section and appends the body.
func (w *writer) body(contentType string, body []byte) {
	if len(body) > 0 {
		w.header("Content-Type", contentType)
	}
	*w = append(*w, "Content-Length: "...)
	*w = strconv.AppendInt(*w, int64(len(body)), 10)
	*w = append(append(append(*w, crlf...), crlf...), body...)
}

// inert appends text with CR, LF and NUL as spaces. A NUL behind a backslash is
// a quoted-pair, which may stand in what a peer wrote (RFC 4475 3.1.1.2).
func (w *writer) inert(s string) {
	for i := range len(s) {
		switch b := s[i]; {
		case b == '\r', b == '\n', b == 0 && (i == 0 || s[i-1] != '\\'):
			*w = append(*w, ' ')
		default:
			*w = append(*w, b)
		}
	}
}
