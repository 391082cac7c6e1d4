package rtp_test

import (
	"math/rand/v2"
	"testing"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
	"patchbay/media/rtp"
)

func TestSilenceOfEachCodecIsSilent(t *testing.T) {
	t.Parallel()
	if got := tone.Level(tone.DecodePCMU(rtp.Silence("PCMU"))); got != -96 {
		t.Errorf("PCMU at %.0f dB", got)
	}
	if got := tone.Level(tone.DecodePCMA(rtp.Silence("PCMA"))); got > -70 {
		t.Errorf("PCMA at %.0f dB", got)
	}
	if got := tone.Level(g722.NewDecoder().Append(nil, rtp.Silence("G722"))); got > -70 {
		t.Errorf("G722 at %.0f dB", got)
	}
	if got := rtp.Silence("opus"); len(got) != 3 || got[0]>>3 != 31 || got[0]&7 != 0 {
		t.Errorf("opus %x, want one mono CELT frame of 20 ms", got)
	}
	if rtp.Silence("G729") != nil {
		t.Error("silence of a codec nobody knows")
	}
}

func TestG722SilenceQuietensADecoderAfterNoise(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]int16, 16000)
	for i := range noise {
		noise[i] = int16(random.Uint32())
	}
	d := g722.NewDecoder()
	d.Append(nil, g722.NewEncoder().Append(nil, noise))
	d.Append(nil, rtp.Silence("G722"))
	if got := tone.Level(d.Append(nil, rtp.Silence("G722"))); got > -55 {
		t.Errorf("40 ms after noise still at %.0f dB", got)
	}
}
