//go:build race

package token_test

// raceEnabled: sync.Pool drops a part of what it is given under the race detector.
const raceEnabled = true
