package rig

import (
	"sync"
	"testing"
)

// Together runs a subtest for each name, at most atOnce of them at a time, and
// returns when all have ended. They need none of the places of tests that call
// Parallel, so a test never waits for another while its node idles.
func Together(t *testing.T, atOnce int, names []string, f func(t *testing.T, name string)) {
	t.Helper()
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, name := range names {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			t.Run(name, func(t *testing.T) { f(t, name) })
		})
	}
	all.Wait()
}
