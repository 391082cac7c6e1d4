package endpoint_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/endpoint"
)

func TestBucketGivesABurstAndThenItsRate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 1000).Draw(t, "rate")
		now := time.Unix(1_700_000_000, 0)
		var b endpoint.Bucket
		take := func() (n int) {
			left := b.Left(now, rate, time.Second)
			defer func() {
				if n != left {
					t.Fatalf("it said that %d were left, and gave %d", left, n)
				}
			}()
			for b.Allows(now, rate) {
				b.Take(now, rate)
				n++
			}
			return n
		}
		if got := take(); got != rate {
			t.Fatalf("a full bucket of %d gave %d", rate, got)
		}
		wait := time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "wait"))
		now = now.Add(wait)
		want := min(rate, int(wait/(time.Second/time.Duration(rate))))
		if got := take(); got != want {
			t.Fatalf("%v later it gave %d, want %d", wait, got, want)
		}
		if b.Full(now) || !b.Full(now.Add(time.Second)) {
			t.Fatal("full too early or too late")
		}
	})
}

func TestBucketWithoutRateGivesNothing(t *testing.T) {
	t.Parallel()
	if (endpoint.Bucket{}).Allows(time.Now(), 0) {
		t.Error("a rate of 0 allows a call")
	}
}

func TestBucketSaysHowLongTheWaitIs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "a minute")
		now := time.Unix(1_700_000_000, 0)
		var b endpoint.Bucket
		for range n {
			if wait := b.Wait(now, n, time.Minute); wait != 0 {
				t.Fatalf("a bucket of %d makes one wait %v", n, wait)
			}
			b.Spend(now, n, time.Minute)
		}
		now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second/100)).Draw(t, "later")))
		wait := b.Wait(now, n, time.Minute)
		if wait <= 0 {
			return
		}
		if b.Wait(now.Add(wait-1), n, time.Minute) != 1 || b.Wait(now.Add(wait), n, time.Minute) != 0 {
			t.Fatalf("of %d a minute it told %v", n, wait)
		}
	})
}
