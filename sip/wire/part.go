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

func (m *Message) part(want string) []byte {
	_, params, err := mime.ParseMediaType(m.first(contentType))
	if err != nil || params["boundary"] == "" {
		return nil
	}
	parts := multipart.NewReader(bytes.NewReader(m.Body()), params["boundary"])
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
