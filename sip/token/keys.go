package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// MaxKeyID is the largest key id: it has four bits in the token.
const MaxKeyID = 15

// A Key is one signing key: 32 bytes derived from the cluster key, and the id
// that tokens carry. It redacts itself.
type Key struct {
	ID     uint8
	Secret [32]byte
}

// String hides the secret.
func (k Key) String() string { return fmt.Sprintf("token key %d", k.ID) }

// GoString keeps %#v as safe as %v.
func (k Key) GoString() string { return k.String() }

// Keys mint and open tokens. They are safe for concurrent use.
type Keys struct {
	current  *mac
	previous *mac // nil: no rotation under way
}

// NewKeys returns Keys that sign with current. Tokens of previous still open
// while a rotation is under way; nil means there is none.
func NewKeys(current Key, previous *Key) (*Keys, error) {
	if current.ID > MaxKeyID || previous != nil && previous.ID > MaxKeyID {
		return nil, fmt.Errorf("token: key id is over %d", MaxKeyID)
	}
	k := &Keys{current: newMAC(current)}
	if previous != nil {
		if previous.ID == current.ID {
			return nil, errors.New("token: two live keys have the same id")
		}
		k.previous = newMAC(*previous)
	}
	return k, nil
}

// live returns the key of an id, or nil.
func (k *Keys) live(id uint8) *mac {
	switch {
	case id == k.current.id:
		return k.current
	case k.previous != nil && id == k.previous.id:
		return k.previous
	}
	return nil
}

// A mac computes MACs under one key. States are pooled, so that a token costs
// no allocation and no lock.
type mac struct {
	id   uint8
	pool sync.Pool
}

type macState struct {
	hash hash.Hash
	text []byte // head and Call-ID
	sum  [sha256.Size]byte
}

func newMAC(k Key) *mac {
	return &mac{id: k.ID, pool: sync.Pool{New: func() any {
		return &macState{hash: hmac.New(sha256.New, k.Secret[:]), text: make([]byte, 0, 256)}
	}}}
}

// sum returns the first 8 bytes of the MAC of head followed by callID.
func (m *mac) sum(head []byte, callID string) (out [binSize - signed]byte) {
	s := m.pool.Get().(*macState)
	s.text = append(append(s.text[:0], head...), callID...)
	s.hash.Reset()
	_, _ = s.hash.Write(s.text)
	copy(out[:], s.hash.Sum(s.sum[:0]))
	m.pool.Put(s)
	return out
}
