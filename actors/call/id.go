package call

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
)

// An ID names one call in the whole cluster: 64 random bits. It is no secret.
type ID uint64

var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// String returns the id as 13 lower-case base32hex characters, as it appears
// in subjects, events, records and logs.
func (id ID) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return strings.ToLower(idEncoding.EncodeToString(b[:]))
}

// ParseID reads what [ID.String] wrote.
func ParseID(s string) (ID, error) {
	b, err := idEncoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != 8 {
		return 0, fmt.Errorf("%q is no call id: want 13 base32hex characters", s)
	}
	return ID(binary.BigEndian.Uint64(b)), nil
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	v, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// A Slot is a media node's number in the cluster. It travels in the token, so
// that any edge finds the node that carries a dialog.
type Slot uint16

// A TransactionKey is what makes two copies of an initial INVITE the same:
// Call-ID, From-tag and CSeq number (RFC 3261 8.2.2.2).
type TransactionKey struct {
	CallID  string `json:"call_id"`
	FromTag string `json:"from_tag"`
	CSeq    uint32 `json:"cseq"`
}
