package spread_test

import (
	"testing"
	"time"

	"patchbay/bench/spread"
)

func TestAShareIsTheSmallestTimeThatSoManyDoNotExceed(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	for n := range 10 {
		times = append(times, time.Duration(n+1)*time.Millisecond)
	}
	for percent, want := range map[int]float64{1: 1, 50: 5, 51: 6, 99: 10, 100: 10} {
		if got := spread.Share(times, percent); got != want {
			t.Errorf("%d %%: %v ms, want %v", percent, got, want)
		}
	}
	if got := spread.Share(nil, 50); got != 0 {
		t.Errorf("of none: %v", got)
	}
}
