package endpoint

import (
	"fmt"
	"log/slog"
	"strings"
)

// The form of a bearer slug: prefix, hyphen, secret.
const (
	SlugPrefixMax = 12 // characters of the readable prefix, at least 1
	SlugSecret    = 24 // random symbols of 5 bits each: 120 bits
)

// slugAlphabet leaves out l, o, 0 and 1, which people confuse. It has 32
// symbols, so that a random byte's low five bits choose one without bias.
const slugAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"

// NewSlug makes a slug of a prefix that its owner chose and of random bytes.
// The error is a [Problem] of field slug_prefix.
func NewSlug(prefix string, random [SlugSecret]byte) (Slug, error) {
	if p, bad := checkPrefix(prefix); bad {
		return "", p
	}
	b := make([]byte, 0, len(prefix)+1+SlugSecret)
	b = append(append(b, prefix...), '-')
	for _, r := range random {
		b = append(b, slugAlphabet[r%32])
	}
	return Slug(b), nil
}

// ParseSlug reads a slug as it was dialled or stored; upper case is folded.
// The error is a [Problem] of field slug and never repeats the text.
func ParseSlug(text string) (Slug, error) {
	text = strings.ToLower(text)
	cut := len(text) - SlugSecret - 1
	if cut < 1 || text[cut] != '-' {
		return "", Problem{"slug", CodeInvalid, "want a prefix, a hyphen and 24 random symbols"}
	}
	if p, bad := checkPrefix(text[:cut]); bad {
		p.Field = "slug"
		return "", p
	}
	for i := cut + 1; i < len(text); i++ {
		if strings.IndexByte(slugAlphabet, text[i]) < 0 {
			return "", Problem{"slug", CodeInvalid, "the random symbols are a-z without l and o, and 2-9"}
		}
	}
	return Slug(text), nil
}

func checkPrefix(prefix string) (Problem, bool) {
	const field = "slug_prefix"
	switch {
	case prefix == "":
		return Problem{field, CodeRequired, "want 1 to 12 characters"}, true
	case len(prefix) > SlugPrefixMax:
		return Problem{field, CodeTooLong, "want 1 to 12 characters"}, true
	case !isLabel(prefix) || strings.Contains(prefix, "--"):
		return Problem{field, CodeInvalid, "want lower-case letters, digits and single hyphens, none at either end"}, true
	}
	return Problem{}, false
}

// isLabel reports whether s is made of lower-case letters, digits and hyphens,
// with none at either end.
func isLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		inner := c == '-' && i > 0 && i < len(s)-1
		if !inner && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// A Slug is the user part of an endpoint's SIP URI, lower case. Whoever knows
// it may call, so it prints redacted everywhere; only Reveal returns it whole.
type Slug string

// String returns the readable prefix, never the secret tail.
func (s Slug) String() string {
	i := strings.LastIndexByte(string(s), '-')
	if i < 0 {
		return "****"
	}
	return string(s[:i]) + "-****"
}

// GoString keeps %#v as safe as %v.
func (s Slug) GoString() string { return s.String() }

// Format keeps every verb of fmt as safe as %v, also those that do not fit.
func (s Slug) Format(f fmt.State, verb rune) { formatRedacted(f, verb, s.String()) }

// LogValue keeps the secret out of structured logs.
func (s Slug) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal returns the whole slug, for the SIP URI handed to its owner and for
// storage.
func (s Slug) Reveal() string { return string(s) }
