package ultravox

import (
	"encoding/json"

	"patchbay/actors"
	"patchbay/actors/call"
)

// OfCall returns what an event knows of its call. Names of agents are not in
// it, and amounts are not told yet: set AgentName, and Billed for call.billed.
func OfCall(id call.ID, c *actors.CallFacts) Facts {
	f := Facts{ID: id, Created: c.Created, Joined: c.Answered, Ended: c.Ended, AgentID: c.Agent, Status: c.Status, Metadata: Labels(c.Metadata)}
	if c.Cause != nil {
		f.Cause = *c.Cause
	}
	if c.Direction == actors.Outbound {
		f.Outgoing = &Outgoing{To: c.To.URI, From: c.From.URI}
	}
	return f
}

// OfRecord returns what a call's record has to tell; it is billed.
func OfRecord(r call.Record) Facts {
	f := OfCall(r.ID, actors.FactsOf(r))
	f.Billed = true
	return f
}

// Labels reads metadata: an object of texts. What is no text is left out.
func Labels(doc call.Document) map[string]string {
	var all map[string]any
	if doc == "" || json.Unmarshal([]byte(doc), &all) != nil {
		return nil
	}
	texts := make(map[string]string, len(all))
	for name, value := range all {
		if text, ok := value.(string); ok {
			texts[name] = text
		}
	}
	return texts
}
