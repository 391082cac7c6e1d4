package call

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
)

// A Mark is what a media node tells the others of a call that is young enough
// for a copy of its INVITE to have begun another one: never the transaction
// key itself.
type Mark struct {
	Digest  uint64 // of the transaction key
	Settled bool   // the carrier has acknowledged this call, or it is over
}

// Digest returns 64 bits of the key's SHA-256: a carrier cannot make another
// INVITE with the same.
func (k TransactionKey) Digest() uint64 {
	b := make([]byte, 0, 16+len(k.CallID)+len(k.FromTag))
	b = binary.BigEndian.AppendUint32(b, k.CSeq)
	b = binary.BigEndian.AppendUint32(b, uint32(len(k.CallID))) // keeps ("ab","c") apart from ("a","bc")
	b = append(append(b, k.CallID...), k.FromTag...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

const markDigits = 16

// MarshalText implements encoding.TextMarshaler: 16 hexadecimal digits, and a
// full stop if the call is settled.
func (m Mark) MarshalText() ([]byte, error) {
	b := fmt.Appendf(make([]byte, 0, markDigits+1), "%016x", m.Digest)
	if m.Settled {
		b = append(b, '.')
	}
	return b, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Mark) UnmarshalText(text []byte) error {
	settled := len(text) == markDigits+1 && text[markDigits] == '.'
	if len(text) != markDigits && !settled {
		return fmt.Errorf("mark of %d characters, want %d or one more", len(text), markDigits)
	}
	n, err := strconv.ParseUint(string(text[:markDigits]), 16, 64)
	if err != nil {
		return fmt.Errorf("mark: want %d hexadecimal digits", markDigits)
	}
	*m = Mark{n, settled}
	return nil
}
