package hooks

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster/envelope"
)

// An item is a delivery that waits, as the stream HOOKS holds it.
type item struct {
	V       int             `json:"v"`
	ID      string          `json:"id"`
	Tenant  string          `json:"tenant"`
	Target  string          `json:"target"`
	Lane    string          `json:"lane"`
	Order   uint64          `json:"order"`
	Tries   int             `json:"tries,omitempty"`
	Born    time.Time       `json:"born"`
	Next    time.Time       `json:"next"`
	Held    bool            `json:"held,omitempty"`
	Status  int             `json:"status,omitempty"`  // of the last try
	Failure string          `json:"failure,omitempty"` // likewise
	Event   json.RawMessage `json:"event"`
}

// A mark says how far the events of a shard are taken up, and by whom.
type mark struct {
	V    int    `json:"v"`
	Node string `json:"node,omitempty"` // "": nobody's
	Boot uint64 `json:"boot,omitempty"`
	Seq  uint64 `json:"seq"` // of the event stream
}

// A member is a node that delivers, while it lives.
type member struct {
	V       int    `json:"v"`
	Node    string `json:"node"`
	Boot    uint64 `json:"boot"`
	Leaving bool   `json:"leaving,omitempty"` // it takes no shards
}

// A state is how a target does.
type state struct {
	V         int       `json:"v"`
	Unhealthy bool      `json:"unhealthy,omitempty"`
	Changed   time.Time `json:"changed,omitzero"`
	Failures  []failure `json:"failures,omitempty"` // the latest first
}

type failure struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// An entry is what became of a delivery, as the stream HOOK_LOG holds it.
type entry struct {
	V       int             `json:"v"`
	ID      string          `json:"id"`
	Tries   int             `json:"tries"`
	At      time.Time       `json:"at"`
	Status  int             `json:"status,omitempty"`
	Failure string          `json:"failure,omitempty"`
	Event   json.RawMessage `json:"event"`
}

// Ends of a delivery, as they are told of and counted.
const (
	EndDelivered = "delivered"
	EndDead      = "dead"
	EndDropped   = "dropped" // its webhook was deleted
)

// decode reads one of these.
func decode[T item | mark | member | state | entry](what string, data []byte) (v T, err error) {
	var head struct {
		V int `json:"v"`
	}
	if err = json.Unmarshal(data, &head); err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err == nil && head.V != envelope.Version {
		err = fmt.Errorf("of version %d", head.V)
	}
	if err != nil {
		return v, fmt.Errorf("read %s: %w", what, err)
	}
	return v, nil
}

// deliveryID names what one event is for one target: the same whoever writes it
// down, and however often.
func deliveryID(target, event string) string {
	sum := sha256.Sum256([]byte(target + "\n" + event))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// agentPrefix starts the name of the target that an agent's own webhook is.
const agentPrefix = "agent-"

// laneOf is whose order an event is part of: its call's, or nobody's.
func laneOf(id call.ID, event string) string {
	if id == 0 {
		return event
	}
	return id.String()
}
