package wire

import "bytes"

var (
	crlf      = []byte("\r\n")
	emptyLine = []byte("\r\n\r\n")
	colon     = []byte(":")
)

// headerEnd returns where the header section ends, behind its empty line, or -1.
func headerEnd(raw []byte) int {
	i := bytes.Index(raw, emptyLine)
	if i < 0 {
		return -1
	}
	return i + 4
}

// lines walks a header section by logical lines: a line that begins with white
// space continues the one before (RFC 3261 7.3.1). It is lenient about line
// ends, because a Fault's answer is made out of messages that have bad ones.
type lines struct{ rest []byte }

// next returns the next logical line without its end, or false. The empty line
// ends the walk.
func (l *lines) next() ([]byte, bool) {
	n := 0
	for n < len(l.rest) {
		k := bytes.IndexByte(l.rest[n:], '\n')
		if k < 0 {
			n = len(l.rest)
			break
		}
		n += k + 1
		if n == len(l.rest) || !isBlank(l.rest[n]) || len(trimEnd(l.rest[:n])) == 0 {
			break
		}
	}
	line := trimEnd(l.rest[:n])
	l.rest = l.rest[n:]
	return line, len(line) > 0
}

// trimEnd and trimBlank are bytes.Trim for two octets, several times as fast.
func trimEnd(line []byte) []byte {
	for n := len(line); n > 0 && (line[n-1] == '\n' || line[n-1] == '\r'); n-- {
		line = line[:n-1]
	}
	return line
}

func trimBlank(s []byte) []byte {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	return trimBlankEnd(s)
}

func trimBlankEnd(s []byte) []byte {
	for n := len(s); n > 0 && isBlank(s[n-1]); n-- {
		s = s[:n-1]
	}
	return s
}

// unfold joins a folded line with single spaces, in scratch.
func unfold(line, scratch []byte) (flat, grown []byte) {
	if bytes.IndexByte(line, '\n') < 0 {
		return line, scratch
	}
	out := scratch[:0]
	for len(line) > 0 {
		part := line
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			part, line = line[:i], line[i+1:]
		} else {
			line = nil
		}
		if part = bytes.Trim(part, " \t\r"); len(part) == 0 {
			continue
		}
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = append(out, part...)
	}
	return out, out
}

// splitField splits a logical line into name and value, both trimmed; false
// when there is no colon or the name is no token.
func splitField(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, colon)
	name = trimBlankEnd(name)
	return name, trimBlank(value), ok && allToken(name)
}

// cleanOctets looks for what must not stand in a header section: a CR or LF
// that is not part of a line end, or a control character outside a quoted-pair.
// It returns the word for it, or "".
func cleanOctets(head []byte) string {
	for i, b := range head {
		if b >= ' ' || b == '\t' {
			continue
		}
		before, after := around(head, i)
		switch {
		case b == '\r' && after != '\n':
			return "bare_cr"
		case b == '\n' && before != '\r':
			return "bare_lf"
		case b != '\r' && b != '\n' && before != '\\':
			return "control_character"
		}
	}
	return ""
}

// around returns the octets before and after the ith; a space stands for none.
func around(s []byte, i int) (before, after byte) {
	before, after = ' ', ' '
	if i > 0 {
		before = s[i-1]
	}
	if i+1 < len(s) {
		after = s[i+1]
	}
	return before, after
}
