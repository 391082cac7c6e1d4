// Package e2e holds the tests of the whole program: a node as a subprocess,
// SIP clients of other projects and of our own in front of it, and agents
// behind it.
//
// It decides nothing. Every wait in it is bounded. What the tests share is in
// e2e/rig; the load is in e2e/load, so that it can be run apart.
package e2e
