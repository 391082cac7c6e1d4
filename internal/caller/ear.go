package caller

import (
	"maps"
	"slices"

	"patchbay/actors/call"
	"patchbay/internal/g722"
	"patchbay/internal/tone"
)

// A coder turns samples into the payload of one codec and back. G.722 keeps
// state, so a call makes its own.
type coder struct {
	rate   int // samples a second, Hz
	encode func([]int16) []byte
	decode func([]byte) []int16
}

// A speech is a codec this caller speaks.
type speech struct {
	codec  call.Codec
	make   func() coder
	opaque bool // no encoder: payloads come from the options
}

var speeches = map[string]speech{
	"PCMU": {codec: call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000},
		make: func() coder { return coder{8000, tone.EncodePCMU, tone.DecodePCMU} }},
	"PCMA": {codec: call.Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000},
		make: func() coder { return coder{8000, tone.EncodePCMA, tone.DecodePCMA} }},
	"G722": {codec: call.Codec{PayloadType: 9, Name: "G722", ClockRate: 8000}, make: newG722},
	"opus": {codec: call.Codec{PayloadType: 111, Name: "opus", ClockRate: 48000, Channels: 2},
		make: func() coder { return coder{rate: 48000, decode: func([]byte) []int16 { return nil }} }, opaque: true},
}

func newG722() coder {
	enc, dec := g722.NewEncoder(), g722.NewDecoder()
	return coder{16000,
		func(pcm []int16) []byte { return enc.Append(nil, pcm) },
		func(b []byte) []int16 { return dec.Append(nil, b) }}
}

func codecNames() []string { return slices.Sorted(maps.Keys(speeches)) }

// An ear listens for one tone, in slices of 5 ms. A tone begins after at least
// 50 ms without it.
type ear struct {
	freq    float64
	rate    int
	rest    []int16
	hearing bool
	quiet   int // slices without the tone
}

const quietSlices = 10

func newEar(freq float64, rate int) ear { return ear{freq: freq, rate: rate, quiet: quietSlices} }

// onset reports whether the tone began in these samples.
func (e *ear) onset(samples []int16) bool {
	began := false
	size := e.rate * int(slice.Milliseconds()) / 1000
	e.rest = append(e.rest, samples...)
	for len(e.rest) >= size {
		heard := tone.Detect(e.rest[:size], e.freq, e.rate) > audible
		e.rest = e.rest[size:]
		switch {
		case heard && !e.hearing && e.quiet >= quietSlices:
			e.hearing, e.quiet, began = true, 0, true
		case heard:
			e.hearing, e.quiet = true, 0
		default:
			e.quiet++
			e.hearing = e.hearing && e.quiet < quietSlices
		}
	}
	return began
}

func peak(samples []int16) float64 {
	top := 0
	for _, s := range samples {
		top = max(top, int(s), -int(s))
	}
	return float64(top)
}
