package rig

import (
	"sync/atomic"
	"testing"
	"time"
)

// A Stall watches how late the machine wakes a goroutine that has little to do.
// What waits longer than a node's deadlines says nothing about the node.
type Stall struct {
	worst atomic.Int64
	stop  chan struct{}
}

// stallTick is how often it should wake.
const stallTick = 20 * time.Millisecond

// WatchStall watches until the test ends.
func WatchStall(t testing.TB) *Stall {
	t.Helper()
	s := watchStall()
	t.Cleanup(func() { close(s.stop) })
	return s
}

func watchStall() *Stall {
	s := &Stall{stop: make(chan struct{})}
	go func() {
		tick := time.NewTicker(stallTick)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-tick.C:
			case <-s.stop:
				return
			}
			now := time.Now()
			if late := now.Sub(last) - stallTick; int64(late) > s.worst.Load() {
				s.worst.Store(int64(late))
			}
			last = now
		}
	}()
	return s
}

// Worst is the longest delay so far.
func (s *Stall) Worst() time.Duration { return time.Duration(s.worst.Load()) }
