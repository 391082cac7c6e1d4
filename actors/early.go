package actors

import (
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// earliness is what the carrier of the call hears before the answer.
func (a *actor) earliness() call.Early {
	p := a.job.Early
	if p == nil {
		return call.Early{}
	}
	return call.Early{Mode: p.EarlyMedia, Limit: p.Limit(), Reject: p.EarlyMediaEnd == endpoint.EarlyReject}
}

// codecDetails are what the events say by which audio begins: of early media what
// is heard, and of an agent which.
func (a *actor) codecDetails(name string) map[string]any {
	rec := a.machine.Call.Record()
	details := map[string]any{"codec": rec.Codec}
	if name != call.EventEarly {
		return details
	}
	if details["kind"] = a.job.Early.EarlyMedia; details["kind"] == endpoint.EarlyAgent {
		details["agent"], details["worker"] = rec.Agent, rec.Worker
	}
	return details
}
