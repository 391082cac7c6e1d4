package cluster

import "time"

// Limits of what may wait in a subscription before NATS drops messages: about
// a second of a busy node, so that a stale INVITE is never worked on for long.
const (
	maxPendingInvites = 2000
	maxPendingPackets = 8192
	maxPendingBytes   = 8 << 20
)

// Waits of one ask (design D3, D4). Those of an INVITE add up to 2.4 s at most
// with the default owner timeout, far below the carrier's timer B of 32 s.
const (
	anyTimeout      = 150 * time.Millisecond // the first fallback decider
	anyAgainTimeout = 300 * time.Millisecond // the second: the queue group may pick a hung node twice; doubled for each further one
	callTimeout     = 150 * time.Millisecond // a media node, for an in-dialog message
	findTimeout     = 150 * time.Millisecond // the holder of a call
)

// RetryAfter is what a carrier is told when no node can serve it.
const RetryAfter = 5 * time.Second
