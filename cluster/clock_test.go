package cluster

import (
	"testing"
	"time"
	"unsafe"
)

// setBack is a moment as a clock tells it that was set back by d since: what it
// says on the wall has changed, what it measures has not (package time).
func setBack(t time.Time, d time.Duration) time.Time {
	const nanoseconds = 30 // bits of the first word, below the seconds on the wall
	*(*uint64)(unsafe.Pointer(&t)) -= uint64(d/time.Second) << nanoseconds
	return t
}

func TestAClockThatIsSetBackKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPending(1, now)
	p.add(now, 150*time.Millisecond, func(reply) {})
	late := setBack(now.Add(time.Second), time.Hour)
	if took, wall := late.Sub(now), late.Round(0).Sub(now.Round(0)); took != time.Second || wall != time.Second-time.Hour {
		t.Fatalf("the clock of this test measures %v and says %v", took, wall)
	}
	if due := p.expire(late); len(due) != 1 {
		t.Error("an ask of 150 ms waits after a second, for the clock was set back meanwhile")
	}
}
