// Package token signs what routes a dialog's messages: the 32 characters in our
// tags, Contact users and Via branches. With one, any edge finds the media node
// of a dialog without looking anything up; without a valid one, it knows that no
// such dialog is ours.
//
// A token is 20 bytes in lower-case base32hex, which is a legal SIP token and
// survives peers that fold case:
//
//	b0      version (4 bits), key id (4 bits)
//	b1      kind: C call, R stateless reject, V Via branch, N nonce
//	b2-3    node slot
//	b4-11   call id
//	b12-19  HMAC-SHA256(key[key id], b0..b11 || Call-ID), first 8 bytes
//
// The MAC covers the Call-ID: a token that is replayed on another Call-ID does
// not open. It proves that we wrote the token, not who sent the message.
package token

import (
	"crypto/hmac"
	"encoding/base32"
	"encoding/binary"
	"strconv"
	"strings"

	"patchbay/actors/call"
)

// Size is the length of a token in characters.
const Size = 32

const (
	version   = 1
	signed    = 12 // octets under the MAC, before the Call-ID
	binSize   = 20
	magic     = "z9hG4bK" // RFC 3261 8.1.1.7
	separator = '-'       // between token and counter of a branch
)

var encoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// A Kind says what a token stands for.
type Kind byte

// Kinds.
const (
	Call   Kind = 'C' // our tag and Contact in a call's dialog
	Reject Kind = 'R' // our To-tag on a stateless rejection
	Via    Kind = 'V' // the branch of a request of ours
	Nonce  Kind = 'N' // digest nonces and registrations
)

func (k Kind) known() bool { return k == Call || k == Reject || k == Via || k == Nonce }

// A Token is what a valid token says. It holds no secret.
type Token struct {
	Kind Kind
	Slot call.Slot
	ID   call.ID
}

// Mint returns the token of a call under the current key. It allocates the
// string and nothing else.
func (k *Keys) Mint(kind Kind, slot call.Slot, id call.ID, callID string) string {
	var text [Size]byte
	k.mint(text[:], kind, slot, id, callID)
	return string(text[:])
}

// Reject returns the To-tag of a stateless rejection. It is the same for every
// copy of a request (RFC 3261 8.2.7), so that any edge knows the ACK and drops it.
func (k *Keys) Reject(callID string) string { return k.Mint(Reject, 0, 0, callID) }

// Branch returns the Via branch of a call's nth request: the magic cookie, a
// token of kind Via, a hyphen and n.
func (k *Keys) Branch(slot call.Slot, id call.ID, callID string, n uint32) string {
	var text [len(magic) + Size + 1 + 10]byte
	copy(text[:], magic)
	k.mint(text[len(magic):len(magic)+Size], Via, slot, id, callID)
	text[len(magic)+Size] = separator
	return string(strconv.AppendUint(text[:len(magic)+Size+1], uint64(n), 10))
}

// Open reads a token, in a tag for example. It reports false for anything that
// no live key of ours signed for this Call-ID. Letter case does not matter, and
// the time it takes does not tell how much of a MAC was right.
func (k *Keys) Open(token, callID string) (Token, bool) {
	var b [binSize]byte
	if !decode(b[:], token) || b[0]>>4 != version || !Kind(b[1]).known() {
		return Token{}, false
	}
	m := k.live(b[0] & 0x0f)
	if m == nil {
		return Token{}, false
	}
	want := m.sum(b[:signed], callID)
	if !hmac.Equal(want[:], b[signed:]) {
		return Token{}, false
	}
	return Token{
		Kind: Kind(b[1]),
		Slot: call.Slot(binary.BigEndian.Uint16(b[2:])),
		ID:   call.ID(binary.BigEndian.Uint64(b[4:])),
	}, true
}

// OpenBranch reads what [Keys.Branch] wrote, and which of the call's requests
// it was. The branch of anybody else reports false.
func (k *Keys) OpenBranch(branch, callID string) (t Token, n uint32, ok bool) {
	if len(branch) < len(magic)+Size+2 || !strings.EqualFold(branch[:len(magic)], magic) || branch[len(magic)+Size] != separator {
		return Token{}, 0, false
	}
	count, err := strconv.ParseUint(branch[len(magic)+Size+1:], 10, 32)
	if err != nil {
		return Token{}, 0, false
	}
	t, ok = k.Open(branch[len(magic):len(magic)+Size], callID)
	if !ok || t.Kind != Via {
		return Token{}, 0, false
	}
	return t, uint32(count), true
}

// OpenURIUser reads the user part of our own Contact, as it comes back in the
// Request-URI of in-dialog requests. Only tokens of calls are ever there.
func (k *Keys) OpenURIUser(user, callID string) (Token, bool) {
	t, ok := k.Open(user, callID)
	if !ok || t.Kind != Call {
		return Token{}, false
	}
	return t, true
}

// mint writes the token's Size characters to text.
func (k *Keys) mint(text []byte, kind Kind, slot call.Slot, id call.ID, callID string) {
	var b [binSize]byte
	b[0] = version<<4 | k.current.id
	b[1] = byte(kind)
	binary.BigEndian.PutUint16(b[2:], uint16(slot))
	binary.BigEndian.PutUint64(b[4:], uint64(id))
	sum := k.current.sum(b[:signed], callID)
	copy(b[signed:], sum[:])
	encoding.Encode(text, b[:])
}

// decode reads Size base32hex characters of either case into b.
func decode(b []byte, token string) bool {
	if len(token) != Size {
		return false
	}
	var text [Size]byte
	for i := range text {
		c := token[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		text[i] = c
	}
	n, err := encoding.Decode(b, text[:])
	return err == nil && n == binSize
}
