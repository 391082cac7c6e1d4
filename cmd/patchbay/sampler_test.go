package main

import (
	"testing"
	"time"
)

func TestASamplerLetsOneThroughInEachIntervalWhateverTheClockIsSetTo(t *testing.T) {
	t.Parallel()
	s := sampler{every: time.Second}
	at := time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, false}, {999 * time.Millisecond, false}, {time.Millisecond, true}, {-time.Hour, true}, {time.Millisecond, false}, {time.Second, true}} {
		if at = at.Add(step.after); s.allow(at) != step.want {
			t.Errorf("%v later: let through %v, want %v", step.after, !step.want, step.want)
		}
	}
}
