package endpoint

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// redacted stands for a secret of which nothing may be shown.
const redacted = "****"

// formatRedacted writes safe in place of a secret, whatever the verb.
func formatRedacted(f fmt.State, verb rune, safe string) {
	if verb == 'q' {
		safe = strconv.Quote(safe)
	}
	_, _ = io.WriteString(f, safe) // fmt.State keeps its own error
}

// String hides the secret and says only whether there is one.
func (s SecretRef) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps %#v as safe as %v.
func (s SecretRef) GoString() string { return s.String() }

// Format keeps every verb of fmt as safe as %v.
func (s SecretRef) Format(f fmt.State, verb rune) { formatRedacted(f, verb, s.String()) }

// LogValue keeps the secret out of structured logs.
func (s SecretRef) LogValue() slog.Value { return slog.StringValue(s.String()) }

// LogValue keeps the slug of a logged endpoint out of JSON handlers, which
// would marshal it as it is stored.
func (e Endpoint) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", e.ID), slog.String("tenant", e.Tenant), slog.String("name", e.Name),
		slog.String("slug", e.Slug.String()), slog.Bool("is_active", e.IsActive))
}

// LogValue keeps an agent's credentials out of JSON handlers.
func (a Agent) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.ID), slog.String("tenant", a.Tenant), slog.String("name", a.Name),
		slog.String("connector", string(a.WebRTC.Connector)), slog.Bool("is_active", a.IsActive))
}

// String tells who calls whom. The users of From and To stay out of it: To
// often repeats the slug.
func (inv Invite) String() string {
	return inv.Source.String() + " to " + inv.Address.String()
}

// GoString keeps %#v as safe as %v.
func (inv Invite) GoString() string { return inv.String() }

// Format keeps every verb of fmt as safe as %v.
func (inv Invite) Format(f fmt.State, verb rune) { formatRedacted(f, verb, inv.String()) }

// LogValue keeps what may be a slug out of structured logs.
func (inv Invite) LogValue() slog.Value {
	return slog.GroupValue(slog.String("source", inv.Source.String()), slog.String("endpoint", string(inv.Address.Key())))
}
