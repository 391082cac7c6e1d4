package endpoint

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
)

// Partitions is how many mailboxes all endpoints share (design 2).
const Partitions = 256

// An Address is the canonical form of what was dialled: "s/<slug>",
// "a/<account>/<user>", "a/<account>" or "n/<digits>". It may hold a slug, so
// it redacts itself; Reveal returns it whole.
type Address string

// SlugAddress returns the address of a bearer slug; case does not matter.
func SlugAddress(s Slug) Address { return Address("s/" + strings.ToLower(s.Reveal())) }

// UserAddress returns the address of a user at an account's domain.
func UserAddress(account, user string) Address {
	return Address("a/" + strings.ToLower(account) + "/" + user)
}

// AccountAddress returns the address of an account's own policy.
func AccountAddress(account string) Address { return Address("a/" + strings.ToLower(account)) }

// Dialled returns the address of a Request-URI by its user, unescaped, and its
// host (design 3). At <label>.<base domain> it is a user of an account;
// anywhere else a phone number, or else a slug. No slug is a number.
func Dialled(user, host, baseDomain string) Address {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	label, ok := strings.CutSuffix(host, "."+strings.ToLower(baseDomain))
	if ok && label != "" && !strings.Contains(label, ".") {
		return UserAddress(label, user)
	}
	if digits, ok := ParseNumber(user); ok {
		return NumberAddress(digits)
	}
	return SlugAddress(Slug(user))
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

// Address returns where the endpoint is dialled; false: its kind has no
// address that is served.
func (e *Endpoint) Address() (Address, bool) {
	switch {
	case e.Kind == KindSlug && e.Slug != "":
		return SlugAddress(e.Slug), true
	case e.Kind == KindAddress && e.Domain != "" && e.User != "":
		return UserAddress(e.Domain, e.User), true
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
// for all addresses of an account.
func (a Address) Partition() uint8 {
	if account, ok := a.Account(); ok {
		return account.Key().partition()
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

// A Domain says whose account a label under the base domain is.
type Domain struct {
	V      int    `json:"v"`
	Tenant string `json:"tenant"`
	Label  string `json:"label"`
}
