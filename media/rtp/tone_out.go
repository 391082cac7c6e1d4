package rtp

import (
	"math"
	"sync"
	"time"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
)

// Levels of tones that are sent, below 0 dBm0: the column is louder, for lines
// take more of it (ETSI ES 201 235-2).
const (
	rowLevel    = 10
	columnLevel = 8
)

var keyTones = map[string]func() *[16][][]byte{
	"PCMU": sync.OnceValue(func() *[16][][]byte { return allTones(8000, tone.EncodePCMU) }),
	"PCMA": sync.OnceValue(func() *[16][][]byte { return allTones(8000, tone.EncodePCMA) }),
	"G722": sync.OnceValue(func() *[16][][]byte {
		return allTones(16000, func(pcm []int16) []byte { return g722.NewEncoder().Append(nil, pcm) })
	}),
}

// KeyTones reports whether keys can be sent as tones in a codec, by its
// canonical name: there is no encoder for Opus.
func KeyTones(codec string) bool { return keyTones[codec] != nil }

// Tone returns the payload of 20 ms in which a key sounds instead of its
// telephone-event, or of silence after it; nil: the codec has none. It is
// shared: do not write to it.
func (f EventFrame) Tone(codec string) []byte {
	all := keyTones[codec]
	switch {
	case all == nil:
		return nil
	case f.Again:
		return Silence(codec)
	}
	return all()[f.Code][f.Held/eventStep-1]
}

func allTones(rate int, encode func([]int16) []byte) *[16][][]byte {
	var all [16][][]byte
	for row, codes := range toneKeys {
		for column, code := range codes {
			all[code] = frames(encode(keyTone(rate, toneRows[row], toneColumns[column])))
		}
	}
	return &all
}

// keyTone is one key for as long as it is held.
func keyTone(rate, row, column int) []int16 {
	const loudest = 22303 // amplitude of 0 dBm0
	pcm := make([]int16, int(eventHold*time.Duration(rate)/time.Second))
	for i := range pcm {
		t := 2 * math.Pi * float64(i) / float64(rate)
		pcm[i] = int16(loudest * (math.Pow(10, -rowLevel/20.)*math.Sin(float64(row)*t) + math.Pow(10, -columnLevel/20.)*math.Sin(float64(column)*t)))
	}
	return pcm
}
