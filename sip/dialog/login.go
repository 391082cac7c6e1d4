package dialog

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"github.com/icholy/digest"

	"patchbay/actors/call"
	"patchbay/sip/wire"
)

// Limits of what is answered to those who ask for credentials.
const (
	maxRealms  = 4 // that ask, one after the other
	maxRenewed = 3 // nonces of one realm that had gone stale
)

// A login answers challenges with the credentials of one call (RFC 3261 22,
// RFC 8760).
type login struct {
	credentials call.Credentials
	cnonce      string
	realms      []challenged
}

// A challenged is one realm, of a proxy or of the callee, and how often its
// nonce was used.
type challenged struct {
	proxy     bool
	challenge digest.Challenge
	uses      int
	renewed   int
}

// take reads the challenges of a 401 or 407 and reports whether the request
// may be sent again. A realm that asks again has refused our credentials,
// unless it says that only its nonce was stale, or proven says that it has
// taken them before.
func (l *login) take(m *wire.Message, proven bool) bool {
	if l.credentials.Username == "" {
		return false
	}
	taken := map[int]bool{} // of the realms, in this response
	for _, kind := range []string{"WWW-Authenticate", "Proxy-Authenticate"} {
		for _, value := range m.Headers(kind) {
			c, ok := readChallenge(value)
			if !ok || l.credentials.Realm != "" && c.Realm != l.credentials.Realm {
				continue
			}
			i := l.realm(kind[0] == 'P', c)
			if i < 0 || !taken[i] && !l.realms[i].renew(c, proven) {
				return false
			}
			taken[i] = true // the first that we can answer is the one that is preferred
		}
	}
	return len(taken) > 0
}

// realm returns the place of a challenge's realm, a new one if need be, or -1.
func (l *login) realm(proxy bool, c digest.Challenge) int {
	for i := range l.realms {
		if l.realms[i].proxy == proxy && l.realms[i].challenge.Realm == c.Realm {
			return i
		}
	}
	if len(l.realms) == maxRealms {
		return -1
	}
	l.realms = append(l.realms, challenged{proxy: proxy})
	return len(l.realms) - 1
}

func (r *challenged) renew(c digest.Challenge, proven bool) bool {
	if r.uses > 0 {
		if !c.Stale && !proven || c.Nonce == r.challenge.Nonce || r.renewed == maxRenewed {
			return false
		}
		r.renewed++
	}
	r.challenge, r.uses = c, 0
	return true
}

// headers returns the credentials for one request. Each use of a nonce counts.
func (l *login) headers(method, uri string) (all []call.Header) {
	for i := range l.realms {
		r := &l.realms[i]
		r.uses++
		name := "Authorization"
		if r.proxy {
			name = "Proxy-Authorization"
		}
		if value, ok := l.respond(&r.challenge, method, uri, r.uses); ok {
			all = append(all, call.Header{Name: name, Value: value})
		}
	}
	return all
}

// respond computes the value for one challenge, also for the session variants
// of its algorithm (RFC 7616 3.4.2), which the library does not know.
func (l *login) respond(c *digest.Challenge, method, uri string, use int) (string, bool) {
	o := digest.Options{Method: method, URI: uri, Count: use, Username: l.credentials.Username, Password: l.credentials.Password, Cnonce: l.cnonce}
	plain := *c
	if base, session := sessionOf(c.Algorithm); session {
		plain.Algorithm = base
		o.A1 = digestOf(base, digestOf(base, o.Username, c.Realm, o.Password), c.Nonce, o.Cnonce)
	}
	credentials, err := digest.Digest(&plain, o)
	if err != nil {
		return "", false
	}
	credentials.Algorithm = c.Algorithm
	return spelled(credentials), true
}

// spelled writes credentials (RFC 7616 3.4). The library's own writer quotes as
// Go does, which changes what is not printable, and with it realm and nonce.
func spelled(c *digest.Credentials) string {
	all := []string{"username=" + quoted(c.Username), "realm=" + quoted(c.Realm), "nonce=" + quoted(c.Nonce), "uri=" + quoted(c.URI)}
	if c.Algorithm != "" {
		all = append(all, "algorithm="+c.Algorithm)
	}
	if c.QOP != "" {
		all = append(all, "cnonce="+quoted(c.Cnonce))
	}
	if c.Opaque != "" {
		all = append(all, "opaque="+quoted(c.Opaque))
	}
	if c.QOP != "" {
		all = append(all, "qop="+c.QOP, fmt.Sprintf("nc=%08x", c.Nc))
	}
	if c.Userhash {
		all = append(all, "userhash=true")
	}
	return "Digest " + strings.Join(append(all, "response="+quoted(c.Response)), ", ") // last: some peers read no further
}

// quoted writes a quoted-string (RFC 3261 25.1).
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func sessionOf(algorithm string) (base string, session bool) {
	if n := len(algorithm) - len("-sess"); n > 0 && strings.EqualFold(algorithm[n:], "-sess") {
		return algorithm[:n], true
	}
	return algorithm, false
}

func digestOf(algorithm string, parts ...string) string {
	var h hash.Hash
	switch strings.ToUpper(algorithm) {
	case "SHA-256":
		h = sha256.New()
	case "SHA-512-256":
		h = sha512.New512_256()
	default:
		h = md5.New()
	}
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}

// readChallenge reads the value of a WWW-Authenticate or Proxy-Authenticate,
// and reports whether we can answer it: MD5, SHA-256 or SHA-512-256, with qop
// auth or none. Names are of any case (RFC 3261 7.3.1), which the library's own
// reader does not know.
func readChallenge(value string) (c digest.Challenge, ok bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return c, false
	}
	asked := false // for a quality of protection
	for rest != "" {
		var param string
		param, rest = cutUnquoted(rest, ',')
		name, v, _ := strings.Cut(param, "=")
		name, v = strings.ToLower(strings.TrimSpace(name)), unquoted(strings.TrimSpace(v))
		if set, ok := challengeParams[name]; ok {
			set(&c, v)
		}
		asked = asked || name == "qop"
	}
	base, _ := sessionOf(c.Algorithm)
	switch strings.ToUpper(base) {
	case "", "MD5", "SHA-256", "SHA-512-256":
		return c, c.Nonce != "" && (!asked || c.QOP != nil)
	}
	return c, false
}

var challengeParams = map[string]func(c *digest.Challenge, value string){
	"realm":     func(c *digest.Challenge, v string) { c.Realm = v },
	"nonce":     func(c *digest.Challenge, v string) { c.Nonce = v },
	"opaque":    func(c *digest.Challenge, v string) { c.Opaque = v },
	"algorithm": func(c *digest.Challenge, v string) { c.Algorithm = v },
	"stale":     func(c *digest.Challenge, v string) { c.Stale = strings.EqualFold(v, "true") },
	"userhash":  func(c *digest.Challenge, v string) { c.Userhash = strings.EqualFold(v, "true") },
	"qop": func(c *digest.Challenge, v string) {
		if offersAuth(v) {
			c.QOP = []string{"auth"}
		}
	},
}

func offersAuth(qop string) bool {
	for one := range strings.SplitSeq(qop, ",") {
		if strings.EqualFold(strings.TrimSpace(one), "auth") {
			return true
		}
	}
	return false
}

// unquoted returns what a quoted-string says, or a token as it is.
func unquoted(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var out strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
