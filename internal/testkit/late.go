package testkit

import (
	"sync/atomic"
	"testing"
	"time"
)

// lateTick is how often [Late] should wake.
const lateTick = 20 * time.Millisecond

// Late watches how late the machine wakes a goroutine that has next to nothing
// to do, until the test ends, and returns by how much in all so far. A test of a
// time that is promised takes it off: what a busy machine kept from everybody
// says nothing about the code.
func Late(t testing.TB) (soFar func() time.Duration) {
	var sum atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			began := time.Now()
			select {
			case <-time.After(lateTick):
			case <-stop:
				return
			}
			if late := time.Since(began) - lateTick; late > time.Millisecond {
				sum.Add(int64(late))
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
	return func() time.Duration { return time.Duration(sum.Load()) }
}
