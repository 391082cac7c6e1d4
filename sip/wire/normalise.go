package wire

import (
	"bytes"
	"strconv"
)

// The functions here append one header field value in the spelling that every
// reader takes the same way: no white space round separators, parameter names in
// lower case, empty parameters gone. They report false for what has no such
// spelling. Their grammar is RFC 3261 25.1.

// appendVia reads one via-parm:
//
//	SIP / 2.0 / UDP  host : 5060 ; branch = z9hG4bK…
func appendVia(dst []byte, c *cursor) ([]byte, bool) {
	c.blank()
	name := c.token()
	if len(name) == 0 || !c.take('/') {
		return dst, false
	}
	version := c.token()
	if len(version) == 0 || !c.take('/') {
		return dst, false
	}
	transport := c.token()
	if len(transport) == 0 || !c.blank() {
		return dst, false
	}
	dst = append(append(append(dst, name...), '/'), version...)
	dst = append(append(append(dst, '/'), transport...), ' ')
	dst, ok := appendSentBy(dst, c)
	if !ok {
		return dst, false
	}
	return appendParams(dst, c, "branch")
}

// appendSentBy reads host [":" port].
func appendSentBy(dst []byte, c *cursor) ([]byte, bool) {
	start := c.i
	if c.peek() == '[' {
		end := bytes.IndexByte(c.s[c.i:], ']')
		if end < 0 || !plainHostPort(string(c.s[c.i:c.i+end+1])) {
			return dst, false
		}
		c.i += end + 1
	} else {
		c.while(isHost)
	}
	host := c.s[start:c.i]
	if len(host) == 0 {
		return dst, false
	}
	if host[0] == '[' {
		host = []byte(mendIPv6(string(host[:len(host)-1])) + "]")
	}
	dst = append(dst, host...)
	if !c.take(':') {
		return dst, true
	}
	port, ok := number(c.while(isDigit), 65535)
	if !ok || port == 0 {
		return dst, false
	}
	return strconv.AppendUint(append(dst, ':'), port, 10), true
}

// appendAddress reads a name-addr or addr-spec and its parameters, up to a
// comma or the end.
func appendAddress(dst []byte, c *cursor) ([]byte, bool) {
	c.blank()
	display, bracketed, ok := c.display()
	if !ok {
		return dst, false
	}
	if !bracketed {
		uri := c.while(isBareURI)
		if !absoluteURI(uri) {
			return dst, false
		}
		return appendParams(append(dst, uri...), c, "tag")
	}
	if len(display) > 0 {
		dst = append(append(dst, display...), ' ')
	}
	c.i++ // "<"
	uri := c.while(isURI)
	if c.peek() != '>' || !absoluteURI(uri) {
		return dst, false
	}
	c.i++
	return appendParams(append(append(append(dst, '<'), uri...), '>'), c, "tag")
}

// display reads what stands before "<" and reports whether there is a "<". An
// unquoted name may hold what people write (UTF-8, parentheses), but nothing
// that would make another reader split the value elsewhere.
func (c *cursor) display() (name []byte, bracketed, ok bool) {
	if c.peek() == '"' {
		name = c.quoted()
		c.blank()
		return name, true, name != nil && c.peek() == '<'
	}
	for i := c.i; i < len(c.s); i++ {
		switch c.s[i] {
		case '<':
			name = bytes.TrimRight(c.s[c.i:i], " \t")
			c.i = i
			return name, true, true
		case ':':
			return nil, false, true
		case ',', ';', '"', '>', '\\':
			return nil, false, false
		}
	}
	return nil, false, false
}

// isURI accepts what may stand between < and >: no white space, no delimiter.
func isURI(b byte) bool {
	return b > ' ' && b != 0x7f && b != '<' && b != '>' && b != '"'
}

// isBareURI is isURI less what RFC 3261 20.10 allows in brackets only.
func isBareURI(b byte) bool { return isURI(b) && b != ';' && b != ',' && b != '?' }

func absoluteURI(s []byte) bool {
	scheme, rest, ok := bytes.Cut(s, []byte(":"))
	return ok && len(rest) > 0 && isScheme(string(scheme))
}

// appendParams reads *( ";" name [ "=" value ] ) up to a comma or the end. The
// parameter named once identifies: it may stand once, and has a value of ASCII.
func appendParams(dst []byte, c *cursor, once string) ([]byte, bool) {
	seen := false
	for {
		c.blank()
		if c.valueEnd() {
			return dst, true
		}
		if !c.take(';') {
			return dst, false
		}
		if c.valueEnd() || c.peek() == ';' {
			continue
		}
		at := len(dst) + 1
		dst = appendLower(append(dst, ';'), c.token())
		value, ok := c.paramValue()
		if !ok || len(dst) == at {
			return dst, false
		}
		if string(dst[at:]) == once {
			if seen || !identifies(value) {
				return dst, false
			}
			seen = true
		}
		if len(value) > 0 {
			dst = append(append(dst, '='), value...)
		}
	}
}

// valueEnd reports whether the value ends here, or the next of a list begins.
func (c *cursor) valueEnd() bool { return c.end() || c.peek() == ',' }

// paramValue reads [ "=" value ]; false: a quote does not end.
func (c *cursor) paramValue() ([]byte, bool) {
	if !c.take('=') {
		return nil, true
	}
	if c.peek() == '"' {
		value := c.quoted()
		return value, value != nil
	}
	return c.while(isParamValue), true
}

// readCSeq reads number and method.
func readCSeq(value []byte) (n uint32, method []byte, ok bool) {
	c := cursor{s: value}
	seq, ok := number(c.while(isDigit), 1<<31-1) // RFC 3261 8.1.1.5
	if !ok || !c.blank() {
		return 0, nil, false
	}
	method = c.token()
	return uint32(seq), method, len(method) > 0 && c.end()
}
