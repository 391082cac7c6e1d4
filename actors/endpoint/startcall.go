package endpoint

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// CallTerms are what a webhook's answer asks of the call itself, in place of what
// its agent says. Zero fields leave the agent's.
type CallTerms struct {
	JoinTimeoutMs int64 `json:"join_timeout_ms,omitempty"`
	MaxDurationMs int64 `json:"max_duration_ms,omitempty"`
}

// read takes a field of Ultravox's create-call bodies that is about the call
// itself, and reports whether it is one. A time beyond what an agent may have
// counts as the longest that it may.
func (t *CallTerms) read(f field) (known bool, err error) {
	switch f.name {
	case "joinTimeout":
		t.JoinTimeoutMs, err = lasting(f, maxJoinMs)
	case "maxDuration":
		t.MaxDurationMs, err = lasting(f, MaxDurationMs)
	case "medium": // always this call
		_, err = document(f)
	default:
		return false, nil
	}
	return true, err
}

// lasting reads a duration such as "30s" or "1.5s", in ms; null is 0.
func lasting(f field, longest int64) (ms int64, err error) {
	var text *string
	if json.Unmarshal(f.value, &text) != nil {
		return 0, badAnswer("%s is no text", f.name)
	}
	if text == nil {
		return 0, nil
	}
	number, ok := strings.CutSuffix(*text, "s")
	d, err := time.ParseDuration(*text)
	if !ok || err != nil || strings.Trim(number, "0123456789.") != "" || d < time.Second {
		return 0, badAnswer(`%s is not like "30s", of a second and more`, f.name)
	}
	return min(d.Milliseconds(), longest), nil
}

// settings are fields of startAgentCall that are for the agent, and what their
// values begin with.
var settings = map[string]string{
	"initialMessages": "[", "firstSpeakerSettings": "{", "dataConnection": "{", "experimentalSettings": "{",
	"initialOutputMedium": `"`, "recordingEnabled": "tf",
}

// setting adds a field to what the agent is told, as it came, and reports
// whether it is such a field; null is none.
func (a *StartAgent) setting(f field) (known bool, err error) {
	begins, known := settings[f.name]
	switch {
	case !known || string(f.value) == "null":
		return known, nil
	case !strings.ContainsRune(begins, rune(f.value[0])):
		return true, badAnswer("%s is of the wrong type", f.name)
	}
	name, err := json.Marshal(f.name)
	if err != nil {
		return true, badAnswer("%s cannot be told", f.name)
	}
	open := append(bytes.TrimSuffix(a.Settings, []byte("}")), ',')
	if a.Settings == nil {
		open = []byte("{")
	}
	a.Settings = append(append(append(append(open, name...), ':'), f.value...), '}')
	return true, nil
}

// reservedMetadata begins keys of a call's metadata that are not the owner's.
const reservedMetadata = "ultravox."

// labels returns a field that holds an object of texts.
func labels(f field) (json.RawMessage, error) {
	doc, err := document(f)
	if err != nil || doc == nil {
		return nil, err
	}
	var texts map[string]*string
	if json.Unmarshal(doc, &texts) != nil {
		return nil, badAnswer("%s holds a value that is no text", f.name)
	}
	for key, text := range texts {
		if text == nil || strings.HasPrefix(key, reservedMetadata) {
			return nil, badAnswer("%s holds a key of %q, or a value that is no text", f.name, reservedMetadata)
		}
	}
	return doc, nil
}
