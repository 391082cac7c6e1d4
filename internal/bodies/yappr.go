package bodies

import (
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/internal/ultravox"
)

// Names of Yappr's events beside those that are ours as well.
const (
	yapprFailed   = "call.failed"
	yapprNoAnswer = "call.no_answer"
)

// yapprName is Yappr's name for an event. How a call ended is the name of the
// event there (docs/apis.md, Events).
func yapprName(ev *Event) string {
	switch ev.Type {
	case call.EventStarted, call.EventAnswered:
		return ev.Type
	case call.EventEnded:
		return map[string]string{YapprCompleted: call.EventEnded, YapprFailed: yapprFailed, YapprNoAnswer: yapprNoAnswer}[YapprStatus(ev.Facts)]
	}
	return ""
}

// Words of Yappr for where a call stands.
const (
	YapprRinging    = "ringing"
	YapprInProgress = "in_progress"
	YapprCompleted  = "completed"
	YapprFailed     = "failed"
	YapprNoAnswer   = "no_answer"
)

// YapprStatus is Yappr's word for where a call stands, or how it ended.
func YapprStatus(f *actors.CallFacts) string {
	switch {
	case f == nil:
		return YapprFailed
	case f.Ended.IsZero() && f.Answered.IsZero():
		return YapprRinging
	case f.Ended.IsZero():
		return YapprInProgress
	case !f.Answered.IsZero():
		return YapprCompleted
	case f.Status == 487 || f.Status == 408:
		return YapprNoAnswer
	}
	return YapprFailed
}

// yapprEnders are Yappr's words for who ended a call; all others are the
// system.
var yapprEnders = map[string]string{call.ByCarrier: "caller", call.ByAgent: "agent"}

// A yapprBody is what is posted.
type yapprBody struct {
	Event     string    `json:"event"`
	Timestamp string    `json:"timestamp"`
	AgentID   *string   `json:"agent_id"`
	CompanyID string    `json:"company_id"`
	CallID    string    `json:"call_id"`
	Data      yapprData `json:"data"`
}

type yapprData struct {
	Direction  string  `json:"direction"`
	FromNumber *string `json:"from_number"`
	ToNumber   *string `json:"to_number"` // null where a slug was dialled, which is a credential
	Status     string  `json:"status"`
	AnsweredAt *string `json:"answered_at,omitempty"`
	EndedAt    *string `json:"ended_at,omitempty"`
	EndedBy    string  `json:"ended_by,omitempty"`
	Seconds    *int    `json:"duration_seconds,omitempty"`
	Error      string  `json:"error,omitempty"` // of call.failed: why
}

func yappr(name string, ev *Event) any {
	f := ev.Facts
	if f == nil {
		f = &actors.CallFacts{Direction: actors.Inbound}
	}
	b := yapprBody{Event: name, Timestamp: yapprTime(ev.At), CompanyID: ev.Company, CallID: ultravox.CallID(ev.Call), // a UUID, as both products have
		Data: yapprData{Direction: f.Direction, FromNumber: number(f.From), ToNumber: number(f.To), Status: YapprStatus(f)}}
	if f.Agent != "" {
		b.AgentID = &f.Agent
	}
	if !f.Answered.IsZero() {
		at := yapprTime(f.Answered)
		b.Data.AnsweredAt = &at
	}
	if f.Ended.IsZero() {
		return b
	}
	at, talked := yapprTime(f.Ended), 0
	if !f.Answered.IsZero() {
		talked = int(f.Ended.Sub(f.Answered).Round(time.Second) / time.Second)
	}
	b.Data.EndedAt, b.Data.Seconds, b.Data.EndedBy = &at, &talked, "system"
	if who, ok := yapprEnders[f.EndedBy]; ok {
		b.Data.EndedBy = who
	}
	if name == yapprFailed && f.Cause != nil {
		b.Data.Error = f.Cause.Word
	}
	return b
}

func yapprTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
