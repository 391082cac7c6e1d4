package rig

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Traffic is calls that a carrier places evenly at a rate.
type Traffic struct {
	stop   func() // places no more
	hang   func() // ends those that talk
	mu     sync.Mutex
	all    []Outcome
	open   int
	placed int
	done   chan struct{}
}

// Place begins a call every 1/rate s until count are placed (0: until it is
// stopped). Call i goes the way that way returns, to the URI it returns.
func (c *Carrier) Place(rate float64, count int, way func(i int) (uri string, w Way)) *Traffic {
	placing, stop := context.WithCancel(context.Background())
	talking, hang := context.WithCancel(context.Background())
	tr := &Traffic{stop: stop, hang: hang, done: make(chan struct{})}
	go func() {
		defer close(tr.done)
		var calls sync.WaitGroup
		defer calls.Wait()
		tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer tick.Stop()
		for i := 0; count == 0 || i < count; i++ {
			uri, w := way(i)
			d := c.Dial(uri, i)
			tr.begun()
			calls.Go(func() { tr.note(d.Run(talking, w)) })
			select {
			case <-tick.C:
			case <-placing.Done():
				return
			}
		}
	}()
	return tr
}

func (tr *Traffic) begun() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.open++
	tr.placed++
}

func (tr *Traffic) note(o Outcome) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.open--
	tr.all = append(tr.all, o)
}

// Open is how many calls are being set up or talk.
func (tr *Traffic) Open() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.open
}

// Placed is how many calls have begun.
func (tr *Traffic) Placed() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.placed
}

// Stop places no more calls and waits for those that talk.
func (tr *Traffic) Stop() Tally { tr.stop(); return tr.Wait() }

// Hangup places no more calls and ends those that talk.
func (tr *Traffic) Hangup() Tally { tr.stop(); tr.hang(); return tr.Wait() }

// Wait waits for the end of all calls.
func (tr *Traffic) Wait() Tally {
	<-tr.done
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.all
}

// A Tally is calls that have ended.
type Tally []Outcome

// Failed are those that did not go as they had to.
func (t Tally) Failed() Tally {
	return slices.DeleteFunc(slices.Clone(t), func(o Outcome) bool { return o.Fault == "" })
}

// Answered are those whose INVITE got a 200.
func (t Tally) Answered() Tally {
	return slices.DeleteFunc(slices.Clone(t), func(o Outcome) bool { return o.Status != 200 })
}

// Slow are those whose INVITE had its final response later than limit.
func (t Tally) Slow(limit time.Duration) Tally {
	return slices.DeleteFunc(slices.Clone(t), func(o Outcome) bool { return o.Setup <= limit })
}

// Setup is the time that a percentage of INVITEs did not exceed to their final
// response.
func (t Tally) Setup(percent int) time.Duration {
	var all []time.Duration
	for _, o := range t {
		if o.Status != 0 {
			all = append(all, o.Setup)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[max(0, (len(all)*percent+99)/100-1)]
}

// Resent is how many requests were repeated.
func (t Tally) Resent() (n int) {
	for _, o := range t {
		n += o.Resent
	}
	return n
}

// Passed is how often an edge said 503, and the next was asked.
func (t Tally) Passed() (n int) {
	for _, o := range t {
		n += o.Passed
	}
	return n
}

// Doubled is of how many INVITEs a second call was made, and answered.
func (t Tally) Doubled() (n int) {
	for _, o := range t {
		if o.Doubled {
			n++
		}
	}
	return n
}

// shownFaults is how many faults String shows.
const shownFaults = 12

// String is a line of figures, and the faults.
func (t Tally) String() string {
	failed := t.Failed()
	var b strings.Builder
	fmt.Fprintf(&b, "%d calls, %d answered, %d failed, %d requests repeated, %d taken to another edge after 503, %d answered twice, INVITE to final p50 %v p99 %v longest %v", len(t),
		len(t.Answered()), len(failed), t.Resent(), t.Passed(), t.Doubled(), t.Setup(50).Round(time.Millisecond), t.Setup(99).Round(time.Millisecond), t.Setup(100).Round(time.Millisecond))
	for i, o := range failed {
		if i == shownFaults {
			fmt.Fprintf(&b, "\n  and %d more", len(failed)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s at %s: %s (status %d after %v)", o.CallID, o.At.Format("15:04:05.000"), o.Fault, o.Status, o.Setup.Round(time.Millisecond))
	}
	return b.String()
}
