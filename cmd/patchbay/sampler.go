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

func (s *sampler) allow(now time.Time) bool {
	at := s.next.Load()
	return now.UnixNano() >= at && s.next.CompareAndSwap(at, now.Add(s.every).UnixNano())
}
