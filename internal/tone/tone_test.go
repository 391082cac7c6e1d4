package tone_test

import (
	"math"
	"testing"

	"patchbay/internal/tone"
)

func TestShareTellsAToneFromItsNeighboursAndFromSilence(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{8000, 16000, 48000} {
		pcm := tone.Generate(440, rate, rate/4)
		if got := tone.Share(pcm, 440, rate); got < 0.95 || got > 1.05 {
			t.Errorf("rate %d: share at 440 Hz is %.3f, want about 1", rate, got)
		}
		for _, other := range []float64{300, 480, 880, 1000} {
			if got := tone.Share(pcm, other, rate); got > 0.05 {
				t.Errorf("rate %d: share at %v Hz is %.3f, want none", rate, other, got)
			}
		}
	}
	if got := tone.Share(make([]int16, 800), 440, 8000); got != 0 {
		t.Errorf("silence holds %.3f of a tone", got)
	}
	if got := tone.Share(nil, 440, 8000); got != 0 {
		t.Errorf("nothing holds %.3f of a tone", got)
	}
}

func TestOscillatorHasNoBreakBetweenFrames(t *testing.T) {
	t.Parallel()
	whole := tone.Generate(523, 8000, 1600)
	osc := tone.NewOscillator(523, 8000)
	frame := make([]int16, 160)
	for i := 0; i < len(whole); i += 160 {
		osc.Fill(frame)
		for k := range frame {
			if frame[k] != whole[i+k] {
				t.Fatalf("sample %d is %d, want %d", i+k, frame[k], whole[i+k])
			}
		}
	}
}

func TestG711RoundTripsWithinItsQuantisation(t *testing.T) {
	t.Parallel()
	codecs := map[string]struct {
		enc func([]int16) []byte
		dec func([]byte) []int16
	}{
		"PCMU": {tone.EncodePCMU, tone.DecodePCMU},
		"PCMA": {tone.EncodePCMA, tone.DecodePCMA},
	}
	for name, c := range codecs {
		for v := -32768; v <= 32767; v++ {
			got := int(c.dec(c.enc([]int16{int16(v)}))[0])
			if diff := math.Abs(float64(got - v)); diff > math.Max(16, math.Abs(float64(v))*0.04) {
				t.Fatalf("%s: %d comes back as %d", name, v, got)
			}
		}
		// Each code that decodes to a level of its own must come back as itself.
		for b := range 256 {
			level := c.dec([]byte{byte(b)})
			if again := c.dec(c.enc(level)); again[0] != level[0] {
				t.Fatalf("%s: code %#x decodes to %d, which encodes to %d", name, b, level[0], again[0])
			}
		}
	}
}

func TestG711MatchesTheTablesOfTheRecommendation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		got  int16
		want int16
	}{
		{"PCMU 0x00", tone.DecodePCMU([]byte{0x00})[0], -32124},
		{"PCMU 0x80", tone.DecodePCMU([]byte{0x80})[0], 32124},
		{"PCMU 0xff", tone.DecodePCMU([]byte{0xff})[0], 0},
		{"PCMU 0x7f", tone.DecodePCMU([]byte{0x7f})[0], 0},
		{"PCMA 0xd5", tone.DecodePCMA([]byte{0xd5})[0], 8},
		{"PCMA 0x55", tone.DecodePCMA([]byte{0x55})[0], -8},
		{"PCMA 0xaa", tone.DecodePCMA([]byte{0xaa})[0], 32256},
		{"PCMA 0x2a", tone.DecodePCMA([]byte{0x2a})[0], -32256},
	} {
		if c.got != c.want {
			t.Errorf("%s decodes to %d, want %d", c.name, c.got, c.want)
		}
	}
	if got := tone.EncodePCMU([]int16{0}); got[0] != 0xff {
		t.Errorf("silence is %#x in PCMU, want 0xff", got[0])
	}
	if got := tone.EncodePCMA([]int16{0}); got[0] != 0xd5 {
		t.Errorf("silence is %#x in PCMA, want 0xd5", got[0])
	}
}

func TestLevelOfATestToneIsThirteenDecibelsDown(t *testing.T) {
	t.Parallel()
	if got := tone.Level(tone.Generate(1000, 8000, 8000)); math.Abs(got+13) > 0.2 {
		t.Errorf("level %.2f dB, want -13 (a sine 10 dB down)", got)
	}
	if got := tone.Level(make([]int16, 10)); got != -96 {
		t.Errorf("silence is at %.2f dB", got)
	}
}

func TestDetectMeasuresTheAmplitudeOfTheTone(t *testing.T) {
	t.Parallel()
	pcm := tone.Generate(600, 8000, 4000)
	if got := tone.Detect(pcm, 600, 8000); math.Abs(got-tone.FullScale*0.316) > 50 {
		t.Errorf("amplitude %.0f, want that of a sine 10 dB below full scale", got)
	}
	if got := tone.Detect(nil, 600, 8000); got != 0 {
		t.Errorf("nothing has amplitude %.0f", got)
	}
}
