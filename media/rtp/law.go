package rtp

import (
	"strings"
	"sync"

	"patchbay/internal/tone"
)

// A Law turns the octets of one law of G.711 into those of the other: one for
// one, so that packets keep their size and their time. Nil changes nothing.
type Law [256]byte

var (
	muToA = sync.OnceValue(func() *Law { return newLaw(tone.DecodePCMU, tone.EncodePCMA) })
	aToMu = sync.OnceValue(func() *Law { return newLaw(tone.DecodePCMA, tone.EncodePCMU) })
)

func newLaw(decode func([]byte) []int16, encode func([]int16) []byte) *Law {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	return (*Law)(encode(decode(all[:])))
}

// LawBetween returns what turns audio of codec from into that of codec to, or
// nil where they are one codec, or are not the two laws of G.711.
func LawBetween(from, to string) *Law {
	switch {
	case strings.EqualFold(from, "PCMU") && strings.EqualFold(to, "PCMA"):
		return muToA()
	case strings.EqualFold(from, "PCMA") && strings.EqualFold(to, "PCMU"):
		return aToMu()
	}
	return nil
}

// Apply turns a payload, in its own memory.
func (l *Law) Apply(payload []byte) {
	if l == nil {
		return
	}
	for i, b := range payload {
		payload[i] = l[b]
	}
}

// Frames returns copies of payloads, turned.
func (l *Law) Frames(payloads [][]byte) [][]byte {
	if l == nil || payloads == nil {
		return payloads
	}
	turned := make([][]byte, len(payloads))
	for i, p := range payloads {
		turned[i] = append([]byte(nil), p...)
		l.Apply(turned[i])
	}
	return turned
}
