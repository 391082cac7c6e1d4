package bodies

import (
	"bytes"
	"encoding/json"
	"fmt"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Types of events that are not of a call's own history.
const (
	EventRecord = "call.record"  // a call has its record
	EventTest   = "webhook.test" // an owner tries a webhook out
	EventDead   = "webhook.dead" // an event was given up
)

// An Event is an event as it was published. Raw is what the stream holds.
type Event struct {
	actors.CallEvent
	Record    *call.Record // of EventRecord
	Raw       []byte
	Company   string // id of the account
	AgentName string // of the agent in Facts, as it is called now; "": not known
}

// Parse reads an event of the stream.
func Parse(raw []byte) (Event, error) {
	ev := Event{Raw: raw}
	if err := json.Unmarshal(raw, &ev.CallEvent); err != nil {
		return ev, fmt.Errorf("read an event: %w", err)
	}
	if ev.Type != EventRecord {
		return ev, nil
	}
	var line struct {
		Data call.Record `json:"data"`
	}
	if err := json.Unmarshal(raw, &line); err != nil {
		return ev, fmt.Errorf("read event %s: %w", ev.ID, err)
	}
	ev.Record, ev.Facts = &line.Data, actors.FactsOf(line.Data)
	return ev, nil
}

// A form is how a kind of webhook says events.
type form struct {
	// name is the kind's own for an event; "": it has none.
	name func(ev *Event) string
	body func(name string, ev *Event) any
}

var forms = map[endpoint.WebhookKind]form{
	endpoint.WebhookNative:   {func(ev *Event) string { return ev.Type }, native},
	endpoint.WebhookYappr:    {yapprName, yappr},
	endpoint.WebhookUltravox: {ultravoxName, ultravoxBody},
}

// Name is what a kind of webhook calls the event; "": it has no word for it.
func Name(kind endpoint.WebhookKind, ev *Event) string {
	f, ok := forms[kind]
	switch {
	case !ok:
		return ""
	case ev.Type == EventTest:
		return EventTest
	}
	return f.name(ev)
}

// Render returns the body of a webhook of that kind about an event that it has
// a name for.
func Render(kind endpoint.WebhookKind, ev *Event) ([]byte, error) {
	name := Name(kind, ev)
	if name == "" {
		return nil, fmt.Errorf("render event %s: %s has no word for it", ev.ID, kind)
	}
	return write(forms[kind].body(name, ev))
}

// native is the event itself (docs/records.md).
func native(_ string, ev *Event) any { return json.RawMessage(ev.Raw) }

// write encodes a body in which <, > and & stand for themselves.
func write(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write a body: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// number returns the user of a party where it is a phone number; nil: it is
// not, or hidden.
func number(p call.Party) *string {
	digits := p.User
	if len(digits) > 0 && digits[0] == '+' {
		digits = digits[1:]
	}
	if len(digits) < 3 || len(digits) > 20 {
		return nil
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return nil
		}
	}
	return &p.User
}
