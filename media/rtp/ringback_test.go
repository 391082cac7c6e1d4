package rtp_test

import (
	"testing"
	"time"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
	"patchbay/media/rtp"
)

var decoders = map[string]struct {
	rate   int
	decode func([]byte) []int16
}{
	"PCMU": {8000, tone.DecodePCMU},
	"PCMA": {8000, tone.DecodePCMA},
	"G722": {16000, func(b []byte) []int16 { return g722.NewDecoder().Append(nil, b) }},
}

func TestRingingHasTheTonesAndTheRhythmOfItsCountry(t *testing.T) {
	t.Parallel()
	for country, want := range map[string]struct {
		tones  []float64
		other  float64
		rhythm []int // ms with the tone and without
	}{
		"us": {[]float64{440, 480}, 425, []int{2000, 4000}},
		"eu": {[]float64{425}, 480, []int{1000, 4000}},
		"uk": {[]float64{400, 450}, 425, []int{400, 200, 400, 2000}},
	} {
		for codec, c := range decoders {
			var payload []byte
			for _, f := range rtp.Ringback(country, codec) {
				if len(f) != 160 {
					t.Fatalf("%s %s: a frame of %d bytes", country, codec, len(f))
				}
				payload = append(payload, f...)
			}
			pcm := c.decode(payload)
			at := 0
			for i, ms := range want.rhythm {
				end := at + ms*c.rate/1000
				part := pcm[at+c.rate/50 : end-c.rate/50] // without the codec's own delay
				at = end
				level := tone.Level(part)
				if i%2 == 1 {
					if level > -60 {
						t.Errorf("%s %s: a pause has %.0f dB", country, codec, level)
					}
					continue
				}
				if level < -29 || level > -18 {
					t.Errorf("%s %s: the tone has %.0f dB", country, codec, level)
				}
				for _, f := range want.tones {
					if got := tone.Share(part, f, c.rate); got < 0.9/float64(len(want.tones)) {
						t.Errorf("%s %s: %.2f of the tone is %v Hz", country, codec, got, f)
					}
				}
				if got := tone.Share(part, want.other, c.rate); got > 0.1 {
					t.Errorf("%s %s: %.2f of the tone is %v Hz", country, codec, got, want.other)
				}
			}
			if at != len(pcm) {
				t.Errorf("%s %s: a round of %d samples, want %d", country, codec, len(pcm), at)
			}
		}
	}
	if rtp.Ringback("us", "opus") != nil || rtp.Ringback("xx", "PCMU") != nil || rtp.Ringback("", "PCMU") != nil {
		t.Error("ringing that nobody can make")
	}
}

func TestASoundOfOursKeepsItsRhythmWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	r := rtp.NewRewriter(1, 100, 5000, 8000)
	var dst [200]byte
	payload := make([]byte, 160)
	count := 0
	for i, now := range []time.Duration{0, 20 * ms, 41 * ms, 55 * ms, 80 * ms, 180 * ms, 200 * ms} { // one turn is 80 ms late
		for range r.PlayDue(now) {
			b := r.Play(now, dst[:], 0, payload)
			h, _, _, err := rtp.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if h.Sequence != uint16(100+count) || h.Timestamp != uint32(5000+160*count) || h.Marker != (count == 0) {
				t.Errorf("turn %d, packet %d: %+v", i, count, h)
			}
			count++
		}
	}
	if count != 11 {
		t.Errorf("%d packets in 200 ms, want 11", count)
	}
	before, _, _ := r.Sent(0)
	b := r.Play(10*time.Second, dst[:], 0, payload) // too late to catch up
	h, _, _, _ := rtp.Parse(b)
	if after, _, _ := r.Sent(0); after != before+1 || h.Timestamp < 5000+70000 {
		t.Errorf("after a gap of 10 s: %+v", h)
	}
}
