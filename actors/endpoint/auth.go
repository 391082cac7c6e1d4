package endpoint

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Limits of credentials.
const (
	MaxPassword = 128 // bytes of a password
	MaxUsername = 64  // bytes of a user who proves who it is
)

// HA1 returns the two digests that stand for a password in digest
// authentication, in hex (RFC 8760 2.1, RFC 7616 3.4.2): whoever has one can
// prove to know the password, so they are kept as secrets are.
func HA1(username, realm, password string) (md5Hex, sha256Hex string) {
	text := []byte(username + ":" + realm + ":" + password)
	weak, strong := md5.Sum(text), sha256.Sum256(text)
	return hex.EncodeToString(weak[:]), hex.EncodeToString(strong[:])
}

// ValidatePassword returns what keeps a password from being set. It never
// repeats it.
func ValidatePassword(field, password string) []Problem {
	var ps problems
	switch {
	case password == "":
		ps.add(field, CodeRequired, "want 1 to %d bytes", MaxPassword)
	case len(password) > MaxPassword:
		ps.add(field, CodeTooLong, "want at most %d bytes", MaxPassword)
	case !isPrintable(password):
		ps.add(field, CodeInvalid, "control characters are not allowed")
	}
	return ps
}

// usernameKey is what two usernames share that differ in case only.
func usernameKey(username string) Key { return Address("u/" + strings.ToLower(username)).Key() }

// validateAuth checks how callers prove themselves: with a password at an
// endpoint of kind credential, and nowhere else.
func (e *Endpoint) validateAuth(ps *problems) {
	if !ps.word("auth.mode", e.Auth.Mode, "", AuthNone, AuthDigest) {
		return
	}
	digest := e.Auth.Mode == AuthDigest
	switch {
	case e.Kind != KindCredential && digest:
		ps.add("auth.mode", CodeInvalid, "digest belongs to endpoints of kind %q", KindCredential)
	case e.Kind == KindCredential && !digest:
		ps.add("auth.mode", CodeInvalid, "want digest: the kind %q has a password", KindCredential)
	}
	if !digest {
		return
	}
	if e.Auth.HA1MD5 == "" || e.Auth.HA1SHA256 == "" {
		ps.add("auth.password", CodeRequired, "want 1 to %d bytes", MaxPassword)
	}
	if e.Auth.Username != e.User {
		ps.add("auth.username", CodeInvalid, "want that of the endpoint's address: a username never changes")
	}
	if len(e.User) > MaxUsername {
		ps.add("user", CodeTooLong, "%d bytes, want at most %d", len(e.User), MaxUsername)
	}
}

// Unique returns the names of the endpoint that nothing else may have, each with
// the field that holds it. They are digests, and prefixes say in which space.
func (e *Endpoint) Unique() []Claimed {
	var all []Claimed
	if e.NumericID != "" {
		all = append(all, Claimed{Space: SpaceNumeric, Name: e.NumericID, Field: "numeric_id"})
	}
	if e.Kind == KindCredential {
		all = append(all, Claimed{SpaceUsername, string(usernameKey(e.User)), "user"})
	}
	if e.Kind == KindRegister && e.Register != nil {
		all = append(all, Claimed{SpaceExtension, string(e.Register.extension()), "register.username"})
	}
	return all
}

// Spaces of names that one object has alone.
const (
	SpaceNumeric   = "nid" // numeric ids, of all accounts
	SpaceUsername  = "usr" // usernames of an account, whatever their case
	SpaceExtension = "ext" // extensions of PBXs, of all accounts
)

// A Claimed is a name that an object has alone in a space.
type Claimed struct{ Space, Name, Field string }

// A Duplicate error says that another object has a name already. It is an
// [ErrExists].
type Duplicate struct {
	Field string
	ID    string // of the object that wants it, where it is one of many
}

// Error implements error.
func (d *Duplicate) Error() string { return d.Field + ": another has it already" }

// Is makes it an ErrExists.
func (d *Duplicate) Is(err error) bool { return err == ErrExists }

// NewNumericID makes an id of 15 digits out of a random number: below 2^53, so
// that every JSON reader can tell it from its neighbours.
func NewNumericID(random uint64) string {
	const least, most = 100_000_000_000_000, 1_000_000_000_000_000
	n := least + random%(most-least)
	b := make([]byte, NumericDigits)
	for i := len(b) - 1; i >= 0; i-- {
		b[i], n = byte('0'+n%10), n/10
	}
	return string(b)
}

// NumericDigits is how many digits a numeric id has that is made here. One of
// another product may have one less.
const NumericDigits = 15

// IsNumericID reports whether an id is a number's, not a UUID.
func IsNumericID(id string) bool {
	if len(id) != NumericDigits && len(id) != NumericDigits-1 {
		return false
	}
	return strings.Trim(id, "0123456789") == "" && id[0] != '0'
}
