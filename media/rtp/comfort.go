package rtp

import (
	"math"
	"sync"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
)

// Comfort is what a caller hears while it waits for another agent: every two
// seconds a soft tone over soft noise, so that the line does not seem dead.
const (
	comfortFrames = 100 // of 20 ms, in one round
	comfortBeep   = 15  // of them, with the tone
	// ComfortTone is its frequency, Hz.
	ComfortTone  = 425
	comfortLevel = tone.FullScale / 16 // 24 dB below full scale
	comfortNoise = 24                  // amplitude, 63 dB below full scale
)

var comfort = map[string]func() [][]byte{
	"PCMU": sync.OnceValue(func() [][]byte { return frames(tone.EncodePCMU(comfortRound(8000))) }),
	"PCMA": sync.OnceValue(func() [][]byte { return frames(tone.EncodePCMA(comfortRound(8000))) }),
	"G722": sync.OnceValue(func() [][]byte { return frames(g722.NewEncoder().Append(nil, comfortRound(16000))) }),
}

// Comfort returns one round of comfort in a codec, by its canonical name, as
// payloads of 20 ms each. There is no encoder for Opus: its round is one frame
// of silence. Nil: the codec is not known. It is shared: do not write to it.
func Comfort(codec string) [][]byte {
	if round := comfort[codec]; round != nil {
		return round()
	}
	if silence := Silence(codec); silence != nil {
		return [][]byte{silence}
	}
	return nil
}

func comfortRound(rate int) []int16 {
	pcm := make([]int16, comfortFrames*rate/50)
	noise := uint32(1)
	for i := range pcm {
		noise = noise*1664525 + 1013904223 // Numerical Recipes' generator: the same round in every process
		v := float64(int32(noise)) / math.MaxInt32 * comfortNoise
		if i < comfortBeep*rate/50 {
			v += comfortLevel * math.Sin(2*math.Pi*ComfortTone*float64(i)/float64(rate))
		}
		pcm[i] = int16(v)
	}
	return pcm
}

// frames cuts a round; each of the three codecs has 64 kbit/s.
func frames(payload []byte) [][]byte {
	const size = 160
	var list [][]byte
	for ; len(payload) >= size; payload = payload[size:] {
		list = append(list, payload[:size])
	}
	return list
}
