package control

import "time"

// A window counts requests in a minute that the first of them opens, as Yappr
// does with those of one key: a client may use them all at once, and has them all
// again when the minute is over.
type window struct {
	opened time.Time
	n      int
}

// at returns the window as it stands: a new one where the last is over.
func (w window) at(now time.Time) window {
	if w.n == 0 || now.Sub(w.opened) >= time.Minute || now.Before(w.opened) {
		return window{opened: now}
	}
	return w
}

// rate says what is left of the window, of limit requests.
func (w window) rate(limit int, now time.Time) Rate {
	return Rate{Limit: limit, Remaining: max(limit-w.n, 0), Reset: w.opened.Add(time.Minute).Sub(now)}
}
