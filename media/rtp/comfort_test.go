package rtp_test

import (
	"testing"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
	"patchbay/media/rtp"
)

func TestComfortIsASoftToneAndNeverDeadSilence(t *testing.T) {
	t.Parallel()
	for codec, c := range map[string]struct {
		rate   int
		decode func([]byte) []int16
	}{
		"PCMU": {8000, tone.DecodePCMU},
		"PCMA": {8000, tone.DecodePCMA},
		"G722": {16000, func(b []byte) []int16 { return g722.NewDecoder().Append(nil, b) }},
	} {
		var payload []byte
		for _, f := range rtp.Comfort(codec) {
			if len(f) != 160 {
				t.Fatalf("%s: a frame of %d bytes", codec, len(f))
			}
			payload = append(payload, f...)
		}
		pcm := c.decode(payload)
		if len(pcm) != 2*c.rate {
			t.Fatalf("%s: %d samples, want two seconds", codec, len(pcm))
		}
		beep, rest := pcm[c.rate/20:c.rate/4], pcm[c.rate/2:]
		if got := tone.Share(beep, rtp.ComfortTone, c.rate); got < 0.9 {
			t.Errorf("%s: %.2f of the beep is the tone", codec, got)
		}
		if l := tone.Level(beep); l < -32 || l > -22 {
			t.Errorf("%s: the tone has %.0f dB", codec, l)
		}
		if l := tone.Level(rest); l < -75 || l > -50 {
			t.Errorf("%s: the rest has %.0f dB", codec, l)
		}
	}
	if got := rtp.Comfort("opus"); len(got) != 1 || string(got[0]) != string(rtp.Silence("opus")) {
		t.Errorf("opus: %x, want silence", got)
	}
	if rtp.Comfort("G729") != nil {
		t.Error("comfort in a codec that is not carried")
	}
}
