package endpoint

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"slices"
	"strings"
	"time"
)

// OperatorTenant is the account of whoever runs the cluster: the first start
// makes it, and it alone may make accounts, block sources and drain nodes.
const OperatorTenant = "default"

// Kinds of API keys: the API whose form they have.
const (
	KindOfNative     = "native"
	KindOfYappr      = "yappr"
	KindOfUltravox   = "ultravox"
	KindOfSignalWire = "signalwire"
	KindOfVobiz      = "vobiz"
)

// keyPrefixes start the secrets of a kind, as its own API has them.
var keyPrefixes = map[string]string{
	KindOfNative: "pbk_", KindOfYappr: "ypr_live_", KindOfUltravox: "uvx_", KindOfSignalWire: "PT", KindOfVobiz: "vob_",
}

// Scopes of API keys: what a key may do. Each grants itself only; manage does
// not include read. ScopeAll grants everything of the key's own account.
const (
	ScopeAll             = "*"
	ScopeAccountRead     = "account:read"
	ScopeAccountManage   = "account:manage"
	ScopeKeysRead        = "keys:read"
	ScopeKeysManage      = "keys:manage"
	ScopeEndpointsRead   = "endpoints:read"
	ScopeEndpointsManage = "endpoints:manage"
	ScopeAgentsRead      = "agents:read"
	ScopeAgentsManage    = "agents:manage"
	ScopeAgentsAnswer    = "agents:answer" // see and take the calls that wait for an agent
	ScopeCallsRead       = "calls:read"
	ScopeCallsManage     = "calls:manage"
	ScopeWebhooksRead    = "webhooks:read"
	ScopeWebhooksManage  = "webhooks:manage"
	ScopeOperatorRead    = "operator:read" // of OperatorTenant only: accounts, blocks, nodes
	ScopeOperatorManage  = "operator:manage"
	ScopeYapprRead       = "sip_endpoints:read"   // Yappr's word for endpoints:read
	ScopeYapprManage     = "sip_endpoints:manage" // Yappr's word for endpoints:manage
)

// scopeWords are all scopes, in the order in which they are told.
var scopeWords = []string{ScopeAll, ScopeAccountRead, ScopeAccountManage, ScopeKeysRead, ScopeKeysManage, ScopeEndpointsRead,
	ScopeEndpointsManage, ScopeAgentsRead, ScopeAgentsManage, ScopeAgentsAnswer, ScopeCallsRead, ScopeCallsManage,
	ScopeWebhooksRead, ScopeWebhooksManage, ScopeOperatorRead, ScopeOperatorManage, ScopeYapprRead, ScopeYapprManage}

// The form of a key's secret.
const (
	keySymbols = 32 // of 5 bits each: 160 bits
	keyShown   = 4  // of them are in Prefix, so that people tell keys apart
)

// An APIKey is a credential of an account at rest. Its secret is shown once,
// when it is made; the store has the hash.
type APIKey struct {
	V      int    `json:"v"`
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	APIToken
	CreatedAt time.Time `json:"created_at"`
	Revision  Revision  `json:"-"`
}

// NewKeySecret makes the secret of a key of that kind out of random bytes.
func NewKeySecret(kind string, random [keySymbols]byte) string {
	var b strings.Builder
	b.WriteString(keyPrefixes[kind])
	for _, r := range random {
		b.WriteByte(slugAlphabet[r%32])
	}
	return b.String()
}

// SetSecret gives the key its secret: its hash is kept, and enough of its
// start to tell it apart.
func (k *APIKey) SetSecret(secret string) {
	sum := sha256.Sum256([]byte(secret))
	k.Hash = sum[:]
	shown := min(len(keyPrefixes[k.Kind])+keyShown, len(secret)/2)
	k.Prefix = secret[:shown]
}

// Matches reports whether secret is the key's, in a time that tells nothing
// about it.
func (k *APIKey) Matches(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], k.Hash) == 1
}

// Live reports whether the key is good at a moment: not revoked, not expired.
func (k *APIKey) Live(now time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}

// Digest names the key in the store: look-up needs nothing else.
func (k *APIKey) Digest() Key { return digestOf(k.Hash) }

// SecretDigest is the Digest of the key that has this secret.
func SecretDigest(secret string) Key {
	sum := sha256.Sum256([]byte(secret))
	return digestOf(sum[:])
}

func digestOf(hash []byte) Key {
	return Key(strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(hash[:min(len(hash), 16)])))
}

// Allows reports whether scopes grant a need. Yappr's words stand for ours.
func Allows(scopes []string, need string) bool {
	for _, s := range scopes {
		switch s {
		case ScopeAll, need:
			return true
		case ScopeYapprRead:
			s = ScopeEndpointsRead
		case ScopeYapprManage:
			s = ScopeEndpointsManage
		}
		if s == need {
			return true
		}
	}
	return false
}

// Validate returns every mistake that keeps the key from being stored.
func (k *APIKey) Validate() []Problem {
	var ps problems
	ps.between("v", int64(k.V), currentVersion, currentVersion)
	ps.uuid("id", k.ID)
	ps.tenant("tenant", k.Tenant)
	ps.text("name", k.Name, 1, MaxName)
	ps.word("kind", k.Kind, KindOfNative, KindOfYappr, KindOfUltravox, KindOfSignalWire, KindOfVobiz)
	if len(k.Scopes) == 0 {
		ps.add("scopes", CodeRequired, "want at least one of %s", strings.Join(scopeWords, ", "))
	}
	seen := map[string]bool{}
	for _, s := range k.Scopes {
		switch {
		case !slices.Contains(scopeWords, s):
			ps.add("scopes", CodeInvalid, "want some of %s", strings.Join(scopeWords, ", "))
			return ps
		case seen[s]:
			ps.add("scopes", CodeDuplicate, "%s is there twice", s)
		}
		seen[s] = true
	}
	if k.ExpiresAt != nil && !k.ExpiresAt.After(k.CreatedAt) {
		ps.add("expires_at", CodeOutOfRange, "want a time to come")
	}
	return ps
}
