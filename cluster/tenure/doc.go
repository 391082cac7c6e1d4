// Package tenure decides which partitions of endpoints an actor node owns, and
// when it may keep their caps in full. It is pure: what a node sees of the
// cluster comes in as a [View], subscriptions to begin and to end come out.
//
// One rule holds whatever is lost or late, as long as nodes that are alive hear
// one another: a partition has at most one node that keeps its caps in full. A
// node claims what it takes in its beats; it keeps caps in full only once no
// other live node claims the same, its own claim has come back to it, and it
// has heard of all that was admitted before. It refuses to trust itself: a node
// whose own beats have not come back for 2 s keeps no cap in full.
//
// It is no lease: two halves of a cluster that cannot hear one another each
// have an owner. That is harmless for calls (design D4) and is not for caps.
package tenure
