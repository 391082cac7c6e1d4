// Package cluster is where the nodes meet: it finds and remembers. It decides
// which node a message goes to and what is asked next when nobody answers; it
// never decides what becomes of a call.
//
// An edge uses [Router] and [EdgeDoor], an actor node [EndpointDoor] and
// [Intake], a media node [CallDoor], [Wire], [Slots] and [Beats],
// control [Commander]. All stand on one [Conn]; [Presence] knows who is alive.
// Configuration lives in cluster/store, the embedded NATS server in
// cluster/broker, wire formats in cluster/envelope, subjects in
// cluster/subject.
//
// It refuses to block: each table, queue and wait has a limit with a name, and
// full is an answer (503 with Retry-After towards the carrier).
package cluster
