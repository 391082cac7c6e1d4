package rtp_test

import (
	"testing"
	"time"

	"patchbay/media/rtp"
)

// TestAStreamCountsItsRollovers compares the extended sequence number with the
// packets that left: its upper bits are what SRTP calls ROC.
func TestAStreamCountsItsRollovers(t *testing.T) {
	t.Parallel()
	for _, start := range []uint16{0, 1, 65500, 65535} {
		r := rtp.NewRewriter(7, start, 1000, 8000)
		r.Map(0, 0)
		if s := r.Stream(0); s.Sequence != int64(start)-1 || s.SSRC != 7 || s.Timestamp != 1000 {
			t.Errorf("from %d: %+v before the first packet", start, s)
		}
		const packets = 140_000 // more than two rollovers
		var last uint16
		for i := range packets {
			now := time.Duration(i) * 20 * time.Millisecond
			b := make([]byte, rtp.HeaderSize, 64)
			rtp.Header{SSRC: 99, Sequence: uint16(i), Timestamp: uint32(i) * 160}.Put(b)
			out, ok := r.Rewrite(now, append(b, 1))
			if !ok {
				t.Fatalf("packet %d was not sent", i)
			}
			h, _, _, err := rtp.Parse(out)
			if err != nil {
				t.Fatal(err)
			}
			last = h.Sequence
		}
		s := r.Stream(packets * 20 * time.Millisecond)
		if want := int64(start) + packets - 1; s.Sequence != want || uint16(s.Sequence) != last {
			t.Errorf("from %d: %d after %d packets, want %d", start, s.Sequence, packets, want)
		}
	}
}
