package dialog

import (
	"slices"
	"strings"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/sip/wire"
)

// passed names the header fields that reach the agent, beside all X- ones.
var passed = map[string]bool{
	"p-asserted-identity": true, "diversion": true, "user-to-user": true, "identity": true, "history-info": true, "referred-by": true,
}

// invitation returns what the INVITE says. A bearer slug in it is redacted
// wherever it stands: in To, and in header fields that repeat the Request-URI,
// as Diversion and History-Info do. Nothing of it keeps the message in memory.
func (f *Factory) invitation(m *wire.Message, flow call.Flow) call.Invitation {
	to := m.To()
	slugs := redactor{}
	slugs.hide(m.RequestURI, f.options.BaseDomain)
	// To may name somebody else than was dialled, and an owner's rules and
	// webhook go by it. Only what looks like a slug may be one.
	if uri, err := wire.ParseURI(to.URI); err == nil && isSlug(uri.User) {
		slugs.hide(uri, f.options.BaseDomain)
	}
	inv := call.Invitation{
		Key:       call.TransactionKey{CallID: slugs.id(m.CallID), FromTag: slugs.id(m.FromTag), CSeq: m.CSeq},
		From:      slugs.party(m.From()),
		To:        slugs.party(to),
		Transport: flow.Transport,
		Source:    flow.Remote.String(),

		MaxForwards: max(m.MaxForwards(), 0),
	}
	for name, value := range m.Fields() {
		lower := strings.ToLower(name)
		longest := call.MaxHeaderBytes
		if lower == "identity" {
			longest = call.MaxIdentityBytes
		}
		if !passed[lower] && !strings.HasPrefix(lower, "x-") || len(value) > longest {
			continue
		}
		if len(inv.Headers) == call.MaxHeaders {
			break
		}
		inv.Headers = append(inv.Headers, call.Header{Name: strings.Clone(name), Value: slugs.clean(value)})
	}
	return inv
}

// A redactor blanks out bearer slugs. The zero value knows none.
type redactor struct {
	secrets []string // lower case, as written and unescaped
	shown   string
}

// hide takes note of the user of a URI that was dialled, if it is, or may be,
// a bearer slug (docs/routing.md).
func (r *redactor) hide(u wire.URI, baseDomain string) {
	if u.User == "" || !isSlug(u.User) && isName(u, baseDomain) {
		return
	}
	r.shown = endpoint.Slug(strings.ToLower(u.User)).String()
	r.secrets = append(r.secrets, strings.ToLower(u.User))
	_, written, _ := strings.Cut(u.Reveal(), ":")
	written, _, _ = strings.Cut(written, "@")
	if written = strings.ToLower(written); written != r.secrets[len(r.secrets)-1] {
		r.secrets = append(r.secrets, written)
	}
}

func isSlug(user string) bool {
	_, err := endpoint.ParseSlug(user)
	return err == nil
}

// isName reports whether a user that is no slug is none with a mistake in it
// either: a phone number, or who is dialled at an account's domain. What may be
// an account's own domain has names too, but that one with as many letters and
// digits as a slug is taken for a slug.
func isName(u wire.URI, baseDomain string) bool {
	if isNumber(u.User) || baseDomain != "" && strings.HasSuffix(u.Host, "."+baseDomain) {
		return true
	}
	_, _, atDomain := endpoint.Dialled(u.User, u.Host, baseDomain).AtHost()
	return atDomain && !resemblesSlug(u.User)
}

// slugMistakes is how many of a slug's random symbols may be missing or others.
const slugMistakes = 4

func resemblesSlug(user string) bool {
	symbols, digits := 0, 0
	for _, c := range user {
		switch {
		case c >= '0' && c <= '9':
			symbols, digits = symbols+1, digits+1
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			symbols++
		}
	}
	return digits > 0 && symbols >= endpoint.SlugSecret-slugMistakes
}

func isNumber(user string) bool {
	digits := strings.TrimPrefix(user, "+")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

func (r *redactor) party(p call.Party) call.Party {
	return call.Party{URI: r.clean(p.URI), User: r.clean(p.User), Host: strings.Clone(p.Host), Display: r.clean(p.Display)}
}

// id returns a copy of an identifier of the carrier's without the slugs. A
// shorter name in it is a coincidence, and stays: operators look for the
// identifier as the carrier wrote it.
func (r *redactor) id(s string) string {
	return clean(s, r.shown, slices.DeleteFunc(slices.Clone(r.secrets), func(secret string) bool { return len(secret) < endpoint.SlugSecret }))
}

// clean returns a copy of s without what is hidden.
func (r *redactor) clean(s string) string { return clean(s, r.shown, r.secrets) }

// clean returns a copy of s with shown for each of the secrets, whatever their
// case.
func clean(s, shown string, secrets []string) string {
	s = strings.Clone(s)
	for _, secret := range secrets {
		lower := strings.ToLower(s)
		if len(lower) != len(s) { // folding moved octets: positions do not agree
			s = lower
		}
		var b strings.Builder
		for at := strings.Index(lower, secret); at >= 0; at = strings.Index(lower, secret) {
			b.WriteString(s[:at])
			b.WriteString(shown)
			s, lower = s[at+len(secret):], lower[at+len(secret):] // never again what was shown: a caller may dial *
		}
		s = b.String() + s
	}
	return s
}
