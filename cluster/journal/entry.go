package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"patchbay/actors"
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

// Versions of an entry. The first one had no snapshot and was not sealed; it
// is still read.
const (
	entryVersion = 2
	entryPlain   = 1
)

// A Head is what an entry says to everybody who may read the bucket: whose
// call it is, never what is said in it.
type Head struct {
	V     int       `json:"v"`
	Epoch uint64    `json:"epoch"` // rises with each owner
	State State     `json:"state"`
	Node  string    `json:"node"` // the owner
	Boot  uint64    `json:"boot"` // the owner's start
	Slot  call.Slot `json:"slot,omitempty"`
}

// An Entry is what the bucket calls holds of one call: a line of JSON, a line
// feed, and the rest sealed with the snapshot key, bound to the line and to
// the call's id.
type Entry struct {
	Head
	Snapshot *actors.Snapshot // of a live call; nil in entries of version 1
	Record   call.Record      // a tombstone's is whole; a live one's is what is known so far
}

// An entryPlainLine is an entry of version 1.
type entryPlainLine struct {
	Head
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

// encodeEntry writes an entry as the bucket holds it.
func (j *Journal) encodeEntry(e Entry) ([]byte, error) {
	e.V = entryVersion
	head, err := json.Marshal(e.Head)
	if err != nil {
		return nil, err
	}
	var text []byte
	if e.State == Live {
		text, err = fitting(e.Snapshot)
	} else {
		text, err = encodeRecord(e.Record)
	}
	if err != nil {
		return nil, err
	}
	sealed, err := j.vault.Seal(text, bound(e.Record.ID, head))
	if err != nil {
		return nil, err
	}
	return append(append(head, '\n'), sealed...), nil
}

// fitting encodes a snapshot; one that is too long goes without the agents
// that would be asked after the one that has the call.
func fitting(s *actors.Snapshot) ([]byte, error) {
	text, err := envelope.EncodeSnapshot(s)
	if err != nil || len(text) <= maxSnapshot {
		return text, err
	}
	lean := *s
	lean.Job.Failover = nil
	return envelope.EncodeSnapshot(&lean)
}

// bound is what a sealed entry is tied to: put elsewhere, or under another
// head, it cannot be opened.
func bound(id call.ID, head []byte) []byte {
	return append([]byte(subject.KeyCall(id)+"\n"), head...)
}

// peek reads the head of an entry alone. The error wraps ErrRefused.
func peek(data []byte) (Head, error) {
	var h Head
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if err := json.Unmarshal(line, &h); err != nil {
		return h, fmt.Errorf("%w: not the JSON that was expected", ErrRefused)
	}
	if h.V != entryPlain && h.V != entryVersion || h.State != Live && h.State != Ended {
		return h, fmt.Errorf("%w: an entry of version %d, state %.20q; this release reads versions %d and %d", ErrRefused, h.V, h.State, entryPlain, entryVersion)
	}
	return h, nil
}

// decodeEntry reads what encodeEntry wrote, and entries of version 1.
func (j *Journal) decodeEntry(id call.ID, data []byte) (*Entry, error) {
	h, err := peek(data)
	if err != nil {
		return nil, err
	}
	line, sealed, _ := bytes.Cut(data, []byte("\n"))
	if h.V == entryPlain {
		var e entryPlainLine
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return &Entry{Head: h, Record: e.Record}, nil
	}
	text, err := j.vault.Open(sealed, bound(id, line))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	e := &Entry{Head: h}
	if h.State == Ended {
		e.Record, err = decodeRecord(text)
	} else if e.Snapshot, err = envelope.DecodeSnapshot(text); err == nil {
		e.Record = e.Snapshot.Record
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return e, nil
}

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
		return call.Record{}, fmt.Errorf("decode record: of version %d, this release reads %d", r.V, envelope.Version)
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
