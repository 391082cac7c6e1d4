// Package load holds the load of the whole program: a node as a subprocess
// under calls of SIPp and of our own caller, each with an agent behind it.
//
// It runs with an ordinary build: under the race detector it has nothing to
// say about speed, and is skipped.
package load
