package connect

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"

	"patchbay/media"
	"patchbay/media/peer"
)

// spokenWait is the longest that a hangup waits for the model to have said what
// it is saying.
const spokenWait = 10 * time.Second

// A tool is a function that the model may call.
type tool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

// tools are commands of the call, as functions.
var tools = []tool{
	{"function", media.CommandHangup, "Hang up the phone call. Say goodbye first.",
		json.RawMessage(`{"type":"object","properties":{}}`)},
	{"function", media.CommandSendDTMF, "Press keys of the telephone, for instance in the menu of an automatic system.",
		json.RawMessage(`{"type":"object","properties":{"digits":{"type":"string","description":"0-9, A-D, * and #; w is half a second of pause"}},"required":["digits"]}`)},
}

// withTools adds our tools to those of a session. One of the same name is the
// owner's wording of it, and stays. A session that is no object stays too.
func withTools(session json.RawMessage) json.RawMessage {
	doc := map[string]json.RawMessage{}
	if len(session) == 0 {
		session = json.RawMessage(`{"type":"realtime"}`)
	}
	var theirs []json.RawMessage
	if json.Unmarshal(session, &doc) != nil || doc["tools"] != nil && json.Unmarshal(doc["tools"], &theirs) != nil {
		return session
	}
	named := map[string]bool{}
	for _, t := range theirs {
		var is struct{ Name string }
		if json.Unmarshal(t, &is) == nil {
			named[is.Name] = true
		}
	}
	for _, t := range tools {
		if b, err := json.Marshal(t); err == nil && !named[t.Name] {
			theirs = append(theirs, b)
		}
	}
	all, err := json.Marshal(theirs)
	if err != nil {
		return session
	}
	doc["tools"] = all
	whole, err := json.Marshal(doc)
	if err != nil {
		return session
	}
	return whole
}

// An openAITalk is what one session says of itself and asks for, in the events
// of OpenAI's Realtime API.
type openAITalk struct {
	line peer.Line

	mu       sync.Mutex
	speaking bool        // its audio is being played to the caller
	waiting  *time.Timer // of a hangup that lets it finish; nil: none
}

func talkOpenAI(l peer.Line) func([]byte) peer.Heard {
	return (&openAITalk{line: l}).hear
}

// hear looks at the few events that concern us: most are deltas of transcripts,
// which are not parsed.
func (o *openAITalk) hear(message []byte) peer.Heard {
	if !bytes.Contains(message, []byte(`"output_audio_buffer.`)) && !bytes.Contains(message, []byte(`"response.function_call_arguments.done"`)) {
		return peer.HeardNothing
	}
	var e struct {
		Type      string `json:"type"`
		Name      string `json:"name"`
		CallID    string `json:"call_id"`
		Arguments string `json:"arguments"`
	}
	if json.Unmarshal(message, &e) != nil {
		return peer.HeardNothing
	}
	switch e.Type {
	case "output_audio_buffer.started":
		o.speaks(true)
	case "output_audio_buffer.stopped", "output_audio_buffer.cleared":
		o.speaks(false)
	case "response.function_call_arguments.done":
		o.called(e.Name, e.CallID, e.Arguments)
	}
	return peer.HeardNothing
}

func (o *openAITalk) speaks(on bool) {
	o.mu.Lock()
	o.speaking = on
	over := o.waiting
	o.mu.Unlock()
	if !on && over != nil && over.Stop() {
		o.hangUp()
	}
}

// called carries out a function call. What is no tool of ours is the owner's,
// whose own program answers it.
func (o *openAITalk) called(name, id, arguments string) {
	switch name {
	case media.CommandHangup:
		o.bid()
	case media.CommandSendDTMF:
		var a struct {
			Digits string `json:"digits"`
		}
		_ = json.Unmarshal([]byte(arguments), &a) // no digits: refused as that
		o.reply(id, o.do(media.Command{Type: name, Digits: a.Digits}))
	}
}

// bid hangs up once the model has said what it is saying: its function call
// comes long before its voice has been heard.
func (o *openAITalk) bid() {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.waiting != nil: // it has asked before
	case o.speaking:
		o.waiting = time.AfterFunc(spokenWait, o.hangUp)
	default:
		o.waiting = time.AfterFunc(0, o.hangUp) // not under the lock
	}
}

func (o *openAITalk) hangUp() {
	if bytes.Contains(o.do(media.Command{Type: media.CommandHangup}), []byte(`"ok":true`)) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = nil // too many commands at once: it may ask again
}

func (o *openAITalk) do(c media.Command) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		return nil // texts always marshal
	}
	return o.line.Do(b)
}

// reply gives the function's result, which is our acknowledgement, and lets
// the model go on.
func (o *openAITalk) reply(id string, ack []byte) {
	type item struct {
		Type   string `json:"type"`
		CallID string `json:"call_id"`
		Output string `json:"output"`
	}
	type event struct {
		Type string `json:"type"`
		Item *item  `json:"item,omitempty"`
	}
	for _, e := range []event{
		{"conversation.item.create", &item{"function_call_output", id, string(ack)}}, {Type: "response.create"},
	} {
		if b, err := json.Marshal(e); err == nil {
			o.line.Send(b)
		}
	}
}
