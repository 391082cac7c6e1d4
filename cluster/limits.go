package cluster

import "time"

// Limits of what may wait in a subscription before NATS drops messages: about
// a second of a busy node, so that a stale INVITE is never worked on for long.
const (
	maxPendingInvites = 2000
	maxPendingPackets = 8192
	maxPendingBytes   = 8 << 20
)

// Waits of one ask (design D3, D4).
const (
	anyTimeout      = 150 * time.Millisecond  // the first fallback decider
	anyAgainTimeout = 300 * time.Millisecond  // the second: the queue group may pick a hung node twice; doubled for each further one
	anyLastTimeout  = 1200 * time.Millisecond // the longest of them
	anyPause        = 150 * time.Millisecond  // before the next ask where nobody listens, or NATS is away
	callTimeout     = 150 * time.Millisecond  // a media node, for an in-dialog message
	findTimeout     = 150 * time.Millisecond  // the holder of a call
)

// Limits of an INVITE that nobody answers about. Nodes leave a broker that hangs
// within 5 s: until then the carrier waits (its timer B is 32 s) instead of
// hearing 503.
const (
	inviteTime    = 6 * time.Second  // after it no further ask is begun; then 503
	quickAsks     = 5                // asks when nobody has answered for that long already: 2.4 s at most
	silenceMemory = 32 * time.Second // without an ask a silence is forgotten
)

// RetryAfter is what a carrier is told when no node can serve it.
const RetryAfter = 5 * time.Second
