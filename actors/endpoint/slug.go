package endpoint

import (
	"log/slog"
	"strings"
)

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

// LogValue keeps the secret out of structured logs.
func (s Slug) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Reveal returns the whole slug, for the SIP URI handed to its owner and for
// storage.
func (s Slug) Reveal() string { return string(s) }
