package actors

import (
	"time"

	"patchbay/actors/call"
)

// Directions of a call, as its record and its events say them.
const (
	Inbound  = "inbound"  // a carrier called
	Outbound = "outbound" // we called
)

// CallFacts are what was known of a call when an event of it happened: all
// that whoever hears of the event has to be told. No secret is among them; a
// bearer slug is redacted.
type CallFacts struct {
	Direction string        `json:"direction"`
	Agent     string        `json:"agent_id,omitempty"`
	From      call.Party    `json:"from"`
	To        call.Party    `json:"to"`
	Created   time.Time     `json:"created"`
	Answered  time.Time     `json:"answered,omitzero"`
	Ended     time.Time     `json:"ended,omitzero"`
	Status    int           `json:"status,omitempty"` // final response to the INVITE
	Cause     *call.Cause   `json:"cause,omitempty"`  // of a call that is over
	EndedBy   string        `json:"ended_by,omitempty"`
	Metadata  call.Document `json:"metadata,omitempty"`
}

// FactsOf returns what a record, or what is known of one so far, says of its
// call.
func FactsOf(rec call.Record) *CallFacts {
	f := &CallFacts{Direction: rec.Direction, Agent: rec.Agent, From: rec.From, To: rec.To, Created: rec.Stages.Invited,
		Answered: rec.Stages.Answered, Ended: rec.Stages.Ended, Status: rec.Status, EndedBy: rec.EndedBy, Metadata: rec.Metadata}
	if f.Direction == "" {
		f.Direction = Inbound
	}
	if rec.Cause.Word != "" {
		f.Cause = &rec.Cause
	}
	return f
}
