package plan

import "time"

// maxWait is the longest wait between two tries, whatever the settings make of
// it.
const maxWait = 24 * time.Hour

// Terms are what deliveries go by.
type Terms struct {
	First      time.Duration // wait after the first try failed; each further one is twice as long
	Retries    int           // tries after the first
	AtOnce     int           // deliveries under way
	PerTarget  int           // of them to one target
	BreakAfter int           // failures in a row after which a target is left alone
	BreakFor   time.Duration // for how long, before one delivery tries
	Waiting    int           // deliveries of one target
	PerTenant  int           // of one account
}

// Wait returns how long after try number n, the first being 0, the next one
// comes; false: there is none.
func (t Terms) Wait(n int) (time.Duration, bool) {
	if n < 0 || n >= t.Retries {
		return 0, false
	}
	wait := t.First
	for ; n > 0 && wait < maxWait; n-- {
		wait *= 2
	}
	return min(wait, maxWait), true
}

// Lifetime is how long an event is worth a try: as long as all waits of its own
// take.
func (t Terms) Lifetime() (all time.Duration) {
	for n := range t.Retries {
		wait, _ := t.Wait(n)
		all += wait
	}
	return all
}
