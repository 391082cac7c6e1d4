package endpoint

import (
	"net/netip"
	"time"
)

// The widest ranges that may be blocked. Wider ones turn away half of the
// world's carriers by a slip of the hand.
const (
	WidestBlock4 = 8  // bits of an IPv4 range
	WidestBlock6 = 16 // bits of an IPv6 range
)

// A Block is a range of sources that every edge turns away, unheard.
type Block struct {
	V         int          `json:"v"`
	Source    netip.Prefix `json:"source"` // masked; IPv4-mapped IPv6 unmapped
	Reason    string       `json:"reason,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
	ExpiresAt *time.Time   `json:"expires_at,omitempty"` // nil: until it is taken back
	Revision  Revision     `json:"-"`
}

// ParseBlock reads a source to block: an address or a CIDR range, in the
// spellings of an allowlist. The error is a [Problem] of field source.
func ParseBlock(raw string) (netip.Prefix, error) {
	prefix, ok := parsePrefix(raw)
	if !ok {
		return netip.Prefix{}, Problem{"source", CodeInvalid, "want an IP address or a CIDR range, without a zone"}
	}
	return prefix, nil
}

// Validate returns every mistake that keeps the block from being stored.
func (b *Block) Validate() []Problem {
	var ps problems
	ps.between("v", int64(b.V), currentVersion, currentVersion)
	ps.text("reason", b.Reason, 0, MaxName)
	widest := WidestBlock6
	if b.Source.Addr().Is4() {
		widest = WidestBlock4
	}
	if b.Source.Bits() < widest {
		ps.add("source", CodeOutOfRange, "a range of /%d is too wide, want /%d or longer", b.Source.Bits(), widest)
	}
	if b.ExpiresAt != nil && !b.ExpiresAt.After(b.CreatedAt) {
		ps.add("expires_at", CodeOutOfRange, "want a time to come")
	}
	return ps
}
