package rtp

import "time"

// A Stream is where a [Rewriter] stands: what another node must know to go on
// with the same stream.
type Stream struct {
	SSRC      uint32 `json:"ssrc"`
	Rate      uint32 `json:"rate"`      // ticks a second
	Sequence  int64  `json:"seq"`       // last sent, extended by the rollovers since the stream began (RFC 3711 3.3.1: the upper bits are ROC); -1 before packet 0
	Timestamp uint32 `json:"timestamp"` // of this moment
	FrameMs   int64  `json:"frame_ms"`  // how long packets last
	Packets   uint64 `json:"packets"`
	Octets    uint64 `json:"octets"`
}

// Stream returns where the stream stands at now.
func (r *Rewriter) Stream(now time.Duration) Stream {
	packets, octets, ts := r.Sent(now)
	if packets == 0 {
		ts = r.ts
	}
	return Stream{SSRC: r.ssrc, Rate: r.rate, Sequence: r.extended, Timestamp: ts, FrameMs: r.Frame().Milliseconds(), Packets: packets, Octets: octets}
}

// sent notes the sequence number that is sent last.
func (r *Rewriter) sent(seq uint16) {
	r.extended += int64(int16(seq - r.seq))
	r.seq = seq
}
