package envelope

import (
	"fmt"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/cluster/placement"
)

// A Beat is a node's sign of life in one role. A media node's also says what
// it carries: a whole beat everything, in Parts if it is long; a delta only
// what began and ended since the beat before.
type Beat struct {
	V        int           `json:"v"`
	Role     string        `json:"role"`
	Node     string        `json:"node"`
	Boot     uint64        `json:"boot"` // of this incarnation
	Seq      uint64        `json:"seq"`  // of the node's beats, without gaps
	Leaving  bool          `json:"leaving,omitempty"`
	Draining bool          `json:"draining,omitempty"`
	Slot     call.Slot     `json:"slot,omitempty"`
	Capacity int           `json:"capacity,omitempty"`
	Claims   placement.Set `json:"claims,omitzero"` // of an actor node: partitions whose caps it keeps
	Delta    bool          `json:"delta,omitempty"` // Calls began, Ended ended
	Part     int           `json:"part,omitempty"`  // of a whole beat, from 1
	Parts    int           `json:"parts,omitempty"`
	Calls    CallLists     `json:"calls,omitempty"`
	Ended    CallLists     `json:"ended,omitempty"`
	Young    []call.Mark   `json:"young,omitempty"` // of calls whose INVITE may still have copies; of a delta, those that are new or changed
}

// CallLists are ids of calls by the key they count for.
type CallLists map[endpoint.Key][]call.ID

// EncodeBeat writes a heartbeat.
func EncodeBeat(b Beat) ([]byte, error) {
	b.V = Version
	return marshal(b)
}

// DecodeBeat reads what [EncodeBeat] wrote.
func DecodeBeat(data []byte) (Beat, error) {
	var b Beat
	if err := unmarshal(data, &b); err != nil {
		return b, err
	}
	if err := spoken(b.V); err != nil {
		return b, err
	}
	if b.Node == "" || b.Role == "" || b.Part < 0 || b.Part > b.Parts {
		return b, fmt.Errorf("%w: beat of role %.20q, part %d of %d", ErrMalformed, b.Role, b.Part, b.Parts)
	}
	return b, nil
}

// Split cuts lists into parts of at most limit bytes of JSON each, give or take
// one key; there is at least one part.
func Split(lists CallLists, limit int) []CallLists {
	const perKey, perID = 32, 16 // "<26>":[],  and "<13>",
	parts := []CallLists{{}}
	size := 0
	for key, ids := range lists {
		for len(ids) > 0 {
			if size+perKey+perID > limit && size > 0 {
				parts = append(parts, CallLists{})
				size = 0
			}
			n := min(len(ids), max((limit-size-perKey)/perID, 1))
			last := parts[len(parts)-1]
			last[key] = append(last[key], ids[:n]...)
			ids = ids[n:]
			size += perKey + n*perID
		}
	}
	return parts
}
