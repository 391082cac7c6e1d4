// Package rtp is the pure half of media: what is decided about RTP and RTCP
// packets, without a socket, a goroutine or a clock.
//
// It decides which source may speak for a carrier ([Latch]), what a packet looks
// like on the other leg ([Rewriter]), what was lost on the way ([Receiver]),
// when a key was pressed ([DigitReader]) and when the packets of a key to be
// sent are due ([DigitWriter]). It refuses malformed packets, packets of
// foreign sources, duplicates, and payload types that were not negotiated.
//
// Times are durations since any fixed moment, the same for all calls on one
// value. Nothing here allocates per packet, and nothing is safe for concurrent
// use.
package rtp
