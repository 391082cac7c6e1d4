// Package scenario plays calls that are written down one to a file, in
// testdata, against a cluster with three edges: straight, with every message
// through another edge than the one before, through a relay that loses, doubles
// and reorders UDP, over TCP, over TLS, and over TLS through a balancer that
// speaks PROXY protocol. It decides whether each ended as its file says, with one
// record and nothing left. Rows are described in testdata/README.md; what they
// must show, sentence by sentence, is in docs/scenarios.md.
//
// # A new scenario
//
// Write testdata/what-it-shows.scenario, name it in docs/scenarios.md, and play
// it in every way:
//
//	E2E=1 go test ./e2e/scenario -run '/play/.*/what-it-shows$'
//
// What must hold so that it passes where packets are lost or late, and on a slow
// machine: wait for whatever the next row needs (an event, a response), never for
// a time; do not wait for a certain provisional response that is not sent
// reliably; do not count on the order of what goes by two edges. The phone
// repeats requests and final responses, and absorbs copies, by itself.
//
// A row of a new kind is a line in verbs (script_test.go) and a case in
// (*play).step; what a party says is in party_test.go, what operators and agents
// do in orders_test.go.
package scenario
