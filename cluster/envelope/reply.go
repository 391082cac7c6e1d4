package envelope

import (
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors"
	"patchbay/actors/call"
)

type outcomeLine struct {
	V          int    `json:"v"`
	Taken      bool   `json:"taken,omitempty"`
	Status     int    `json:"status,omitempty"`
	Reason     string `json:"reason,omitempty"`
	RetryAfter int64  `json:"retry_after_s,omitempty"`
	Silent     bool   `json:"silent,omitempty"`
}

// EncodeOutcome writes a decider's reply. Part of a second counts as a whole.
func EncodeOutcome(o actors.Outcome) ([]byte, error) {
	seconds := int64((o.RetryAfter + time.Second - 1) / time.Second)
	return marshal(outcomeLine{V: Version, Taken: o.Taken, Status: o.Status, Reason: o.Reason, RetryAfter: seconds, Silent: o.Silent})
}

// DecodeOutcome reads what [EncodeOutcome] wrote.
func DecodeOutcome(b []byte) (actors.Outcome, error) {
	var l outcomeLine
	if err := unmarshal(b, &l); err != nil {
		return actors.Outcome{}, err
	}
	o := actors.Outcome{Taken: l.Taken, Status: l.Status, Reason: l.Reason, RetryAfter: time.Duration(l.RetryAfter) * time.Second, Silent: l.Silent}
	if !o.Taken && (o.Status < 300 || o.Status > 699) {
		return actors.Outcome{}, fmt.Errorf("%w: neither taken nor a final failure: status %d", ErrMalformed, o.Status)
	}
	return o, spoken(l.V)
}

// EncodeTaken writes a media node's reply to a job.
func EncodeTaken(t actors.Taken) ([]byte, error) {
	t.V = Version
	return marshal(t)
}

// DecodeTaken reads what [EncodeTaken] wrote.
func DecodeTaken(b []byte) (actors.Taken, error) {
	var t actors.Taken
	if err := unmarshal(b, &t); err != nil {
		return t, err
	}
	return t, spoken(t.V)
}

// A Delivery is what became of an in-dialog message at a media node, or of a
// request of ours at an edge.
type Delivery string

// Deliveries.
const (
	Delivered Delivery = "ok"
	NotMine   Delivery = "not_mine"
	Busy      Delivery = "busy"
	NotSent   Delivery = "not_sent" // by that edge
)

type deliveryLine struct {
	V      int      `json:"v"`
	Result Delivery `json:"result"`
}

// EncodeDelivery writes a node's reply to a message of a dialog.
func EncodeDelivery(d Delivery) ([]byte, error) {
	return marshal(deliveryLine{V: Version, Result: d})
}

// DecodeDelivery reads what [EncodeDelivery] wrote.
func DecodeDelivery(b []byte) (Delivery, error) {
	var l deliveryLine
	if err := unmarshal(b, &l); err != nil {
		return "", err
	}
	switch l.Result {
	case Delivered, NotMine, Busy, NotSent:
		return l.Result, spoken(l.V)
	}
	return "", fmt.Errorf("%w: result %.20q", ErrMalformed, l.Result)
}

type holderLine struct {
	V    int       `json:"v"`
	Slot call.Slot `json:"slot"`
}

// EncodeHolder writes a media node's "the call is mine, at this slot".
func EncodeHolder(slot call.Slot) ([]byte, error) {
	return marshal(holderLine{V: Version, Slot: slot})
}

// DecodeHolder reads what [EncodeHolder] wrote.
func DecodeHolder(b []byte) (call.Slot, error) {
	var l holderLine
	if err := unmarshal(b, &l); err != nil {
		return 0, err
	}
	return l.Slot, spoken(l.V)
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return b, nil
}

func unmarshal(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, shape(err))
	}
	return nil
}
