package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"patchbay/internal/keys"
)

// Sizes of the format, bytes.
const (
	headSize  = 24
	saltAt    = 8
	frameHead = 4
	tagSize   = 16

	version = 1
)

// MaxEntry is the largest entry, bytes; a message of NATS has at most half of
// it.
const MaxEntry = 512 << 10

// magic begins every segment.
var magic = [4]byte{'P', 'B', 'S', 'P'}

// A Kind is what a segment holds.
type Kind uint8

// Kinds of entries.
const (
	Events    Kind = 1
	Records   Kind = 2
	Snapshots Kind = 3 // of live calls
)

// String is the kind as it stands in file names, logs and metrics.
func (k Kind) String() string {
	switch k {
	case Events:
		return "events"
	case Records:
		return "records"
	case Snapshots:
		return "snapshots"
	}
	return unknown
}

const unknown = "unknown"

// ErrUnreadable says that nothing of a segment can be read: it is none, or the
// cluster key that sealed it is not here.
var ErrUnreadable = errors.New("unreadable segment")

// A sealer seals the entries of one segment.
type sealer struct {
	head []byte
	aead cipher.AEAD
	next uint64 // number of the next entry
}

// newSealer makes the head and the key of a new segment.
func newSealer(kind Kind, key keys.Derived) (*sealer, error) {
	head := make([]byte, headSize)
	copy(head, magic[:])
	head[4], head[5], head[6] = version, byte(kind), key.ID
	if _, err := rand.Read(head[saltAt:]); err != nil {
		return nil, err
	}
	aead, err := segmentKey(head, key)
	return &sealer{head: head, aead: aead}, err
}

// segmentKey is the key of the segment with that head.
func segmentKey(head []byte, key keys.Derived) (cipher.AEAD, error) {
	secret := key.Secret.Reveal()
	own, err := hkdf.Key(sha256.New, secret[:], head[saltAt:headSize], "patchbay/v1/spool", keys.Size)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// frame seals one entry.
func (s *sealer) frame(data []byte) []byte {
	out := make([]byte, frameHead, frameHead+len(data)+tagSize)
	binary.BigEndian.PutUint32(out, uint32(len(data)+tagSize))
	out = s.aead.Seal(out, nonce(s.next), data, s.head)
	s.next++
	return out
}

// nonce is the entry's number. No two segments share a key, so no two entries
// share key and nonce.
func nonce(n uint64) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[4:], n)
	return b
}

// Read returns the entries of one segment, given as its bytes, in their order.
// damaged counts the entries that were changed and the tail, if it is cut off
// or makes no sense: both are skipped. The error wraps [ErrUnreadable].
func Read(segment []byte, cluster *keys.Cluster) (kind Kind, entries [][]byte, damaged int, err error) {
	if len(segment) < headSize || [4]byte(segment[:4]) != magic || segment[4] != version {
		return 0, nil, 0, fmt.Errorf("%w: it does not begin like one of version %d", ErrUnreadable, version)
	}
	head := segment[:headSize]
	if kind = Kind(head[5]); kind.String() == unknown {
		return 0, nil, 0, fmt.Errorf("%w: of kind %d", ErrUnreadable, kind)
	}
	key, err := keyOf(cluster, head[6])
	if err != nil {
		return kind, nil, 0, err
	}
	aead, err := segmentKey(head, key)
	if err != nil {
		return kind, nil, 0, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	number := uint64(0)
	rest := frames(segment[headSize:], func(sealed []byte) {
		data, err := aead.Open(nil, nonce(number), sealed, head)
		number++
		if err != nil {
			damaged++
			return
		}
		entries = append(entries, data)
	})
	if rest > 0 {
		damaged++
	}
	return kind, entries, damaged, nil
}

func keyOf(cluster *keys.Cluster, id uint8) (keys.Derived, error) {
	key := cluster.Derive(keys.Storage)
	if previous, ok := cluster.Previous(keys.Storage); ok && previous.ID == id {
		key = previous
	}
	if key.ID != id {
		return key, fmt.Errorf("%w: the cluster key of id %d is not here", ErrUnreadable, id)
	}
	return key, nil
}

// frames calls each with every whole sealed entry of a segment behind its
// head, and returns how many bytes are left that are none.
func frames(b []byte, each func(sealed []byte)) (rest int) {
	for len(b) >= frameHead {
		n := int64(binary.BigEndian.Uint32(b))
		if n < tagSize || n > MaxEntry+tagSize || n > int64(len(b)-frameHead) {
			break
		}
		each(b[frameHead : frameHead+n])
		b = b[frameHead+n:]
	}
	return len(b)
}
