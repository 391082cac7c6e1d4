//go:build !race

package rig

// Race reports whether the tests, and so the nodes, run under the race
// detector.
const Race = false
