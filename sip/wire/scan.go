package wire

import "bytes"

// A cursor reads a header field's value, already unfolded: white space is SP
// and HTAB only.
type cursor struct {
	s []byte
	i int
}

func (c *cursor) end() bool { return c.i >= len(c.s) }

// peek returns the next octet, or 0 at the end; values hold no bare NUL.
func (c *cursor) peek() byte {
	if c.end() {
		return 0
	}
	return c.s[c.i]
}

// blank skips white space and reports whether there was any.
func (c *cursor) blank() bool {
	from := c.i
	for !c.end() && isBlank(c.s[c.i]) {
		c.i++
	}
	return c.i > from
}

// take skips b, with white space round it, and reports whether it was there.
// This is the grammar's SLASH, EQUAL, SEMI, COLON and COMMA (RFC 3261 25.1).
func (c *cursor) take(b byte) bool {
	c.blank()
	if c.peek() != b || c.end() {
		return false
	}
	c.i++
	c.blank()
	return true
}

// token reads octets of RFC 3261's token.
func (c *cursor) token() []byte { return c.while(isToken) }

// while reads octets as long as ok.
func (c *cursor) while(ok func(byte) bool) []byte {
	from := c.i
	for !c.end() && ok(c.s[c.i]) {
		c.i++
	}
	return c.s[from:c.i]
}

// quoted reads a quoted-string with its quotes, or nil when it does not end.
func (c *cursor) quoted() []byte {
	from := c.i
	for c.i++; c.i < len(c.s); c.i++ {
		switch c.s[c.i] {
		case '\\':
			c.i++
		case '"':
			c.i++
			return c.s[from:c.i]
		}
	}
	return nil
}

// identifies reports whether a value may name a dialog or a transaction: some
// octets of visible ASCII.
func identifies(s []byte) bool {
	for _, b := range s {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(s) > 0
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isAlnum(b byte) bool {
	return isDigit(b) || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// tokens marks the octets of RFC 3261's token.
var tokens = func() (t [256]bool) {
	for b := range 256 {
		t[b] = isAlnum(byte(b)) || b < 0x80 && bytes.IndexByte([]byte("-.!%*_+`'~"), byte(b)) >= 0
	}
	return t
}()

func isToken(b byte) bool { return tokens[b] }

// isParamValue is gen-value read liberally: any visible octet that does not
// end a parameter. Tags in base64 padding and IPv6 addresses without brackets
// (RFC 5118 4.5) are let through.
func isParamValue(b byte) bool {
	switch b {
	case ';', ',', '"', '<', '>', ' ', '\t':
		return false
	}
	return b > ' ' && b != 0x7f
}

func isHost(b byte) bool { return isAlnum(b) || b == '-' || b == '.' || b == '_' }

func allToken(s []byte) bool {
	for _, b := range s {
		if !tokens[b] {
			return false
		}
	}
	return len(s) > 0
}

func appendLower(dst, s []byte) []byte {
	for _, b := range s {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return dst
}

// number reads decimal digits, nothing else, up to most.
func number(s []byte, most uint64) (uint64, bool) {
	var n uint64
	for _, b := range s {
		if !isDigit(b) {
			return 0, false
		}
		if n = n*10 + uint64(b-'0'); n > most {
			return 0, false
		}
	}
	return n, len(s) > 0
}
