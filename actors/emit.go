package actors

import (
	"strconv"
	"time"

	"patchbay/actors/call"
)

// emit tells the agent and the event stream what has happened.
func (a *actor) emit(now time.Time, name string, ev call.Event) {
	a.seq++
	if name == call.EventStarted { // after the 100, before anything else is told
		a.keep(now)
	}
	a.calls.ports.Ledger.Event(a.job.Tenant, CallEvent{
		V: 1, ID: a.id.String() + "." + strconv.FormatUint(a.seq, 10), Call: a.id, Seq: a.seq, Type: name,
		At: now, Tenant: a.job.Tenant, Endpoint: a.job.Endpoint, Data: a.details(name, ev), Facts: FactsOf(a.record()),
	})
	if a.lost && name == call.EventEnded && !a.unheard() {
		a.farewell(ev.Cause)
	}
	switch name {
	case call.EventRuled, call.EventEarly, call.EventAnswered, call.EventAgentJoined, call.EventTransferred, call.EventJoined, call.EventMoved:
		a.keep(now)
	case call.EventRinging:
		if a.job.Dial != nil {
			a.keep(now) // its dialog is there now
		}
	}
	if a.bridge != nil {
		a.announce(name, ev)
	}
}

// announce tells the bridge, and its agent.
func (a *actor) announce(name string, ev call.Event) {
	switch name {
	case call.EventEarly:
		a.bridge.Early()
	case call.EventAnswered:
		a.bridge.Answered()
	case call.EventRuled:
		name = call.EventStarted // for its agent the call begins here
	}
	if a.tells(name) {
		a.bridge.Notify(name, ev)
	}
}

// record is what is known of the call so far.
func (a *actor) record() call.Record {
	rec := a.machine.Call.Record()
	rec.Metadata = call.Document(a.ruling.Metadata)
	return rec
}

// wanted is the direction that the carrier asks for.
func wanted(ev call.Event) call.Direction {
	switch {
	case ev.Kind == call.CarrierOffered, ev.Kind == call.CarrierReplaces && ev.Offer != nil:
		return ev.Offer.Direction
	case ev.Kind == call.AgentJoined: // ours: the answer to its INVITE
		return ev.Answer.Direction.Mirror()
	default:
		return ev.Answer.Direction
	}
}

// details are what an event says beside its name.
func (a *actor) details(name string, ev call.Event) map[string]any {
	switch name {
	case call.EventStarted:
		return a.beginning()
	case call.EventRuled:
		return map[string]any{"agent": a.machine.Call.Record().Agent}
	case call.EventRinging:
		if a.job.Dial != nil {
			return map[string]any{"status": ev.Status}
		}
		return map[string]any{"worker": ev.Agent}
	case call.EventEarly, call.EventAnswered:
		return a.codecDetails(name)
	case call.EventAgentFailed, call.EventAgentLeft:
		return map[string]any{"agent": ev.Agent, "cause": ev.Cause.Word}
	case call.EventAgentJoined:
		return map[string]any{"agent": ev.Agent, "worker": a.machine.Call.Record().Worker}
	case call.EventDigit:
		return map[string]any{"digit": ev.Digit, "duration_ms": ev.Held.Milliseconds()}
	case call.EventDigitsFailed:
		return unsentDetails(ev)
	case call.EventHeld, call.EventResumed:
		return map[string]any{"direction": wanted(ev)}
	case call.EventEnded:
		rec := a.machine.Call.Record()
		return map[string]any{"status": rec.Status, "cause": rec.Cause.Word, "q850": rec.Cause.Q850, "ended_by": rec.EndedBy,
			"decision_id": rec.DecisionID}
	}
	return movedDetails(ev)
}

// beginning is what the first event of a call says.
func (a *actor) beginning() map[string]any {
	inv := &a.invitation
	if d := a.job.Dial; d != nil {
		details := map[string]any{"direction": Outbound, "from": inv.From, "to": inv.To, "trunk": d.Trunk, "sip_call_id": inv.Key.CallID,
			"agent": a.machine.Call.Record().Agent}
		if d.For != 0 {
			details["for_call"] = d.For
		}
		return details
	}
	details := map[string]any{"from": inv.From, "to": inv.To, "transport": inv.Transport, "source": inv.Source,
		"sip_call_id": inv.Key.CallID, "agent": a.machine.Call.Record().Agent, "decision_id": a.job.DecisionID}
	if told := inv.Told(); len(told) > 0 {
		details["headers"] = told
	}
	return details
}
