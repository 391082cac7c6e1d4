package e2e_test

import (
	"sync/atomic"
	"testing"
	"time"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
)

// steady is a caller's tone of freq Hz without the pauses by which round trips
// are measured, 20 ms at a time.
func steady(codec string, freq float64) func(n int) []byte {
	encode, rate := tone.EncodePCMU, 8000
	switch codec {
	case "PCMA":
		encode = tone.EncodePCMA
	case "G722":
		coder := g722.NewEncoder()
		encode, rate = func(pcm []int16) []byte { return coder.Append(nil, pcm) }, 16000
	}
	sine, pcm := tone.NewOscillator(freq, rate), make([]int16, rate/50)
	return func(int) []byte {
		sine.Fill(pcm)
		return encode(pcm)
	}
}

// hears fails the test unless there is so much of one tone and hardly anything
// else. The first half second is left out.
func hears(t *testing.T, who string, pcm []int16, freq float64, rate int, atLeast time.Duration) {
	t.Helper()
	if got := time.Duration(len(pcm)) * time.Second / time.Duration(rate); got < atLeast {
		t.Errorf("%s heard %v, want %v at least", who, got, atLeast)
		return
	}
	pcm = pcm[rate/2:]
	if share := tone.Share(pcm, freq, rate); share < 0.8 || tone.Level(pcm) < -30 {
		t.Errorf("%s heard %.1f dB with %.2f of it at %v Hz, want a clean tone", who, tone.Level(pcm), share, freq)
	}
	if other := tone.Share(pcm, freq*1.1, rate); other > 0.05 {
		t.Errorf("%s heard %.2f at %v Hz, where nothing was said", who, other, freq*1.1)
	}
}

// atPacket does something once, in a goroutine of its own, when the caller has
// got so many packets.
func atPacket(n int32, do func()) func(uint16, []byte) {
	var count atomic.Int32
	return func(uint16, []byte) {
		if count.Add(1) == n {
			go do()
		}
	}
}
