package broker

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"patchbay/cluster/permit"
	"patchbay/internal/keys"
)

// Answers of a worker to what it was asked: one, within the longest wait of an
// offer.
const (
	maxAnswers = 1
	answerTime = 2 * time.Minute
)

// routeUser is the name that brokers show one another.
const routeUser = "broker"

// A guard lets clients in that hold a credential made of the cluster key, and
// gives each what its principal may. It implements server.Authentication.
type guard struct {
	keys  *keys.Cluster
	users map[string]*server.User // of processes, by public nkey
}

func newGuard(c *keys.Cluster) (*guard, error) {
	g := &guard{keys: c, users: map[string]*server.User{}}
	for _, p := range permit.Processes() {
		public, err := permit.Logins(c, p)
		if err != nil {
			return nil, fmt.Errorf("credential of %s: %w", p, err)
		}
		for _, key := range public {
			g.users[key] = userOf(p)
		}
	}
	return g, nil
}

// userOf says in the server's words what a principal may.
func userOf(p permit.Principal) *server.User {
	may := permit.For(p)
	u := &server.User{Username: p.String(), Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: may.Publish},
		Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
	}}
	if may.Respond {
		u.Permissions.Response = &server.ResponsePermission{MaxMsgs: maxAnswers, Expires: answerTime}
	}
	return u
}

// Check implements server.Authentication.
func (g *guard) Check(c server.ClientAuthentication) bool {
	if c.Kind() != server.CLIENT {
		return false
	}
	var user *server.User
	if o := c.GetOpts(); o.Nkey != "" {
		user = g.process(o.Nkey, o.Sig, c.GetNonce())
	} else {
		user = g.outsider(o.Username, o.Password)
	}
	if user == nil {
		return false
	}
	c.RegisterUser(user)
	return true
}

// process returns who has signed the nonce with a known nkey, or nil.
func (g *guard) process(nkey, signature string, nonce []byte) *server.User {
	user := g.users[nkey]
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		sig, err = base64.StdEncoding.DecodeString(signature)
	}
	if user == nil || err != nil || len(nonce) == 0 {
		return nil
	}
	public, err := nkeys.FromPublicKey(nkey)
	if err != nil || public.Verify(nonce, sig) != nil {
		return nil
	}
	return user
}

// outsider returns the tenant or worker whose password it is, or nil.
func (g *guard) outsider(name, password string) *server.User {
	p, ok := permit.Named(name)
	if !ok || !anyOf(permit.Passwords(g.keys, p), password) {
		return nil
	}
	return userOf(p)
}

// A routeGuard lets other brokers in that share the cluster key.
type routeGuard struct{ passwords []string }

// Check implements server.Authentication.
func (g routeGuard) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	return c.Kind() == server.ROUTER && o.Username == routeUser && anyOf(g.passwords, o.Password)
}

// anyOf compares in a time that tells nothing about the passwords.
func anyOf(passwords []string, given string) bool {
	same := 0
	for _, p := range passwords {
		same |= subtle.ConstantTimeCompare([]byte(p), []byte(given))
	}
	return same == 1
}

// routePasswords are what brokers show one another, the current one first.
func routePasswords(c *keys.Cluster) []string {
	all := []keys.Derived{c.Derive(keys.Routes)}
	if previous, ok := c.Previous(keys.Routes); ok {
		all = append(all, previous)
	}
	var words []string
	for _, d := range all {
		secret := d.Secret.Reveal()
		words = append(words, hex.EncodeToString(secret[:]))
	}
	return words
}
