package envelope

import (
	"encoding/json"
	"fmt"

	"patchbay/actors"
)

// EncodeSnapshot writes what another node needs to take a call over: one JSON
// line, and the bytes of the INVITE where it has no final response yet. It
// holds secrets: seal it.
func EncodeSnapshot(s *actors.Snapshot) ([]byte, error) {
	copied := *s
	copied.V = Version
	line, err := json.Marshal(copied)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return append(append(line, '\n'), s.Raw...), nil
}

// DecodeSnapshot reads what [EncodeSnapshot] wrote.
func DecodeSnapshot(b []byte) (*actors.Snapshot, error) {
	var h snapshotHead
	raw, err := decode(b, &h)
	if err != nil {
		return nil, err
	}
	s := h.Snapshot
	s.Raw = raw
	if s.Record.ID == 0 || len(s.Dialog) == 0 {
		return nil, fmt.Errorf("%w: a snapshot of no call, or without its dialog", ErrMalformed)
	}
	return &s, nil
}

type snapshotHead struct{ actors.Snapshot }

func (h *snapshotHead) version() int { return h.V }
