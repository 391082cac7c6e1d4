package journal

import (
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors/call"
	"patchbay/cluster/envelope"
	"patchbay/cluster/subject"
)

// A State is where an entry stands.
type State string

// States of an entry.
const (
	Live  State = "live"  // the call goes on, or its node died with it
	Ended State = "ended" // a tombstone: Record is whole
)

// An Entry is what the bucket calls holds of one call.
type Entry struct {
	V      int         `json:"v"`
	Epoch  uint64      `json:"epoch"` // rises with each owner
	State  State       `json:"state"`
	Node   string      `json:"node"` // the owner
	Boot   uint64      `json:"boot"` // the owner's start
	Record call.Record `json:"record"`
}

// firstEpoch is that of the node which took the INVITE.
const firstEpoch = 1

// A Hold is where a call's entry stood when its owner last wrote it.
type Hold struct {
	Epoch    uint64 `json:"epoch"`
	Revision uint64 `json:"revision"` // 0: not written yet, as far as the owner knows
}

// Unwritten is the Hold of a call whose entry is still to be written.
var Unwritten = Hold{Epoch: firstEpoch}

// A Record is what the stream RECORDS holds of one call.
type Record struct {
	V int `json:"v"`
	call.Record
}

// encodeRecord writes a record as the stream holds it.
func encodeRecord(rec call.Record) ([]byte, error) {
	data, err := json.Marshal(Record{envelope.Version, rec})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return data, nil
}

// decodeRecord reads what encodeRecord wrote.
func decodeRecord(data []byte) (call.Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return call.Record{}, fmt.Errorf("decode record: %w", err)
	}
	if r.V != envelope.Version {
		return call.Record{}, fmt.Errorf("decode record: of version %d", r.V)
	}
	return r.Record, nil
}

// EventRecord is the type of the event that carries a whole record.
const EventRecord = "call.record"

// announcement is that event: its id is like no other event's of the call, and
// the same whoever publishes it.
func announcement(rec call.Record) (to, id string, data []byte, err error) {
	id = rec.ID.String() + ".record"
	data, err = json.Marshal(struct {
		V        int         `json:"v"`
		ID       string      `json:"id"`
		Call     call.ID     `json:"call_id"`
		Type     string      `json:"type"`
		At       time.Time   `json:"at"`
		Tenant   string      `json:"tenant"`
		Endpoint string      `json:"endpoint"`
		Data     call.Record `json:"data"`
	}{envelope.Version, id, rec.ID, EventRecord, rec.Stages.Ended, rec.Tenant, rec.Endpoint, rec})
	if err != nil {
		return "", "", nil, fmt.Errorf("encode event %s: %w", EventRecord, err)
	}
	return subject.Event(subject.EventShard(rec.Tenant), rec.Tenant, EventRecord), id, data, nil
}
