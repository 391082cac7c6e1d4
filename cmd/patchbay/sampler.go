package main

import (
	"sync/atomic"
	"time"
)

// A sampler lets one event through per interval.
type sampler struct {
	every time.Duration
	next  atomic.Int64 // unix nanoseconds
}

// allow reports whether an event at now is let through. One that lies further
// ahead than an interval was told by a clock that has been set back since.
func (s *sampler) allow(now time.Time) bool {
	next := s.next.Load()
	if wait := time.Duration(next - now.UnixNano()); wait > 0 && wait <= s.every {
		return false
	}
	return s.next.CompareAndSwap(next, now.Add(s.every).UnixNano())
}
