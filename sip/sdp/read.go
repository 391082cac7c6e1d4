package sdp

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"
)

// Read returns the description in a body of that Content-Type:
// application/sdp, or the first such part of a multipart body (RFC 5621). It
// takes lines that end with LF alone, in any order, and passes over what it
// does not know.
//
// It returns ErrNotSDP, ErrTooLarge, ErrTooManyMedia or ErrMalformed.
func Read(contentType string, body []byte) (*Session, error) {
	text, err := find(contentType, body, 1)
	if err != nil {
		return nil, err
	}
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(text), MaxBytes)
	}
	return parse(string(text))
}

// find returns the description inside a body. Carriers put ISUP beside it, in
// a multipart body, and some a multipart/alternative inside that: nested says
// how many more levels are looked into.
func find(contentType string, body []byte, nested int) ([]byte, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	switch {
	case kind == "application/sdp": // whatever its parameters look like
		return body, nil
	case err != nil || !strings.HasPrefix(kind, "multipart/") || nested < 0:
		return nil, ErrNotSDP
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range MaxParts {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil, ErrNotSDP
		}
		inner, err := io.ReadAll(part)
		if err != nil {
			return nil, ErrNotSDP
		}
		if text, err := find(part.Header.Get("Content-Type"), inner, nested-1); err == nil {
			return text, nil
		}
	}
	return nil, ErrNotSDP
}

// parse reads lines of the form x=value. A line before the first m= belongs
// to the session, a later one to the m-line above it.
func parse(text string) (*Session, error) {
	s := &Session{}
	level, known := &s.common, false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) < 2 || line[1] != '=' {
			continue
		}
		known = true
		value := strings.TrimSpace(line[2:])
		switch line[0] {
		case 'o':
			s.origin = value
		case 't':
			if s.times == "" {
				s.times = value
			}
		case 'm':
			m, err := parseMedia(value)
			if err != nil {
				return nil, err
			}
			if len(s.media) == MaxMedia {
				return nil, fmt.Errorf("%w: at most %d", ErrTooManyMedia, MaxMedia)
			}
			s.media = append(s.media, m)
			level = &s.media[len(s.media)-1].section
		default:
			level.take(line[0], value)
		}
	}
	if !known {
		return nil, ErrMalformed
	}
	return s, nil
}

func (s *section) take(letter byte, value string) {
	switch letter {
	case 'c':
		if s.connection == "" {
			s.connection = value
		}
	case 'a':
		name, rest, _ := strings.Cut(value, ":")
		s.attributes = append(s.attributes, attribute{strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(rest)})
	}
}

// parseMedia reads "audio 49170/1 RTP/AVP 0 8". The line must be one that an
// answer can echo, for an answer has as many m-lines as its offer
// (RFC 3264 6).
func parseMedia(value string) (media, error) {
	f := strings.Fields(value)
	if len(f) < 3 {
		return media{}, fmt.Errorf("%w: m-line of %d fields", ErrMalformed, len(f))
	}
	for _, word := range f {
		if !visible(word) {
			return media{}, fmt.Errorf("%w: m-line with unprintable characters", ErrMalformed)
		}
	}
	first, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		port = 0 // not usable, but answered as refused
	}
	return media{kind: strings.ToLower(f[0]), port: uint16(port), proto: f[2], formats: f[3:]}, nil
}

// visible reports whether s is made of visible ASCII alone.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
