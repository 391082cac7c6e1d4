package envelope

import (
	"encoding/json"
	"fmt"

	"patchbay/actors/call"
)

// A Command is an operator's wish for one call, or, without a call, a question
// to a whole media node.
type Command struct {
	V      int             `json:"v"`
	Op     string          `json:"op"`     // get, list, hangup, and what media serves beside
	Tenant string          `json:"tenant"` // another tenant's call is not there
	Call   call.ID         `json:"call_id,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// A Result answers a Command: Body, or a Code with its Message.
type Result struct {
	V       int             `json:"v"`
	Code    string          `json:"code,omitempty"` // not_mine, busy, or a word of the operation; empty: done
	Message string          `json:"message,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
}

// Codes of Results that are not an operation's own.
const (
	CodeNotMine  = "not_mine"
	CodeBusy     = "busy"
	CodeBad      = "bad_request"
	CodeInternal = "internal"
)

// EncodeCommand writes a command for a media node.
func EncodeCommand(c Command) ([]byte, error) {
	c.V = Version
	return marshal(c)
}

// DecodeCommand reads what [EncodeCommand] wrote.
func DecodeCommand(b []byte) (Command, error) {
	var c Command
	if err := unmarshal(b, &c); err != nil {
		return c, err
	}
	if err := spoken(c.V); err != nil {
		return c, err
	}
	if c.Op == "" {
		return c, fmt.Errorf("%w: no op", ErrMalformed)
	}
	return c, nil
}

// EncodeResult writes the reply to a command.
func EncodeResult(r Result) ([]byte, error) {
	r.V = Version
	return marshal(r)
}

// DecodeResult reads what [EncodeResult] wrote.
func DecodeResult(b []byte) (Result, error) {
	var r Result
	if err := unmarshal(b, &r); err != nil {
		return r, err
	}
	return r, spoken(r.V)
}
