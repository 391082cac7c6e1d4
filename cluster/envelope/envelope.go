// Package envelope is the wire format between nodes: one JSON line, a line
// feed, and the raw bytes of a SIP message where there is one. It is pure.
//
// Every line carries "v":1. A version this node does not speak is refused with
// [ErrVersion] and never guessed at; unknown fields are ignored, so that a
// newer node may add some.
package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

// Version is the version of every message written here.
const Version = 1

// What a message that cannot be read is.
var (
	ErrVersion   = errors.New("envelope: version not spoken here")
	ErrMalformed = errors.New("envelope: malformed")
)

type inviteHead struct {
	V      int             `json:"v"`
	Cancel bool            `json:"cancel,omitempty"`
	Invite endpoint.Invite `json:"invite"`
	Flow   call.Flow       `json:"flow"`
}

// EncodeInvite writes an initial INVITE, or a CANCEL of one, for a decider.
func EncodeInvite(inv endpoint.Invite, cancel bool, p call.Packet) ([]byte, error) {
	return encode(inviteHead{V: Version, Cancel: cancel, Invite: inv, Flow: p.Flow}, p.Raw)
}

// DecodeInvite reads what [EncodeInvite] wrote. The packet's bytes are part of b.
func DecodeInvite(b []byte) (inv endpoint.Invite, cancel bool, p call.Packet, err error) {
	var h inviteHead
	raw, err := decode(b, &h)
	if err == nil {
		err = spoken(h.V)
	}
	return h.Invite, h.Cancel, call.Packet{Flow: h.Flow, Raw: raw}, err
}

type intakeHead struct {
	V    int        `json:"v"`
	Job  actors.Job `json:"job"`
	Flow call.Flow  `json:"flow"`
}

// EncodeIntake writes a job for the media node of its transaction.
func EncodeIntake(job actors.Job) ([]byte, error) {
	job.V = Version
	return encode(intakeHead{V: Version, Job: job, Flow: job.Packet.Flow}, job.Packet.Raw)
}

// DecodeIntake reads what [EncodeIntake] wrote. The packet's bytes are part of b.
func DecodeIntake(b []byte) (actors.Job, error) {
	var h intakeHead
	raw, err := decode(b, &h)
	if err == nil {
		err = spoken(h.V)
	}
	h.Job.Packet = call.Packet{Flow: h.Flow, Raw: raw}
	return h.Job, err
}

type inDialogHead struct {
	V    int       `json:"v"`
	Call call.ID   `json:"call_id"`
	Flow call.Flow `json:"flow"`
}

// EncodeInDialog writes an in-dialog request, or a response, for its call.
func EncodeInDialog(id call.ID, p call.Packet) ([]byte, error) {
	return encode(inDialogHead{V: Version, Call: id, Flow: p.Flow}, p.Raw)
}

// DecodeInDialog reads what [EncodeInDialog] wrote. The packet's bytes are
// part of b.
func DecodeInDialog(b []byte) (call.ID, call.Packet, error) {
	var h inDialogHead
	raw, err := decode(b, &h)
	if err == nil {
		err = spoken(h.V)
	}
	return h.Call, call.Packet{Flow: h.Flow, Raw: raw}, err
}

type sendHead struct {
	V    int       `json:"v"`
	Flow call.Flow `json:"flow"`
	To   string    `json:"to,omitempty"`
	Host string    `json:"host,omitempty"`
}

// EncodeSend writes a SIP message for an edge to send.
func EncodeSend(tx call.Transmission) ([]byte, error) {
	h := sendHead{V: Version, Flow: tx.Flow, Host: tx.Host}
	if tx.To.IsValid() {
		h.To = tx.To.String()
	}
	return encode(h, tx.Raw)
}

// DecodeSend reads what [EncodeSend] wrote. The message's bytes are part of b.
func DecodeSend(b []byte) (call.Transmission, error) {
	var h sendHead
	raw, err := decode(b, &h)
	if err == nil {
		err = spoken(h.V)
	}
	tx := call.Transmission{Flow: h.Flow, Host: h.Host, Raw: raw}
	if err == nil && h.To != "" {
		if err = tx.To.UnmarshalText([]byte(h.To)); err != nil {
			err = fmt.Errorf("%w: to: %w", ErrMalformed, err)
		}
	}
	return tx, err
}

func encode(head any, raw []byte) ([]byte, error) {
	line, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	b := make([]byte, 0, len(line)+1+len(raw))
	b = append(b, line...)
	b = append(b, '\n')
	return append(b, raw...), nil
}

func decode(b []byte, head any) (raw []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, fmt.Errorf("%w: no line feed after the head", ErrMalformed)
	}
	if err := json.Unmarshal(b[:i], head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, shape(err))
	}
	return b[i+1:], nil
}

// shape keeps what a message held out of the error: it may hold a slug.
func shape(err error) error {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Errorf("field %s is no %s", typed.Field, typed.Type)
	}
	return errors.New("not the JSON that was expected")
}

func spoken(v int) error {
	if v != Version {
		return fmt.Errorf("%w: %d, want %d", ErrVersion, v, Version)
	}
	return nil
}
