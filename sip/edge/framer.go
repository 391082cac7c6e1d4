package edge

import (
	"bytes"
	"errors"
	"strconv"

	"patchbay/sip/wire"
)

// maxStreamMessage is the longest message on a stream, bytes.
const maxStreamMessage = wire.DefaultMaxStream

// What makes a stream impossible to cut into messages. After any of these the
// connection has no next message, so it is closed (RFC 3261 18.3).
var (
	errNotSIP    = errors.New("start line is not SIP's")
	errBareLF    = errors.New("line does not end in CRLF")
	errBadLength = errors.New("unusable Content-Length")
	errTooLong   = errors.New("message over 65536 bytes")
)

// A unit is what a framer cuts off a stream.
type unit uint8

const (
	unitNone    unit = iota // more bytes are needed
	unitMessage             // one whole message
	unitPing                // CRLFCRLF, answered with CRLF (RFC 5626 4.4.1)
)

// Sizes of a framer's buffer: idle connections are many, so it starts small
// and shrinks again.
const (
	framerStart = 2 << 10
	framerKeep  = 8 << 10
)

// A framer cuts a byte stream into SIP messages by their Content-Length. What
// it yields depends on the bytes alone, never on how reads split them.
type framer struct {
	data    []byte // what was read; data[off:] is not yet yielded
	off     int
	scanned int // bytes after off already searched for the end of the headers
	line    int // where, after off, the line being scanned starts
	need    int // whole length of the message at off; 0: not known yet
}

// space returns room for the next read. It ends the life of yielded messages.
func (f *framer) space() []byte {
	if f.off > 0 {
		f.data = f.data[:copy(f.data, f.data[f.off:])]
		f.off = 0
	}
	switch {
	case cap(f.data) == 0, len(f.data) == 0 && cap(f.data) > framerKeep:
		f.data = make([]byte, 0, framerStart)
	case len(f.data) == cap(f.data):
		f.data = append(make([]byte, 0, 2*cap(f.data)), f.data...)
	}
	return f.data[len(f.data):cap(f.data)]
}

// filled says that n bytes were read into space.
func (f *framer) filled(n int) { f.data = f.data[:len(f.data)+n] }

// rest returns the bytes not yet yielded.
func (f *framer) rest() []byte { return f.data[f.off:] }

// partial reports whether the beginning of a message has come. Line ends that
// may become a ping are none.
func (f *framer) partial() bool { return !f.blank() }

func (f *framer) blank() bool { return bytes.HasPrefix([]byte("\r\n\r"), f.rest()) }

// next cuts off one unit. A message is valid until the next call of space.
// After an error the framer is of no more use; head then returns what can be
// answered.
func (f *framer) next() (unit, []byte, error) {
	if f.need == 0 {
		if u := f.skipBlank(); u != unitNone {
			return u, nil, nil
		}
		end, err := f.headerEnd()
		if err != nil || end == 0 {
			return unitNone, nil, err
		}
		length, err := contentLength(f.rest()[:end])
		if err != nil {
			return unitNone, nil, err
		}
		if end+length > maxStreamMessage {
			return unitNone, nil, errTooLong
		}
		f.need = end + length
	}
	if len(f.rest()) < f.need {
		return unitNone, nil, nil
	}
	msg := f.rest()[:f.need:f.need]
	f.advance(f.need)
	return unitMessage, msg, nil
}

// head returns what came of the message that could not be framed: its whole
// lines up to the fault or the end of its headers, closed by an empty line.
func (f *framer) head() []byte {
	lines := f.rest()[:min(f.line, len(f.rest()))]
	return append(bytes.Clone(lines), "\r\n"...)
}

// advance forgets n bytes that were yielded or skipped.
func (f *framer) advance(n int) {
	f.off += n
	f.scanned, f.line, f.need = 0, 0, 0
}

// skipBlank drops line ends before a message (RFC 3261 7.5). A CRLF that may
// still become a ping stays until more has come.
func (f *framer) skipBlank() unit {
	for {
		rest := f.rest()
		switch {
		case bytes.HasPrefix(rest, []byte("\r\n\r\n")):
			f.advance(4)
			return unitPing
		case bytes.HasPrefix(rest, []byte("\r\n")) && len(rest) > 2 && rest[2] != '\r',
			bytes.HasPrefix(rest, []byte("\r\n\r")) && len(rest) > 3:
			f.advance(2)
		default:
			return unitNone
		}
	}
}

// headerEnd returns the length of the header section with its empty line; 0
// when it has not arrived yet. A line that ends in a bare LF has no agreed
// meaning and is refused.
func (f *framer) headerEnd() (int, error) {
	if f.blank() {
		return 0, nil
	}
	rest := f.rest()
	for {
		i := bytes.IndexByte(rest[f.scanned:], '\n')
		at := f.scanned + i
		switch {
		case i < 0 && len(rest) > maxStreamMessage, at >= maxStreamMessage:
			return 0, errTooLong
		case i < 0:
			f.scanned = len(rest)
			return 0, nil
		case at == f.line, rest[at-1] != '\r':
			return 0, errBareLF
		}
		if f.line == 0 && !bytes.Contains(bytes.ToUpper(rest[:at]), []byte("SIP/")) {
			return 0, errNotSIP // HTTP, or what follows a wrong length
		}
		f.scanned = at + 1
		if at-f.line == 1 {
			return at + 1, nil
		}
		f.line = at + 1
	}
}

// contentLength reads the Content-Length, or its compact form l, of a header
// section. Two that differ are refused: each reader would cut elsewhere. None
// means no body, as it did before RFC 3261.
func contentLength(head []byte) (int, error) {
	found := -1
	for line := range headerLines(head) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		name = bytes.TrimRight(name, " \t")
		if !bytes.EqualFold(name, []byte("content-length")) && !bytes.EqualFold(name, []byte("l")) {
			continue
		}
		n, err := decimal(bytes.Trim(value, " \t\r\n"))
		if err != nil || found >= 0 && found != n {
			return 0, errBadLength
		}
		found = n
	}
	return max(found, 0), nil
}

// headerLines yields each header field with its folded lines (RFC 3261 7.3.1),
// without the start line.
func headerLines(head []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		_, rest, _ := bytes.Cut(head, []byte("\r\n"))
		for len(rest) > 0 {
			end := 0
			for {
				i := bytes.Index(rest[end:], []byte("\r\n"))
				if i < 0 {
					end = len(rest)
					break
				}
				end += i + 2
				if end == len(rest) || rest[end] != ' ' && rest[end] != '\t' {
					break
				}
			}
			if !yield(rest[:end]) {
				return
			}
			rest = rest[end:]
		}
	}
}

// decimal reads digits and nothing else: no sign, no blanks inside.
func decimal(b []byte) (int, error) {
	if len(b) == 0 || len(b) > 10 {
		return 0, errBadLength
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errBadLength
		}
	}
	return strconv.Atoi(string(b))
}
