package g722_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
)

func through(pcm []int16) []int16 {
	return g722.NewDecoder().Append(nil, g722.NewEncoder().Append(nil, pcm))
}

func TestToneComesBackAsTheSameTone(t *testing.T) {
	t.Parallel()
	for _, freq := range []float64{200, 440, 1000, 3000, 5000, 6500} {
		pcm := tone.Generate(freq, 16000, 16000)
		out := through(pcm)
		if len(out) != len(pcm) {
			t.Fatalf("%v Hz: %d samples in, %d out", freq, len(pcm), len(out))
		}
		if got := tone.Share(out[1600:], freq, 16000); got < 0.97 {
			t.Errorf("%v Hz: only %.3f of the energy is at the tone", freq, got)
		}
		if diff := tone.Level(out[1600:]) - tone.Level(pcm[1600:]); math.Abs(diff) > 1 {
			t.Errorf("%v Hz: level changed by %.1f dB", freq, diff)
		}
	}
}

// The recommendation's two filters delay by 22 samples; the noise of the
// quantizers must stay well under the signal.
func TestSpeechBandNoiseIsTwentyDecibelsBelowTheSignal(t *testing.T) {
	t.Parallel()
	const delay = 22
	pcm := make([]int16, 16000)
	for _, freq := range []float64{310, 730, 1290, 2410} {
		for i, v := range tone.Generate(freq, 16000, len(pcm)) {
			pcm[i] += v / 4
		}
	}
	out := through(pcm)
	var signal, noise float64
	for i := 1600; i < len(pcm)-delay; i++ {
		e := float64(out[i+delay]) - float64(pcm[i])
		signal += float64(pcm[i]) * float64(pcm[i])
		noise += e * e
	}
	if snr := 10 * math.Log10(signal/noise); snr < 20 {
		t.Errorf("signal to noise is %.1f dB", snr)
	}
}

func TestOneByteForTwoSamplesAndStateAcrossCalls(t *testing.T) {
	t.Parallel()
	pcm := tone.Generate(700, 16000, 3200)
	whole := g722.NewEncoder().Append(nil, pcm)
	enc, dec := g722.NewEncoder(), g722.NewDecoder()
	var framed []byte
	var out []int16
	for i := 0; i < len(pcm); i += 320 {
		frame := enc.Append(nil, pcm[i:i+320])
		if len(frame) != 160 {
			t.Fatalf("20 ms are %d bytes, want 160", len(frame))
		}
		framed = append(framed, frame...)
		out = dec.Append(out, frame)
	}
	if string(framed) != string(whole) {
		t.Error("frame by frame and at once differ")
	}
	if want := g722.NewDecoder().Append(nil, whole); len(want) != len(out) {
		t.Errorf("%d samples, want %d", len(out), len(want))
	}
}

func TestSilenceStaysSilent(t *testing.T) {
	t.Parallel()
	if got := tone.Level(through(make([]int16, 3200))); got > -70 {
		t.Errorf("silence comes back at %.1f dB", got)
	}
}

func TestAnyBytesDecodeWithinRange(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 16000)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	if got := len(g722.NewDecoder().Append(nil, b)); got != 2*len(b) {
		t.Errorf("%d samples from %d bytes", got, len(b))
	}
}

func TestLoudNoiseDoesNotUpsetTheEncoder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	pcm := make([]int16, 16000)
	for i := range pcm {
		pcm[i] = int16(random.Uint32())
	}
	copy(pcm[8000:], tone.Generate(1000, 16000, 8000))
	if got := tone.Share(through(pcm)[12000:], 1000, 16000); got < 0.95 {
		t.Errorf("after noise only %.3f of the tone is left", got)
	}
}
