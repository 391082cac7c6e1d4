package yappr

import (
	"strings"

	"patchbay/actors/endpoint"
)

// fallbackPrefix starts the slug of an endpoint whose name has no letter or digit
// that a slug may have.
const fallbackPrefix = "ep"

// reserved are words that no slug may begin with: alone, or before a hyphen.
var reserved = []string{"yappr", "admin", "internal", "system", "api", "sip", "telnyx", "trunk", "root", "test", "sudo", "support"}

// isReserved reports whether a prefix is a word that Yappr keeps for itself.
func isReserved(prefix string) bool {
	for _, word := range reserved {
		if rest, ok := strings.CutPrefix(prefix, word); ok && (rest == "" || rest[0] == '-') {
			return true
		}
	}
	return false
}

// chosenPrefix reads the slug that a body asks for: upper case is folded, and
// anything else that does not fit is refused, never rewritten.
func chosenPrefix(text string) (string, *problem) {
	prefix := strings.ToLower(text)
	switch {
	case prefix == "" || len(prefix) > endpoint.SlugPrefixMax:
		return "", wrong("slug", "want 1 to 12 characters")
	case !isPrefix(prefix):
		return "", wrong("slug", "want lower-case letters, digits and single hyphens, none at either end")
	case isReserved(prefix):
		return "", wrong("slug", "this word is reserved")
	}
	return prefix, nil
}

func isPrefix(s string) bool {
	for i := range len(s) {
		c := s[i]
		inner := c == '-' && i > 0 && i < len(s)-1 && s[i-1] != '-'
		if !inner && !isAlnum(c) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// derivedPrefix makes a prefix of an endpoint's name: its letters and digits,
// what stands between them as hyphens, cut to 12 characters.
func derivedPrefix(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r < 0x80 && isAlnum(byte(r)):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == endpoint.SlugPrefixMax {
			break
		}
	}
	prefix := strings.Trim(b.String(), "-")
	if prefix == "" || isReserved(prefix) {
		return fallbackPrefix
	}
	return prefix
}
