package bodies

import (
	"encoding/json"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/ultravox"
)

// ultravoxName is Ultravox's name for an event. What is billed there is what
// has its record here.
func ultravoxName(ev *Event) string {
	switch ev.Type {
	case call.EventStarted, call.EventEnded:
		return ev.Type
	case call.EventAnswered:
		return "call.joined"
	case EventRecord:
		return "call.billed"
	}
	return ""
}

// ultravoxBody is the event's name, and the call as it then stood.
func ultravoxBody(name string, ev *Event) any {
	f := ev.Facts
	if f == nil { // of a trial, or of an older release
		f = &actors.CallFacts{Direction: actors.Inbound, Created: ev.At}
	}
	facts := ultravox.Facts{ID: ev.Call, Created: f.Created, Joined: f.Answered, Ended: f.Ended, AgentID: f.Agent, AgentName: ev.AgentName, Status: f.Status,
		Billed: ev.Type == EventRecord}
	if f.Cause != nil {
		facts.Cause = *f.Cause
	}
	if f.Direction == actors.Outbound {
		facts.Outgoing = &ultravox.Outgoing{To: f.To.URI, From: f.From.URI}
	}
	if f.Metadata != "" {
		// What does not fit is none of ours to show: metadata are texts by text.
		_ = json.Unmarshal([]byte(f.Metadata), &facts.Metadata)
	}
	return ultravox.Event{Event: name, Call: ultravox.Render(facts)}
}
