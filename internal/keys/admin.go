package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"strings"
)

// The form of an admin key.
const (
	adminPrefix   = "pbk_"
	adminSymbols  = 32 // of 5 bits each: 160 bits
	adminAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"
)

// An Admin is the key of the operator who owns the node. It prints redacted
// everywhere; only Reveal returns it. It stands behind a func for the same
// reason as a [Secret].
type Admin struct{ reveal func() string }

func newAdmin(text string) Admin { return Admin{func() string { return text }} }

// NewAdmin makes an admin key.
func NewAdmin() Admin {
	var random [adminSymbols]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the program instead
	for i, r := range random {
		random[i] = adminAlphabet[r%32]
	}
	return newAdmin(adminPrefix + string(random[:]))
}

// ParseAdmin reads an admin key, as its file holds it. The error wraps
// ErrFormat and shows nothing of the text.
func ParseAdmin(text []byte) (Admin, error) {
	key := strings.TrimSpace(string(text))
	symbols, ok := strings.CutPrefix(key, adminPrefix)
	if !ok || len(symbols) != adminSymbols || strings.Trim(symbols, adminAlphabet) != "" {
		return Admin{}, fmt.Errorf("%w: want %s and %d symbols", ErrFormat, adminPrefix, adminSymbols)
	}
	return newAdmin(key), nil
}

// Reveal returns the key itself; nothing from the zero Admin.
func (a Admin) Reveal() string {
	if a.reveal == nil {
		return ""
	}
	return a.reveal()
}

// Hash returns the SHA-256 of the key, as the store keeps it.
func (a Admin) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(a.Reveal())) }

// Matches reports whether presented is the key, in a time that tells nothing
// about it. The zero Admin matches nothing.
func (a Admin) Matches(presented string) bool {
	mine, theirs := a.Hash(), sha256.Sum256([]byte(presented))
	return subtle.ConstantTimeCompare(mine[:], theirs[:]) == 1 && a.reveal != nil
}

// String hides the key.
func (a Admin) String() string { return adminPrefix + redacted }

// Format hides the key from every verb of fmt.
func (a Admin) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// LogValue hides the key from logs.
func (a Admin) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText hides the key from JSON.
func (a Admin) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
