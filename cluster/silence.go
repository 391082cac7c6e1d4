package cluster

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A silence knows since when nobody has answered.
type silence struct {
	any atomic.Bool // saves an answer a lock

	mu          sync.Mutex
	since, last time.Time // the first ask without an answer, and the latest
}

// note takes the end of one ask. What this node itself refuses says nothing
// about others.
func (s *silence) note(now time.Time, err error) {
	switch {
	case err == nil && !s.any.Load(), errors.Is(err, errFull), errors.Is(err, errClosed):
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.any.Swap(err != nil)
	if err == nil {
		return
	}
	if !known || now.Sub(s.last) > silenceMemory {
		s.since = now
	}
	s.last = now
}

// longer reports that nobody has answered for longer than limit.
func (s *silence) longer(now time.Time, limit time.Duration) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.since) > limit
}
