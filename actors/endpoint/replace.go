package endpoint

import "net/netip"

// RuleReplaces is the step of [DecideTakeover] that asks what an endpoint open to
// everybody has left to ask: who sends the INVITE that would take a call over.
const RuleReplaces Rule = "replaces"

// ReasonNotReplaceable is why a call is not handed to who sent an INVITE with
// Replaces: its tags alone prove nothing (RFC 3891 5).
const ReasonNotReplaceable Reason = "replaces_not_allowed"

// A Takeover is an INVITE that asks to take the place of a dialog of an endpoint's
// call (RFC 3891), as far as may be believed of it.
type Takeover struct {
	Source    netip.Addr `json:"source"`              // of the packet
	SamePeer  bool       `json:"same_peer,omitempty"` // which is where the replaced dialog's own messages come from
	Addressed bool       `json:"addressed,omitempty"` // its Request-URI is the endpoint's address
}

// DecideTakeover decides whether who sent such an INVITE may take a call of the
// endpoint over; ep is nil where the account itself decides. It asks what it
// would ask of a new call's sender, and uses none of the caps, for the call is
// there already. An endpoint that is open to every source is protected by its
// address: whoever does not know that must be the side that is replaced.
func DecideTakeover(ep *Endpoint, acct *Account, t Takeover) Verdict {
	sources := acct.SIP.Ingress
	if ep != nil {
		sources = ep.IP
	}
	switch {
	case ep != nil && ep.DeletedAt != nil:
		return Unknown()
	case !sources.Admits(t.Source):
		return refuse(403, ReasonSourceNotAllowed, RuleSource)
	case ep != nil && !ep.IsActive:
		return refuse(603, ReasonInactive, RuleActive)
	case sources.Mode != IPList && !t.SamePeer && !t.Addressed:
		return refuse(403, ReasonNotReplaceable, RuleReplaces)
	}
	return Verdict{Action: Accept, Rule: RuleReplaces}
}
