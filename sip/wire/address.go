package wire

import (
	"strings"

	"patchbay/actors/call"
)

// The functions here take values in normal form: the guard has checked them.

// paramsOf returns the parameters of a header field's value, from their first
// semicolon: those of the field, not those of a URI in brackets.
func paramsOf(value string) string {
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			if i = endQuote(value, i); i < 0 {
				return ""
			}
		case '<':
			end := strings.IndexByte(value[i:], '>')
			if end < 0 {
				return ""
			}
			i += end
		case ';':
			return value[i:]
		}
	}
	return ""
}

// endQuote returns where the quoted-string that opens at i closes, or -1.
func endQuote(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// param returns a header field parameter, and whether it is there.
func param(value, name string) (string, bool) {
	rest := paramsOf(value)
	for len(rest) > 0 {
		var p string
		p, rest = cutParam(rest)
		k, v, _ := strings.Cut(p, "=")
		if k == name {
			return v, true
		}
	}
	return "", false
}

// cutParam splits ";a=b;c" into "a=b" and ";c".
func cutParam(params string) (first, rest string) {
	for i := 1; i < len(params); i++ {
		switch params[i] {
		case '"':
			if i = endQuote(params, i); i < 0 {
				return params[1:], ""
			}
		case ';':
			return params[1:i], params[i:]
		}
	}
	return params[min(1, len(params)):], ""
}

// SentBy returns the host, or host and port, of the top Via: of a response, by
// which its sender knows us.
func (m *Message) SentBy() string {
	value := m.first(via)
	_, sentBy, _ := strings.Cut(value[:len(value)-len(paramsOf(value))], " ")
	return sentBy
}

// splitAddress splits a name-addr or addr-spec into the display name as written
// and the URI.
func splitAddress(value string) (display, uri string) {
	i := 0
	if strings.HasPrefix(value, `"`) {
		i = endQuote(value, 0) + 1
	}
	open := strings.IndexByte(value[i:], '<')
	if open < 0 {
		uri, _, _ = strings.Cut(value, ";")
		return "", uri
	}
	open += i
	uri, _, _ = strings.Cut(value[open+1:], ">")
	return strings.TrimRight(value[:open], " "), uri
}

func addressURI(value string) string {
	_, uri := splitAddress(value)
	return uri
}

// party reads a From or To. A URI that is not SIP's keeps its text, and a tel
// URI its number (RFC 3966).
func party(value string) call.Party {
	display, text := splitAddress(value)
	p := call.Party{URI: text, Display: unquote(display)}
	if u, err := ParseURI(text); err == nil {
		p.User, p.Host = u.User, u.Host
		return p
	}
	if scheme, rest, ok := strings.Cut(text, ":"); ok && strings.EqualFold(scheme, "tel") {
		p.User, _, _ = strings.Cut(rest, ";")
	}
	return p
}

// unquote returns what a quoted display name says.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// mediaType returns "type/subtype" of a Content-Type or Accept value, in lower
// case.
func mediaType(value string) string {
	value, _, _ = strings.Cut(value, ";")
	if strings.ContainsAny(value, " \t") {
		value = strings.Join(strings.Fields(value), "")
	}
	return strings.ToLower(value)
}
