package actors

import (
	"net/netip"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// An Outcome is what an edge is told about an INVITE or a CANCEL.
type Outcome struct {
	Taken      bool          // a media node answers; the edge sends nothing
	Status     int           // not taken: answer statelessly with this status
	Reason     string        // text of a Reason header (RFC 3326); empty: none
	RetryAfter time.Duration // of 503, whole seconds; 0: none
	Silent     bool          // not taken, and no answer at all, as the operator wants it against scanners
}

// RetryAfter is what a 503 of a decider asks for. A carrier may leave the
// whole trunk alone for that long, so it is short.
const RetryAfter = 2 * time.Second

// A Decision is all there is to say about one decision on an INVITE, for logs,
// events and metrics.
type Decision struct {
	ID        string // endpoint.DecisionID of the Call-ID
	Key       endpoint.Key
	Partition uint8
	Tenant    string // empty if the endpoint is unknown
	Source    netip.AddrPort
	Transport string
	Verdict   endpoint.Verdict // the truth
	Shown     endpoint.Shown   // of a rejection: what the carrier got
	Call      call.ID          // of an acceptance
	Node      string           // media node of an acceptance
	Took      time.Duration    // from mailbox to outcome
}

// An EndpointObserver hears what [Endpoints] does. Funcs are called on its
// loops and must not block; nil is skipped.
type EndpointObserver struct {
	HostObserver
	// Decided hears each decision once; retransmissions are Repeated.
	Decided func(Decision)
	// Consulted hears of each question to an owner's webhook, and its end.
	Consulted func(Consultation)
	// Takeover hears of each INVITE that asked to take a call over.
	Takeover func(TakeoverDecision)
	// Referred hears of each REFER of a carrier's that an endpoint's policy decided.
	Referred func(ReferDecision)
	// Repeated hears of an INVITE whose decision was remembered.
	Repeated func(endpoint.Key)
}

// rejected is the outcome of a verdict, as the account wants it shown.
func rejected(v endpoint.Verdict, style endpoint.RefusalStyle) Outcome {
	shown := v.Shown(style)
	o := Outcome{Status: shown.Status, Reason: shown.Reason}
	if o.Status == 503 {
		o.RetryAfter = RetryAfter
	}
	return o
}
