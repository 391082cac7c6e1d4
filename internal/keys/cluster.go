// Package keys holds the secrets of a cluster: the cluster key in its file,
// the keys derived from it for each purpose, secrets sealed for the store, and
// the admin key. All of them redact themselves.
//
// It refuses a key file that others on the machine may read, and a file that
// it does not understand in full. It never overwrites one.
package keys

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Size is the length of the cluster key and of each derived key, bytes.
const Size = 32

// MaxID is the largest id of a cluster key: tokens have four bits for it.
const MaxID = 15

// ErrFormat says that a key file does not hold what it should.
var ErrFormat = errors.New("not a key file")

// A Purpose is what a derived key is for. Keys of two purposes tell nothing
// about each other (RFC 5869 3.2).
type Purpose string

// Purposes. Their words are part of the derivation and never change.
const (
	Token    Purpose = "token"    // tags, Contacts and Via branches
	Nonce    Purpose = "nonce"    // nonces of digest authentication
	Snapshot Purpose = "snapshot" // calls at rest, for another node to take over
	Storage  Purpose = "storage"  // secrets in the store
	Routes   Purpose = "routes"   // brokers, to one another
	Vouching Purpose = "vouching" // who answers NATS servers that ask who a client is, to them
	Sealing  Purpose = "sealing"  // what NATS servers and those who answer them say to one another
)

// Login is the purpose of a credential for the brokers; principal is whose.
func Login(principal string) Purpose { return Purpose("nats/" + principal) }

// A Secret is 32 bytes of key. It prints redacted everywhere; only Reveal
// returns it. The key stands behind a func, because fmt looks into unexported
// fields past their methods, and there follows everything but funcs.
type Secret struct{ reveal func() [Size]byte }

func newSecret(key []byte) Secret {
	b := [Size]byte(key)
	return Secret{func() [Size]byte { return b }}
}

const redacted = "[redacted]"

// Reveal returns the key itself; zeros from the zero Secret.
func (s Secret) Reveal() [Size]byte {
	if s.reveal == nil {
		return [Size]byte{}
	}
	return s.reveal()
}

// String hides the key.
func (s Secret) String() string { return redacted }

// Format hides the key from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the key from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the key from JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Derived is the key of one purpose, and the id of the cluster key that it
// comes from.
type Derived struct {
	ID     uint8
	Secret Secret
}

// A Cluster is the key that all nodes of a cluster share, and while it is
// being replaced the one before it; or, from a derived file, the keys of a few
// purposes and nothing to make others of. It is safe for concurrent use.
type Cluster struct {
	current  root
	previous *root
	derived  map[Purpose][]Derived // current, previous; nil: made of the roots
}

type root struct {
	id  uint8
	key Secret
}

// ParseCluster reads the text of a key file: 64 hex digits, with an id of 0 to
// 15 and a colon before them where it is not 0. A second line is the key that
// the first one replaces. It reads what [Cluster.Extract] wrote, too. The error wraps ErrFormat and shows nothing of the
// file.
func ParseCluster(text []byte) (*Cluster, error) {
	if bytes.HasPrefix(text, []byte(derivedHead)) {
		return parseDerived(text)
	}
	lines := strings.Fields(string(bytes.TrimSpace(text)))
	if len(lines) < 1 || len(lines) > 2 {
		return nil, fmt.Errorf("%w: want one line of 64 hex digits, or two", ErrFormat)
	}
	var roots []root
	for i, line := range lines {
		r, err := parseRoot(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		roots = append(roots, r)
	}
	c := &Cluster{current: roots[0]}
	if len(roots) == 2 {
		if roots[1].id == roots[0].id {
			return nil, fmt.Errorf("%w: both keys have id %d", ErrFormat, roots[0].id)
		}
		c.previous = &roots[1]
	}
	return c, nil
}

func parseRoot(line string) (root, error) {
	var r root
	digits := line
	if id, rest, ok := strings.Cut(line, ":"); ok {
		n, err := strconv.ParseUint(id, 10, 8)
		if err != nil || n > MaxID {
			return root{}, fmt.Errorf("%w: want an id of 0 to %d before the colon", ErrFormat, MaxID)
		}
		r.id, digits = uint8(n), rest
	}
	key, err := hex.DecodeString(digits)
	if err != nil || len(key) != Size {
		return root{}, fmt.Errorf("%w: want 64 hex digits", ErrFormat)
	}
	if r.key = newSecret(key); r.key.Reveal() == [Size]byte{} {
		return root{}, fmt.Errorf("%w: a key of zeros is none", ErrFormat)
	}
	return r, nil
}

// Derive returns the key of a purpose to sign and seal with. It panics where
// Has is false: whoever needs a key asks at the start.
func (c *Cluster) Derive(p Purpose) Derived {
	if c.derived == nil {
		return c.current.derive(p)
	}
	return c.derived[p][0]
}

// Has reports whether there is a key of a purpose. A cluster key has all.
func (c *Cluster) Has(p Purpose) bool { return c.derived == nil || len(c.derived[p]) > 0 }

// Whole reports whether this is the cluster key, of which every other is made.
func (c *Cluster) Whole() bool { return c.derived == nil }

// Previous returns the key of a purpose from before the rotation under way, to
// check and open with; false where there is none.
func (c *Cluster) Previous(p Purpose) (Derived, bool) {
	switch {
	case c.derived != nil && len(c.derived[p]) > 1:
		return c.derived[p][1], true
	case c.previous == nil:
		return Derived{}, false
	}
	return c.previous.derive(p), true
}

// derive is HKDF with SHA-256 (RFC 5869). The cluster key is random, so it
// needs no salt.
func (r root) derive(p Purpose) Derived {
	secret := r.key.Reveal()
	key, err := hkdf.Key(sha256.New, secret[:], nil, "patchbay/v1/"+string(p), Size)
	if err != nil {
		panic("keys: " + err.Error()) // only for lengths that HKDF cannot give
	}
	return Derived{r.id, newSecret(key)}
}
