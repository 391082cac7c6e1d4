package rtp_test

import (
	"testing"

	"patchbay/internal/tone"
	"patchbay/media/rtp"
)

// The two laws quantise differently: what is turned may be off by as much as a
// step of either, which is at most 1/16 of the sample and 16 near zero.
func TestALawIsTurnedIntoTheOtherWithinAStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to string
		was, is  func([]byte) []int16
	}{
		"mu to A": {"PCMU", "pcma", tone.DecodePCMU, tone.DecodePCMA},
		"A to mu": {"PCMA", "PCMU", tone.DecodePCMA, tone.DecodePCMU},
	} {
		law := rtp.LawBetween(c.from, c.to)
		for i := range 256 {
			payload := []byte{byte(i)}
			before := int(c.was(payload)[0])
			law.Apply(payload)
			after := int(c.is(payload)[0])
			if step := max(16, abs(before)/16); abs(after-before) > step {
				t.Errorf("%s: %#02x is %d and became %d", name, i, before, after)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

func TestOnlyTheTwoLawsAreTurned(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"PCMU", "PCMU"}, {"PCMA", "pcma"}, {"PCMU", "G722"}, {"opus", "PCMA"}, {"", "PCMU"}} {
		if rtp.LawBetween(pair[0], pair[1]) != nil {
			t.Errorf("%v: there is a table", pair)
		}
	}
	silence := rtp.Silence("PCMU")
	turned := rtp.LawBetween("PCMU", "PCMA").Frames([][]byte{silence})
	if got := tone.DecodePCMA(turned[0])[0]; abs(int(got)) > 8 {
		t.Errorf("silence became %d", got)
	}
	if silence[0] != 0xff {
		t.Error("what is shared was written to")
	}
	if none := rtp.LawBetween("PCMU", "PCMU").Frames([][]byte{silence}); &none[0][0] != &silence[0] {
		t.Error("what stays was copied")
	}
}
