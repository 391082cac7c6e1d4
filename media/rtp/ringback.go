package rtp

import (
	"math"
	"sync"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
)

// A cadence is one round of a ringing tone: pairs of frames of 20 ms with the
// tone and without, and the tone's frequencies, Hz (ITU-T E.180 supplement 2).
type cadence struct {
	tones  []float64
	rhythm []int
}

var cadences = map[string]cadence{
	"us": {[]float64{440, 480}, []int{100, 200}},
	"eu": {[]float64{425}, []int{50, 200}},
	"uk": {[]float64{400, 450}, []int{20, 10, 20, 100}},
}

// ringLevel is the amplitude of each frequency, 22 dB below full scale: with two,
// what a carrier's own tone has.
const ringLevel = tone.FullScale / 12.6

var encoders = map[string]struct {
	rate   int
	encode func([]int16) []byte
}{
	"PCMU": {8000, tone.EncodePCMU},
	"PCMA": {8000, tone.EncodePCMA},
	"G722": {16000, func(pcm []int16) []byte { return g722.NewEncoder().Append(nil, pcm) }},
}

// rings are the rounds by country and codec, each made when it is first asked
// for.
var rings = func() map[[2]string]func() [][]byte {
	all := map[[2]string]func() [][]byte{}
	for country, c := range cadences {
		for codec, e := range encoders {
			all[[2]string{country, codec}] = sync.OnceValue(func() [][]byte { return frames(e.encode(c.round(e.rate))) })
		}
	}
	return all
}()

// Ringback returns one round of the ringing tone of a country, us, eu or uk, in
// a codec, by its canonical name, as payloads of 20 ms each. Nil: the country is
// not known, or there is no encoder for the codec, as for Opus. It is shared: do
// not write to it.
func Ringback(country, codec string) [][]byte {
	if round := rings[[2]string{country, codec}]; round != nil {
		return round()
	}
	return nil
}

func (c cadence) round(rate int) (pcm []int16) {
	for i, count := range c.rhythm {
		for n := range count * rate / 50 {
			v := 0.0
			for _, f := range c.tones {
				v += ringLevel * math.Sin(2*math.Pi*f*float64(n)/float64(rate))
			}
			if i%2 == 1 {
				v = 0
			}
			pcm = append(pcm, int16(v))
		}
	}
	return pcm
}
