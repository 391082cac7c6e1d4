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
	"net/netip"

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

func (h *inviteHead) append(b []byte) []byte {
	b = append(b, `{"v":1`...)
	if h.Cancel {
		b = append(b, `,"cancel":true`...)
	}
	b = appendInvite(append(b, `,"invite":`...), &h.Invite)
	b = appendFlow(append(b, `,"flow":`...), &h.Flow)
	return append(b, '}')
}

func (h *inviteHead) read(line []byte) bool {
	r := reader{b: line}
	r.must(`{"v":1`)
	h.V, h.Cancel = Version, r.is(`,"cancel":true`)
	r.must(`,"invite":`)
	r.invite(&h.Invite)
	r.must(`,"flow":`)
	r.flow(&h.Flow)
	r.must(`}`)
	return r.done()
}

// EncodeInvite writes an initial INVITE, or a CANCEL of one, for a decider.
func EncodeInvite(inv endpoint.Invite, cancel bool, p call.Packet) []byte {
	return encode(&inviteHead{V: Version, Cancel: cancel, Invite: inv, Flow: p.Flow}, p.Raw)
}

// DecodeInvite reads what [EncodeInvite] wrote. The packet's bytes are part of b.
func DecodeInvite(b []byte) (inv endpoint.Invite, cancel bool, p call.Packet, err error) {
	var h inviteHead
	raw, err := decode(b, &h)
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
	line, err := json.Marshal(intakeHead{V: Version, Job: job, Flow: job.Packet.Flow})
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return append(append(line, '\n'), job.Packet.Raw...), nil
}

// DecodeIntake reads what [EncodeIntake] wrote. The packet's bytes are part of b.
func DecodeIntake(b []byte) (actors.Job, error) {
	var h intakeHead
	raw, err := decode(b, &h)
	h.Job.Packet = call.Packet{Flow: h.Flow, Raw: raw}
	return h.Job, err
}

type inDialogHead struct {
	V    int       `json:"v"`
	Call call.ID   `json:"call_id"`
	Flow call.Flow `json:"flow"`
}

func (h *inDialogHead) append(b []byte) []byte {
	b = append(b, `{"v":1,"call_id":"`...)
	b = append(b, h.Call.String()...)
	b = appendFlow(append(b, `","flow":`...), &h.Flow)
	return append(b, '}')
}

func (h *inDialogHead) read(line []byte) bool {
	r := reader{b: line}
	r.must(`{"v":1,"call_id":`)
	h.V = Version
	if h.Call.UnmarshalText(r.text()) != nil {
		return false
	}
	r.must(`,"flow":`)
	r.flow(&h.Flow)
	r.must(`}`)
	return r.done()
}

// EncodeInDialog writes an in-dialog request, or a response, for its call.
func EncodeInDialog(id call.ID, p call.Packet) []byte {
	return encode(&inDialogHead{V: Version, Call: id, Flow: p.Flow}, p.Raw)
}

// DecodeInDialog reads what [EncodeInDialog] wrote. The packet's bytes are
// part of b.
func DecodeInDialog(b []byte) (call.ID, call.Packet, error) {
	var h inDialogHead
	raw, err := decode(b, &h)
	return h.Call, call.Packet{Flow: h.Flow, Raw: raw}, err
}

type sendHead struct {
	V    int            `json:"v"`
	Flow call.Flow      `json:"flow"`
	To   netip.AddrPort `json:"to,omitzero"`
	Host string         `json:"host,omitempty"`
	Fill bool           `json:"fill,omitempty"`
	Grow bool           `json:"grow,omitempty"`
}

func (h *sendHead) append(b []byte) []byte {
	b = appendFlow(append(b, `{"v":1,"flow":`...), &h.Flow)
	if h.To.IsValid() {
		b = appendAddr(append(b, `,"to":`...), h.To)
	}
	if h.Host != "" {
		b = appendString(append(b, `,"host":`...), h.Host)
	}
	if h.Fill {
		b = append(b, `,"fill":true`...)
	}
	if h.Grow {
		b = append(b, `,"grow":true`...)
	}
	return append(b, '}')
}

func (h *sendHead) read(line []byte) bool {
	r := reader{b: line}
	r.must(`{"v":1,"flow":`)
	h.V = Version
	r.flow(&h.Flow)
	if r.is(`,"to":`) {
		h.To = r.addr()
	}
	if r.is(`,"host":`) {
		h.Host = r.string()
	}
	h.Fill = r.is(`,"fill":true`)
	h.Grow = r.is(`,"grow":true`)
	r.must(`}`)
	return r.done()
}

// EncodeSend writes a SIP message for an edge to send.
func EncodeSend(tx call.Transmission) []byte {
	return encode(&sendHead{V: Version, Flow: tx.Flow, To: tx.To, Host: tx.Host, Fill: tx.Fill, Grow: tx.Grows}, tx.Raw)
}

// DecodeSend reads what [EncodeSend] wrote. The message's bytes are part of b.
func DecodeSend(b []byte) (call.Transmission, error) {
	var h sendHead
	raw, err := decode(b, &h)
	return call.Transmission{Flow: h.Flow, To: h.To, Host: h.Host, Fill: h.Fill, Grows: h.Grow, Raw: raw}, err
}

// A head is the JSON line of a message.
type head interface{ version() int }

// A writer is a head that writes itself; a fastReader reads itself, or says
// that it cannot and has to be read by encoding/json.
type (
	writer     interface{ append(b []byte) []byte }
	fastReader interface{ read(line []byte) bool }
)

func (h *inviteHead) version() int   { return h.V }
func (h *intakeHead) version() int   { return h.V }
func (h *inDialogHead) version() int { return h.V }
func (h *sendHead) version() int     { return h.V }

// maxHead is room for a head of ordinary size.
const maxHead = 512

func encode(h writer, raw []byte) []byte {
	b := h.append(make([]byte, 0, maxHead+len(raw)))
	b = append(b, '\n')
	return append(b, raw...)
}

func decode[H any, P interface {
	*H
	head
}](b []byte, h P) (raw []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, fmt.Errorf("%w: no line feed after the head", ErrMalformed)
	}
	line, raw := b[:i], b[i+1:]
	if fast, ok := any(h).(fastReader); ok && fast.read(line) {
		return raw, nil
	}
	*h = *new(H) // what the fast reader left
	if err := json.Unmarshal(line, h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, shape(err))
	}
	return raw, spoken(h.version())
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
