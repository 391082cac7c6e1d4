package cluster

import (
	"testing"
	"time"

	"patchbay/actors/call"
)

// at plays searches in vain for one call, by their seconds, and returns what
// was said at each.
func at(d *doubts, seconds ...float64) (gone []bool) {
	began := time.Unix(1_700_000_000, 0)
	for _, s := range seconds {
		gone = append(gone, d.note(42, began.Add(time.Duration(s*float64(time.Second)))))
	}
	return gone
}

func TestACallIsGoneOnceItWasSoughtInVainForLongAndOften(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		seconds []float64
		last    bool
	}{
		"copies of a BYE":                     {[]float64{0, 0.5, 1.5, 3.5, 7.5}, true},
		"the same, too early":                 {[]float64{0, 0.5, 1.5, 3.5}, false},
		"one edge of three, copies T2 apart":  {[]float64{0, 3.5, 15.5}, true},
		"two slow moments in a long call":     {[]float64{0, 12}, false},
		"three of them, far apart":            {[]float64{0, 14, 28}, false},
		"a doubt of an hour ago":              {[]float64{0, 0.5, 1.5, 3.5, 7.5, 3600}, false},
		"asked again and again, but not long": {[]float64{0, 1, 2, 3, 4, 4.9}, false},
	} {
		said := at(newDoubts(8), tc.seconds...)
		if got := said[len(said)-1]; got != tc.last {
			t.Errorf("%s: gone is %t", name, got)
		}
	}
}

func TestAFoundCallIsDoubtedAnew(t *testing.T) {
	t.Parallel()
	d := newDoubts(8)
	at(d, 0, 2, 4)
	d.forget(42)
	if at(d, 6)[0] {
		t.Error("what was before the call was found counts still")
	}
}

func TestDoubtsAreBounded(t *testing.T) {
	t.Parallel()
	d := newDoubts(8)
	now := time.Unix(1_700_000_000, 0)
	for id := range call.ID(100) {
		d.note(id, now)
	}
	if n := len(d.calls.items); n != 8 {
		t.Errorf("%d calls are remembered, want 8", n)
	}
}
