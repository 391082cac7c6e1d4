package endpoint

import "time"

// A Bucket is a token bucket that holds as many tokens as it gains in a
// second: the virtual scheduling form of GCRA (ITU-T I.371), one time stamp
// and no timer. The zero Bucket is full. The rate is an argument, so that a
// changed limit applies at once.
type Bucket struct {
	due time.Time // when the next token would be due if they came evenly
}

// Allows reports whether a token is there at now. A rate below one allows
// nothing.
func (b Bucket) Allows(now time.Time, perSecond int) bool {
	if perSecond < 1 {
		return false
	}
	interval := time.Second / time.Duration(perSecond)
	burst := interval * time.Duration(perSecond-1)
	return !b.due.After(now.Add(burst))
}

// Take removes a token that Allows has seen.
func (b *Bucket) Take(now time.Time, perSecond int) {
	if b.due.Before(now) {
		b.due = now
	}
	b.due = b.due.Add(time.Second / time.Duration(max(perSecond, 1)))
}

// Full reports that the bucket is as good as new and need not be kept.
func (b Bucket) Full(now time.Time) bool { return !b.due.After(now) }
