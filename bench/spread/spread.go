// Package spread says how times are spread: the time that a share of them does
// not exceed.
package spread

import "time"

// Share is the smallest of the sorted times that so many percent of them, 1 to
// 100, do not exceed, in ms; 0 where there are none.
func Share(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := (len(sorted)*percent+99)/100 - 1
	return float64(sorted[max(i, 0)]) / float64(time.Millisecond)
}
