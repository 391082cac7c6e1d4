package ultravox

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"patchbay/actors/call"
)

// CallID returns a call's id as Ultravox's clients want it, a UUID: version 8
// (RFC 9562 5.8), whose first 60 custom bits and the four after its variant are
// the id, and whose rest is zero.
func CallID(id call.ID) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(id))
	last := b[7]
	b[7] = b[6]<<4 | last>>4
	b[6] = 0x80 | b[6]>>4
	b[8] = 0x80 | last&0x0f
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseCallID reads what [CallID] wrote; false: no call of ours has that id.
func ParseCallID(text string) (call.ID, bool) {
	text = strings.ToLower(text)
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != 16 {
		return 0, false
	}
	var id [8]byte
	copy(id[:6], b[:6])
	id[6] = b[6]<<4 | b[7]>>4
	id[7] = b[7]<<4 | b[8]&0x0f
	v := call.ID(binary.BigEndian.Uint64(id[:]))
	return v, CallID(v) == text
}
