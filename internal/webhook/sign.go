package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Header fields of a signed request.
const (
	TimestampHeader = "X-Ultravox-Webhook-Timestamp"
	SignatureHeader = "X-Ultravox-Webhook-Signature"
	// KeyHeader names the call. A request that is repeated has the same.
	KeyHeader = "Idempotency-Key"
)

// Timestamp writes a time as it is signed and sent: ISO 8601 in UTC with
// microseconds and without a zone, because the vendor's own verifier fails on
// one.
func Timestamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000") }

// Sign returns the signatures of a body, one for each secret, joined by
// commas: HMAC-SHA256 of the body and the timestamp, in lower-case hex. With
// several secrets an owner can change one without a gap.
func Sign(secrets []string, body []byte, timestamp string) string {
	sums := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		mac.Write([]byte(timestamp))
		sums[i] = hex.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(sums, ",")
}
