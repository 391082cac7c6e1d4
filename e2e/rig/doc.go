// Package rig runs the program for end-to-end tests: it builds the binary
// once, starts nodes as subprocesses on ports of their own, provisions
// endpoints and agents, and speaks SIP to them, by SIPp and by hand.
//
// It decides what a clean run is: a node that exits with 0 on SIGTERM and
// whose output shows neither a panic nor a data race. Only tests import it.
package rig
