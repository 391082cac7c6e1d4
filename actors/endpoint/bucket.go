package endpoint

import "time"

// A Bucket is a token bucket that holds as many tokens as it gains in a
// second, or in another period: the virtual scheduling form of GCRA (ITU-T
// I.371), one time stamp and no timer. The zero Bucket is full. The rate is an argument, so that a
// changed limit applies at once.
type Bucket struct {
	due time.Time // when the next token would be due if they came evenly
}

// Allows reports whether a token is there at now. A rate below one allows
// nothing.
func (b Bucket) Allows(now time.Time, perSecond int) bool {
	return perSecond >= 1 && b.Wait(now, perSecond, time.Second) == 0
}

// Take removes a token that Allows has seen.
func (b *Bucket) Take(now time.Time, perSecond int) { b.Spend(now, max(perSecond, 1), time.Second) }

// Wait returns how long it is until a bucket that holds n tokens, and gains as
// many in each period, has one; 0: one is there. n is at least one.
func (b Bucket) Wait(now time.Time, n int, period time.Duration) time.Duration {
	burst := period / time.Duration(n) * time.Duration(n-1)
	return max(b.due.Sub(now.Add(burst)), 0)
}

// Spend removes a token that Wait has seen.
func (b *Bucket) Spend(now time.Time, n int, period time.Duration) {
	if b.due.Before(now) {
		b.due = now
	}
	b.due = b.due.Add(period / time.Duration(n))
}

// Left returns how many tokens are there at now, of a bucket that holds n and
// gains as many in each period. n is at least one.
func (b Bucket) Left(now time.Time, n int, period time.Duration) int {
	step := period / time.Duration(n)
	free := step*time.Duration(n) - b.Refill(now)
	return int(max(free, 0) / step)
}

// Refill returns how long it is until the bucket is full.
func (b Bucket) Refill(now time.Time) time.Duration { return max(b.due.Sub(now), 0) }

// Full reports that the bucket is as good as new and need not be kept.
func (b Bucket) Full(now time.Time) bool { return !b.due.After(now) }
