package envelope

import (
	"encoding/json"
	"fmt"

	"patchbay/actors"
	"patchbay/actors/call"
	"patchbay/actors/endpoint"
)

type ledHead struct {
	V         int             `json:"v"`
	To        endpoint.Key    `json:"to"`
	Partition uint8           `json:"partition"`
	Owner     string          `json:"owner,omitempty"`
	Invite    endpoint.Invite `json:"invite"`
	Flow      call.Flow       `json:"flow"`
}

func (h *ledHead) version() int { return h.V }

// EncodeLed writes an INVITE to a number for the owner of the endpoint that the
// number leads to.
func EncodeLed(l actors.Led) ([]byte, error) {
	line, err := json.Marshal(ledHead{V: Version, To: l.To, Partition: l.Partition, Owner: l.Owner, Invite: l.Invite, Flow: l.Packet.Flow})
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	return append(append(line, '\n'), l.Packet.Raw...), nil
}

// DecodeLed reads what [EncodeLed] wrote. The packet's bytes are part of b.
func DecodeLed(b []byte) (actors.Led, error) {
	var h ledHead
	raw, err := decode(b, &h)
	return actors.Led{To: h.To, Partition: h.Partition, Owner: h.Owner, Invite: h.Invite, Packet: call.Packet{Flow: h.Flow, Raw: raw}}, err
}
