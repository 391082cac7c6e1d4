// Command bench measures what Patchbay costs beside what others cost, on one
// machine in one run: `make bench`. It builds nothing itself; it starts the
// built binary, bare sipgo, Kamailio, rtpengine, a forwarder in plain Go and two
// pion peers, one after the other and again, offers each the same load on
// loopback, and prints a table with the bars of docs/performance.md.
//
// What is measured runs on core 0, what loads it on core 1. The ratios are the
// message: absolute figures change from machine to machine.
package main
