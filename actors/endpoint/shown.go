package endpoint

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// A Shown is what a carrier is shown of a rejection: the SIP status, and the
// text of a Reason header (RFC 3326), if it gets one.
type Shown struct {
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Shown returns what the carrier sees of a rejection. Uniform, the default and
// the zero style, hides from strangers whether an address exists, is switched
// off, or does not know their source: one 404 for all, and no Reason. Explicit
// tells status and reason as they are. Both show caps as 486 and our own
// trouble as 503.
func (v Verdict) Shown(style RefusalStyle) Shown {
	if v.Action != Reject {
		return Shown{}
	}
	shown := Shown{Status: v.Status, Reason: string(v.Reason)}
	if shown.Status == 0 {
		shown.Status = 603 // a verdict nobody filled in
	}
	if style == RefuseExplicit {
		return shown
	}
	shown.Reason = ""
	switch v.Reason {
	case ReasonUnknown, ReasonInactive, ReasonSourceNotAllowed, ReasonNotReplaceable:
		shown.Status = 404
	}
	return shown
}

// DecisionID names the decision on an INVITE in events and logs: 16 lower-case
// base32hex characters that follow from its Call-ID, so that an owner who
// knows only what the carrier logged can ask for it.
func DecisionID(callID string) string {
	sum := sha256.Sum256([]byte("decision " + callID))
	return strings.ToLower(base32.HexEncoding.EncodeToString(sum[:10]))
}
