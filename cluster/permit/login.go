package permit

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nats-io/nkeys"

	"patchbay/internal/keys"
)

// A Login proves to a broker who a process is: an nkey, whose private half
// never leaves the process.
type Login struct {
	Nkey string // its public half
	Sign func(nonce []byte) ([]byte, error)
}

// LoginOf makes the credential of a principal; from a derived file, if it is
// there.
func LoginOf(c *keys.Cluster, p Principal) (Login, error) {
	if !c.Has(keys.Login(p.String())) {
		return Login{}, fmt.Errorf("the key file has no NATS credential for %s: it is of another role (patchbay keys derive)", p)
	}
	return login(c.Derive(keys.Login(p.String())))
}

// login makes an nkey of a derived key (the seed of an Ed25519 key).
func login(d keys.Derived) (Login, error) {
	secret := d.Secret.Reveal()
	seed, err := nkeys.EncodeSeed(nkeys.PrefixByteUser, secret[:])
	if err != nil {
		return Login{}, fmt.Errorf("make a NATS credential: %w", err)
	}
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return Login{}, fmt.Errorf("make a NATS credential: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return Login{}, fmt.Errorf("make a NATS credential: %w", err)
	}
	return Login{Nkey: public, Sign: pair.Sign}, nil
}

// Logins makes the nkeys under which a broker knows a principal: that of the
// cluster key, and of the one before it.
func Logins(c *keys.Cluster, p Principal) ([]string, error) {
	all := []keys.Derived{c.Derive(keys.Login(p.String()))}
	if previous, ok := c.Previous(keys.Login(p.String())); ok {
		all = append(all, previous)
	}
	var public []string
	for _, d := range all {
		l, err := login(d)
		if err != nil {
			return nil, err
		}
		public = append(public, l.Nkey)
	}
	return public, nil
}

// PasswordSize is the length of such a password, characters.
const PasswordSize = 2 * keys.Size

// Password is what a tenant's program or an agent's worker shows with its name,
// [Principal.String], as the user: every NATS client can.
func Password(c *keys.Cluster, p Principal) string {
	return password(c.Derive(keys.Login(p.String())))
}

// Passwords are those that a broker takes: of the cluster key, and of the one
// before it.
func Passwords(c *keys.Cluster, p Principal) []string {
	all := []string{Password(c, p)}
	if previous, ok := c.Previous(keys.Login(p.String())); ok {
		all = append(all, password(previous))
	}
	return all
}

func password(d keys.Derived) string {
	secret := d.Secret.Reveal()
	return hex.EncodeToString(secret[:])
}

// Named returns the principal outside the cluster that a user name is of:
// tenant.acme, worker.<agent id>.
func Named(user string) (Principal, bool) {
	role, name, ok := strings.Cut(user, ".")
	if !ok || name == "" || role != string(Tenant) && role != string(Worker) {
		return Principal{}, false
	}
	return Principal{Roles: []Role{Role(role)}, Name: name}, true
}

// Processes lists the principals of all processes that there can be, and the
// operator.
func Processes() []Principal {
	all := []Principal{{Roles: []Role{Operator}}}
	roles := []Role{Edge, Actor, Media, Control, Broker}
	for set := 1; set < 1<<len(roles); set++ {
		var p Principal
		for i, r := range roles {
			if set&(1<<i) != 0 {
				p.Roles = append(p.Roles, r)
			}
		}
		all = append(all, p)
	}
	return all
}
