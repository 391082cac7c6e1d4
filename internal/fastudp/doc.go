// Package fastudp reads and writes UDP sockets that never block, by system calls
// that the scheduler is not told about.
//
// The standard library announces each call, so that another goroutine can have
// the processor while it blocks. A call on a UDP socket in non-blocking mode
// does not block: the announcement, and the monitor that it wakes, cost a fifth
// of a media node's CPU (docs/performance.md). Waiting for a packet is still
// the runtime's network poller's.
//
// A packet that finds no room in the send buffer is lost, as on any network.
// Other systems than Linux use the standard library's calls.
package fastudp
