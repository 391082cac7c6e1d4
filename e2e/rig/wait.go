package rig

import (
	"fmt"
	"testing"
	"time"
)

// pollEvery is how often a condition is looked at.
const pollEvery = 20 * time.Millisecond

// WaitFor waits until cond holds, at most limit; then the test fails and says
// what it has waited for.
func WaitFor(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	Until(t, limit, func() (string, bool) { return what, cond() })
}

// Until is WaitFor for conditions that tell what they see.
func Until(t testing.TB, limit time.Duration, look func() (seen string, ok bool)) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		seen, ok := look()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", limit, seen)
		}
		time.Sleep(pollEvery)
	}
}

// Eventually is Until for one number.
func Eventually(t testing.TB, limit time.Duration, what string, want float64, get func() float64) {
	t.Helper()
	Until(t, limit, func() (string, bool) {
		got := get()
		return fmt.Sprintf("%s is %v, want %v", what, got, want), got == want
	})
}
