package subject

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"patchbay/actors/endpoint"
)

// Nouns that tenancy adds.
const (
	NounAccount Noun = "acct"
	NounKey     Noun = "key"
)

// KeyAPIKey holds one API key, by the digest of its secret, so that a
// credential is looked up with one read.
func KeyAPIKey(digest endpoint.Key) string { return "key." + Token(string(digest)) }

// KeyQuota counts what a tenant creates in one UTC day, yyyymmdd.
func KeyQuota(tenant, day string) string { return "quota." + Token(tenant) + "." + Token(day) }

// KeyProjectQuota counts what a project's credentials create of that.
func KeyProjectQuota(tenant, day, project string) string {
	return "quota." + Token(tenant) + "." + Token(day+"-"+project)
}

// KeyOnce remembers a creation by the digest of its idempotency key.
func KeyOnce(tenant, digest string) string { return "idem." + Token(tenant) + "." + Token(digest) }

// KeyBlock holds one blocked range of sources.
func KeyBlock(source netip.Prefix) string {
	return "block." + hex.EncodeToString(source.Addr().AsSlice()) + "-" + strconv.Itoa(source.Bits())
}

// BlockAll matches every blocked range.
const BlockAll = "block.*"

// NodeDo asks nodes to do something, or how they are: all listen, and those
// that are meant answer.
const NodeDo = Prefix + "node.do"

// AuthKeys asks control nodes which of some API keys are still good.
const AuthKeys = Prefix + "auth.keys"

// IndexAnywhere matches the index entries of one id of a noun, of all tenants.
func IndexAnywhere(noun Noun, id string) string { return "idx.*." + string(noun) + "." + Token(id) }

// TenantOfIndex is whose an index entry is, as subjects name it.
func TenantOfIndex(key string) string { return wordOfIndex(key, 1) }

// IDOfIndex is what an index entry is of, as subjects name it.
func IDOfIndex(key string) string { return wordOfIndex(key, 3) }

func wordOfIndex(key string, n int) string {
	words := strings.Split(key, ".")
	if len(words) != 4 {
		return ""
	}
	return words[n]
}
