package wire

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// maxParts is how many parts of a multipart body are looked at.
const maxParts = 8

// SDP returns the session description in the body: the body itself, or the
// first part of that type in a multipart/mixed body (RFC 5621), as carriers send
// it beside ISUP. It returns nil where there is none.
func (m *Message) SDP() []byte {
	switch m.ContentType() {
	case sdpType:
		return m.Body()
	case multipartType:
		return m.part(sdpType)
	}
	return nil
}

// Described reports whether the body has to be read. There is none to read, or
// it is of a type that we do not know and whose sender leaves it to us, as ISUP
// with handling=optional (RFC 3261 8.2.3, 20.11), alone or in a multipart body.
func (m *Message) Described() bool { return m.bodyLen > 0 && !m.ignorable() }

// ignorable reports whether a body may be left unread.
func (m *Message) ignorable() bool {
	switch m.ContentType() {
	case sdpType:
		return false
	case multipartType:
		return m.allOptional()
	}
	return optional(m.Header("Content-Disposition"))
}

// optional reads a Content-Disposition: without a word about it, what it is of
// has to be understood (RFC 3261 20.11).
func optional(disposition string) bool {
	for p := range strings.SplitSeq(disposition, ";") {
		if name, value, ok := strings.Cut(p, "="); ok && strings.EqualFold(strings.TrimSpace(name), "handling") {
			return strings.EqualFold(strings.TrimSpace(value), "optional")
		}
	}
	return false
}

// allOptional reports whether each part of a multipart body may be left unread:
// then all of it may be (RFC 5621 4.2). SDP is read wherever it is, and so is
// a multipart body inside.
func (m *Message) allOptional() bool {
	parts := m.parts()
	if parts == nil {
		return false
	}
	for n := range maxParts + 1 {
		p, err := parts.NextRawPart()
		if err != nil {
			return err == io.EOF && n > 0 // wrapped, it is of a body that breaks off
		}
		t := mediaType(p.Header.Get("Content-Type"))
		if t == "" || t == sdpType || strings.HasPrefix(t, "multipart/") || !optional(p.Header.Get("Content-Disposition")) {
			return false
		}
	}
	return false
}

// parts reads a multipart body; nil: it has no boundary.
func (m *Message) parts() *multipart.Reader {
	_, params, err := mime.ParseMediaType(m.first(contentType))
	if err != nil || params["boundary"] == "" {
		return nil
	}
	return multipart.NewReader(bytes.NewReader(m.Body()), params["boundary"])
}

func (m *Message) part(want string) []byte {
	parts := m.parts()
	if parts == nil {
		return nil
	}
	for range maxParts {
		p, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		if mediaType(p.Header.Get("Content-Type")) != want || encoded(p.Header.Get("Content-Transfer-Encoding")) {
			continue
		}
		if body, err := io.ReadAll(p); err == nil {
			return body
		}
	}
	return nil
}

// encoded reports whether a part is not written as it is. SIP is eight-bit
// clean, so nobody need encode SDP.
func encoded(how string) bool {
	return how != "" && !strings.EqualFold(how, "binary") && !strings.EqualFold(how, "8bit") && !strings.EqualFold(how, "7bit")
}
