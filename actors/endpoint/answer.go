package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of a webhook's exchange.
const (
	// MaxReply is the largest reply of a webhook, bytes.
	MaxReply = 64 << 10
	// maxMessage is how much of a rejection's message is kept, bytes.
	maxMessage = 200
	// DefaultWebhookMs and MaxWebhookMs bound the wait for a webhook's reply.
	DefaultWebhookMs = 5000
	MaxWebhookMs     = 20_000
)

// A Question is the body of the request to an owner's webhook (Ultravox's
// fallback handler): what the caller claims.
type Question struct {
	CallerID        *string           `json:"callerId"`
	FromDisplayName *string           `json:"fromDisplayName"`
	FromURI         *string           `json:"fromUri"`
	ToURI           *string           `json:"toUri"`
	SIPHeaders      map[string]string `json:"sipHeaders"`
}

// Body returns the question as it is signed and sent.
func (q Question) Body() ([]byte, error) {
	if q.SIPHeaders == nil {
		q.SIPHeaders = map[string]string{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(q); err != nil {
		return nil, fmt.Errorf("write the question: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// An Answer is what a webhook decided: exactly one of Agent, StartCall and
// Reject is set.
type Answer struct {
	Agent     *StartAgent
	StartCall json.RawMessage // a call of the owner's own making, as it came
	Reject    *Rejection
	Terms     CallTerms // of the call that begins
}

// A StartAgent gives the call to one of the owner's agents.
type StartAgent struct {
	AgentID  string
	Context  json.RawMessage // an object, or nil
	Metadata json.RawMessage // an object of texts, or nil
	Settings json.RawMessage // an object, or nil: further wishes, for the agent
}

// A Rejection turns the call down with the owner's own status.
type Rejection struct {
	Status  int // 400 to 699
	Message string
}

// ErrAnswer says that a webhook's reply is not what the contract asks for. Its
// text names what is wrong and repeats nothing of the reply.
var ErrAnswer = errors.New("the webhook's reply is not of the contract")

func badAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrAnswer, fmt.Sprintf(format, args...))
}

// ParseAnswer reads a webhook's reply: one JSON object with
// exactly one action. Whatever is not served is refused, so that no wish of
// the owner's is lost. The error wraps [ErrAnswer].
func ParseAnswer(body []byte) (Answer, error) {
	if len(body) > MaxReply {
		return Answer{}, badAnswer("more than %d bytes", MaxReply)
	}
	fields, err := object(body)
	if err != nil {
		return Answer{}, err
	}
	if len(fields) != 1 {
		return Answer{}, badAnswer("%d actions, want exactly one", len(fields))
	}
	action, value := fields[0].name, fields[0].value
	switch action {
	case "startAgentCall":
		return startAgent(value)
	case "startCall":
		return startCall(value)
	case "reject":
		return rejection(value)
	}
	return Answer{}, badAnswer("unknown action; want startAgentCall, startCall or reject")
}

func startAgent(value json.RawMessage) (Answer, error) {
	fields, err := object(value)
	if err != nil {
		return Answer{}, badAnswer("startAgentCall is no object")
	}
	var a StartAgent
	var terms CallTerms
	for _, f := range fields {
		known, err := a.read(f)
		if err == nil && !known {
			known, err = terms.read(f)
		}
		if err == nil && !known {
			err = badAnswer("startAgentCall holds a field that is not served")
		}
		if err != nil {
			return Answer{}, err
		}
	}
	a.AgentID = strings.ToLower(a.AgentID)
	if !isUUID(a.AgentID) {
		return Answer{}, badAnswer("agentId is no UUID")
	}
	return Answer{Agent: &a, Terms: terms}, nil
}

// read takes a field that names the agent or is for it, and reports whether it
// is one.
func (a *StartAgent) read(f field) (known bool, err error) {
	switch f.name {
	case "agentId":
		if json.Unmarshal(f.value, &a.AgentID) != nil {
			err = badAnswer("agentId is no text")
		}
	case "templateContext":
		a.Context, err = document(f)
	case "metadata":
		a.Metadata, err = labels(f)
	default:
		return a.setting(f)
	}
	return true, err
}

// startCall keeps the whole body for the agent, and reads what of it is about
// the call itself.
func startCall(value json.RawMessage) (Answer, error) {
	fields, err := object(value)
	if err != nil {
		return Answer{}, badAnswer("startCall is no object")
	}
	a := Answer{StartCall: value}
	for _, f := range fields {
		if _, err := a.Terms.read(f); err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

// document returns a field that holds an object; null is none.
func document(f field) (json.RawMessage, error) {
	if string(f.value) == "null" {
		return nil, nil
	}
	if _, err := object(f.value); err != nil {
		return nil, badAnswer("%s is no object", f.name)
	}
	return f.value, nil
}

func rejection(value json.RawMessage) (Answer, error) {
	fields, err := object(value)
	if err != nil {
		return Answer{}, badAnswer("reject is no object")
	}
	status, message := (*int)(nil), (*string)(nil)
	for _, f := range fields {
		switch f.name {
		case "sipRejectCode":
			err = json.Unmarshal(f.value, &status)
		case "message":
			err = json.Unmarshal(f.value, &message)
		default:
			return Answer{}, badAnswer("reject holds a field that is not served")
		}
		if err != nil {
			return Answer{}, badAnswer("%s is of the wrong type", f.name)
		}
	}
	r := Rejection{Status: 603}
	if status != nil {
		r.Status = *status
	}
	if r.Status < 400 || r.Status > 699 {
		return Answer{}, badAnswer("sipRejectCode is not 400 to 699")
	}
	if message != nil {
		r.Message = printable(*message)
	}
	return Answer{Reject: &r}, nil
}

// printable returns what of an owner's message may stand in a log line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), maxMessage)], "")
}

// A field is one member of a JSON object.
type field struct {
	name  string
	value json.RawMessage
}

// object returns the members of the one JSON object in b. A name that is there
// twice is an error: two readers would take it differently.
func object(b []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, badAnswer("no JSON object")
	}
	var fields []field
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, badAnswer("no JSON object")
		}
		f := field{name: fmt.Sprint(name)}
		if err := dec.Decode(&f.value); err != nil {
			return nil, badAnswer("no JSON object")
		}
		if seen[f.name] {
			return nil, badAnswer("a field is there twice")
		}
		seen[f.name] = true
		fields = append(fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return nil, badAnswer("no JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, badAnswer("something follows the object")
	}
	return fields, nil
}
