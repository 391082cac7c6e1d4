package endpoint

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
)

// Partitions is how many mailboxes all endpoints share.
const Partitions = 256

// An Address is the canonical form of what was dialled: "s/<slug>",
// "a/<account>/<user>", "a/<account>", "n/<digits>", or "d/<host>/<user>" where
// the host may be an account's own. It may hold a slug, so it redacts itself;
// Reveal returns it whole.
type Address string

// SlugAddress returns the address of a bearer slug; case does not matter.
func SlugAddress(s Slug) Address { return Address("s/" + strings.ToLower(s.Reveal())) }

// UserAddress returns the address of a user at an account's domain.
func UserAddress(account, user string) Address {
	return Address("a/" + strings.ToLower(account) + "/" + user)
}

// AccountAddress returns the address of an account's own policy.
func AccountAddress(account string) Address { return Address("a/" + strings.ToLower(account)) }

// HostAddress returns the address of a domain that is not under the base domain.
func HostAddress(host string) Address { return Address("d/" + host) }

// Dialled returns the address of a Request-URI by its user, unescaped, and its
// host (docs/routing.md). At <label>.<base domain> it is a user of an account. A slug
// is one anywhere else. At a host that may be an account's own domain, deciders
// find out ([Address.AtHost]). What is left is a phone number, or else no slug
// that there is; no slug is a number.
func Dialled(user, host, baseDomain string) Address {
	host, baseDomain = strings.ToLower(strings.TrimSuffix(host, ".")), strings.ToLower(baseDomain)
	label, under := strings.CutSuffix(host, "."+baseDomain)
	if under && label != "" && !strings.Contains(label, ".") {
		return UserAddress(label, user)
	}
	if under || host == baseDomain || !IsDomain(host) || isSlug(user) {
		return dialledAnywhere(user)
	}
	return HostAddress(host) + "/" + Address(user)
}

func isSlug(user string) bool {
	_, err := ParseSlug(user)
	return err == nil
}

// dialledAnywhere returns the address of a user at a host that says nothing.
func dialledAnywhere(user string) Address {
	if digits, ok := ParseNumber(user); ok {
		return NumberAddress(digits)
	}
	return SlugAddress(Slug(user))
}

// AtHost returns the host of an address at what may be an account's own domain,
// and what the address is if it is the domain of the account with that label;
// "": of none.
func (a Address) AtHost() (host Address, is func(label string) Address, ok bool) {
	rest, ok := strings.CutPrefix(string(a), "d/")
	if !ok {
		return "", nil, false
	}
	name, user, _ := strings.Cut(rest, "/")
	return HostAddress(name), func(label string) Address {
		if label == "" {
			return dialledAnywhere(user)
		}
		return UserAddress(label, user)
	}, true
}

// IsDomain reports whether host is the name of a domain of at least two labels
// (RFC 1035 2.3.1), in lower case, and no address.
func IsDomain(host string) bool {
	if len(host) > MaxDomain || !strings.Contains(host, ".") {
		return false
	}
	for label, rest, more := "", host, true; more; {
		label, rest, more = strings.Cut(rest, ".")
		if len(label) > MaxLabel || !isLabel(label) || !more && strings.Trim(label, "0123456789") == "" { // RFC 1123 2.1
			return false
		}
	}
	return true
}

// Account returns the address of the account at whose domain a was dialled.
func (a Address) Account() (Address, bool) {
	rest, ok := strings.CutPrefix(string(a), "a/")
	if !ok {
		return "", false
	}
	label, _, _ := strings.Cut(rest, "/")
	return AccountAddress(label), true
}

// Address returns where the endpoint is found: where it is dialled, or, of a
// kind that is not dialled by itself, what only a number leads to. False: it
// is not whole.
func (e *Endpoint) Address() (Address, bool) {
	switch {
	case e.Kind == KindSlug && e.Slug != "":
		return SlugAddress(e.Slug), true
	case (e.Kind == KindAddress || e.Kind == KindCredential) && e.Domain != "" && e.User != "":
		return UserAddress(e.Domain, e.User), true
	case (e.Kind == KindRegister || e.Kind == KindDomain) && e.ID != "":
		return Address("e/" + e.ID), true // which nobody can dial: see Dialled
	}
	return "", false
}

// ProjectKey returns the key under which the calls of a project are counted.
// It is the digest of no address.
func ProjectKey(tenant, project string) Key {
	return Address("p/" + tenant + "/" + project).Key()
}

// Key returns the public digest of the address.
func (a Address) Key() Key {
	sum := sha256.Sum256([]byte(a))
	return Key(strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16])))
}

// Partition returns which mailbox serves the address: one for a slug, and one
// for all addresses of an account, or of a domain.
func (a Address) Partition() uint8 {
	if account, ok := a.Account(); ok {
		return account.Key().partition()
	}
	if host, _, ok := a.AtHost(); ok {
		return host.Key().partition()
	}
	return a.Key().partition()
}

// Reveal returns the address whole.
func (a Address) Reveal() string { return string(a) }

// String hides what may be a slug.
func (a Address) String() string {
	if slug, ok := strings.CutPrefix(string(a), "s/"); ok {
		return "s/" + Slug(slug).String()
	}
	if host, _, ok := a.AtHost(); ok { // what was dialled may be a slug with a mistake in it
		return string(host) + "/****"
	}
	return string(a)
}

// GoString keeps %#v as safe as %v.
func (a Address) GoString() string { return a.String() }

// Format keeps every verb of fmt as safe as %v.
func (a Address) Format(f fmt.State, verb rune) { formatRedacted(f, verb, a.String()) }

// LogValue keeps a slug out of structured logs.
func (a Address) LogValue() slog.Value { return slog.StringValue(a.String()) }

// A Key is the public digest of an Address: 26 lower-case base32 characters.
// Only Keys appear in subjects, KV keys, logs and metrics.
type Key string

func (k Key) partition() uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k))
	return uint8(h.Sum32() % Partitions)
}

// A Domain says whose account a label under the base domain is, or a domain of
// the account's own.
type Domain struct {
	V      int    `json:"v"`
	Tenant string `json:"tenant"`
	Label  string `json:"label"`
	Host   string `json:"host,omitempty"` // of the account's own; "": the label's
}

// A Taken error says that a label or a domain is another account's. It is an
// [ErrExists].
type Taken struct{ Name string }

// Error implements error.
func (t *Taken) Error() string { return "the domain " + t.Name + " is another account's" }

// Is makes it an ErrExists.
func (t *Taken) Is(err error) bool { return err == ErrExists }
