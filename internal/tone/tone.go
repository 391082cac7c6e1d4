// Package tone makes and measures tones, and holds the G.711 codecs. The test
// caller and the tests use it; in calls, media/rtp finds keys with it, makes
// keys, ringing and the comfort tone, and its table between the two laws. It
// encodes nothing that is said in a call.
package tone

import "math"

// FullScale is the amplitude of the loudest sine that int16 holds.
const FullScale = 32767

// An Oscillator makes a sine without breaks from one call of Fill to the next.
type Oscillator struct {
	step, phase, amplitude float64
}

// NewOscillator returns a sine of freq Hz at rate samples a second, 10 dB below
// full scale.
func NewOscillator(freq float64, rate int) *Oscillator {
	return &Oscillator{step: 2 * math.Pi * freq / float64(rate), amplitude: FullScale * 0.316}
}

// Fill writes the next len(pcm) samples.
func (o *Oscillator) Fill(pcm []int16) {
	for i := range pcm {
		pcm[i] = int16(math.Round(o.amplitude * math.Sin(o.phase)))
		o.phase += o.step
		if o.phase >= 2*math.Pi {
			o.phase -= 2 * math.Pi
		}
	}
}

// Generate returns n samples of a sine of freq Hz at rate samples a second, 10
// dB below full scale.
func Generate(freq float64, rate, n int) []int16 {
	pcm := make([]int16, n)
	NewOscillator(freq, rate).Fill(pcm)
	return pcm
}

// Detect returns the amplitude of the sine at freq Hz in pcm, in units of a
// sample, by the Goertzel algorithm. The resolution is rate/len(pcm) Hz: 50 ms
// tell tones apart that differ by 20 Hz.
func Detect(pcm []int16, freq float64, rate int) float64 {
	if len(pcm) == 0 {
		return 0
	}
	coefficient := 2 * math.Cos(2*math.Pi*freq/float64(rate))
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)+coefficient*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - coefficient*s1*s2
	return 2 * math.Sqrt(max(power, 0)) / float64(len(pcm))
}

// Share returns how much of the energy of pcm lies at freq Hz, from 0 to about
// 1. A clean tone gives over 0.9, noise less than 0.3, silence 0.
func Share(pcm []int16, freq float64, rate int) float64 {
	var energy float64
	for _, v := range pcm {
		energy += float64(v) * float64(v)
	}
	if energy < float64(len(pcm)) || energy == 0 { // below one bit: silence
		return 0
	}
	amplitude := Detect(pcm, freq, rate)
	return amplitude * amplitude / 2 * float64(len(pcm)) / energy
}

// Level returns the root mean square of pcm in dB relative to full scale, -96
// for silence.
func Level(pcm []int16) float64 {
	var energy float64
	for _, v := range pcm {
		energy += float64(v) * float64(v)
	}
	if energy == 0 {
		return -96
	}
	return max(-96, 10*math.Log10(energy/float64(len(pcm))/(FullScale*FullScale)))
}
