package webhook

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Header fields of our own scheme, which is that of Standard Webhooks
// (standardwebhooks.com), for which most languages have a verifier.
const (
	IDHeader       = "Webhook-Id" // of the delivery; repeated ones have the same
	SentHeader     = "Webhook-Timestamp"
	StandardHeader = "Webhook-Signature"
)

// Header fields of the vendors' schemes.
const (
	SignalWireHeader       = "X-Signalwire-Signature"
	SignalWireSHA256Header = "X-Signalwire-SHA256-Signature"
	VobizV2Header          = "X-Vobiz-Signature-V2" // with its nonce in …-V2-Nonce
	VobizV3Header          = "X-Vobiz-Signature-V3" // with its nonce in …-V3-Nonce
	nonceDigits            = 20                     // of Vobiz and Plivo
)

// Standard returns the signatures of Standard Webhooks, one for each secret,
// the values of Webhook-Timestamp and Webhook-Signature. What is signed is
// id.timestamp.body. A secret whsec_<base64> is the bytes that it encodes, any
// other one its own bytes.
func Standard(secrets []string, id string, at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	sums := make([]string, len(secrets))
	for i, secret := range secrets {
		sums[i] = "v1," + based(sum(sha256.New, standardKey(secret), []byte(id), []byte("."), []byte(timestamp), []byte("."), body))
	}
	return timestamp, strings.Join(sums, " ")
}

func standardKey(secret string) []byte {
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// SignalWireJSON signs a JSON request of SignalWire: hex HMAC of the URL, as it
// was configured, and the body, by SHA-1 and by SHA-256.
func SignalWireJSON(key, url string, body []byte) (sha1Hex, sha256Hex string) {
	return hex.EncodeToString(sum(sha1.New, []byte(key), []byte(url), body)),
		hex.EncodeToString(sum(sha256.New, []byte(key), []byte(url), body))
}

// SignalWireForm signs a form request of SignalWire: base64 HMAC-SHA1 of the
// URL and each parameter, name and value, in the order of the names.
func SignalWireForm(key, url string, form url.Values) string {
	return based(sum(sha1.New, []byte(key), []byte(url), []byte(joined(form))))
}

// joined writes parameters in the order of their names, without anything
// between them.
func joined(form url.Values) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			b.WriteString(name)
			b.WriteString(value)
		}
	}
	return b.String()
}

// VobizV2 signs a request of Vobiz: base64 HMAC-SHA256 of the URL without its
// query, and the nonce. It does not cover the body: a receiver that can checks
// our own signature, which comes with it.
func VobizV2(token, address, nonce string) string {
	return based(sum(sha256.New, []byte(token), []byte(bare(address)), []byte(nonce)))
}

// VobizV3 is VobizV2 with a dot before the nonce.
func VobizV3(token, address, nonce string) string {
	return based(sum(sha256.New, []byte(token), []byte(bare(address)), []byte("."), []byte(nonce)))
}

// PlivoV3 signs a POST of Plivo to a URL without a query: base64 HMAC-SHA256 of
// the URL, a question mark where there are parameters, these in the order of
// their names, a dot and the nonce.
func PlivoV3(token, address string, form url.Values, nonce string) string {
	text := address
	if len(form) > 0 {
		text += "?" + joined(form)
	}
	return based(sum(sha256.New, []byte(token), []byte(text), []byte("."), []byte(nonce)))
}

// Nonce writes random bytes as the decimal digits that Vobiz and Plivo send.
func Nonce(random [nonceDigits]byte) string {
	for i := range random {
		random[i] = '0' + random[i]%10
	}
	return string(random[:])
}

// bare is a URL without its query.
func bare(address string) string {
	base, _, _ := strings.Cut(address, "?")
	return base
}

func sum(make func() hash.Hash, key []byte, parts ...[]byte) []byte {
	mac := hmac.New(make, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

func based(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }
