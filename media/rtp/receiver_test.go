package rtp_test

import (
	"testing"
	"time"

	"patchbay/media/rtp"
)

// feed gives a receiver the sequence numbers as packets 20 ms apart.
func feed(r *rtp.Receiver, ssrc uint32, seqs ...uint16) []rtp.Arrival {
	var got []rtp.Arrival
	for i, seq := range seqs {
		at := time.Duration(i) * 20 * ms
		got = append(got, r.Receive(at, rtp.Header{SSRC: ssrc, Sequence: seq, Timestamp: uint32(i) * 160}, true))
	}
	return got
}

func TestArrivalsAreToldApart(t *testing.T) {
	t.Parallel()
	const (
		fresh = rtp.Fresh
		begin = rtp.Restarted
		again = rtp.Duplicate
		late  = rtp.Late
		odd   = rtp.Suspect
	)
	for _, c := range []struct {
		name string
		in   []uint16
		want []rtp.Arrival
	}{
		{"in order", []uint16{5, 6, 7}, []rtp.Arrival{begin, fresh, fresh}},
		{"across the wrap", []uint16{65534, 65535, 0, 1}, []rtp.Arrival{begin, fresh, fresh, fresh}},
		{"reordered", []uint16{5, 7, 6, 8}, []rtp.Arrival{begin, fresh, fresh, fresh}},
		{"duplicates", []uint16{5, 5, 7, 6, 6, 7}, []rtp.Arrival{begin, again, fresh, fresh, again, again}},
		{"from before the beginning", []uint16{5, 4}, []rtp.Arrival{begin, late}},
		{"too old", []uint16{5, 170, 106}, []rtp.Arrival{begin, fresh, late}},
		{"a lone jump", []uint16{5, 20000, 6}, []rtp.Arrival{begin, odd, fresh}},
		{"a jump that goes on", []uint16{5, 20000, 20001, 20002}, []rtp.Arrival{begin, odd, begin, fresh}},
	} {
		got := feed(rtp.NewReceiver(8000), 1, c.in...)
		for i := range c.want {
			if got[i] != c.want[i] {
				t.Errorf("%s: packet %d is %v, want %v", c.name, i, got[i], c.want[i])
			}
		}
	}
}

func TestLossIsCountedOverSourcesAndReportedByInterval(t *testing.T) {
	t.Parallel()
	r := rtp.NewReceiver(8000)
	feed(r, 1, 65530, 65531, 65533, 65535, 0, 1) // 2 of 8 lost
	b := r.Block()
	if b.SSRC != 1 || b.Lost != 2 || b.Fraction != 64 || b.Highest != 65536+1 {
		t.Errorf("%+v", b)
	}
	feed(r, 1, 2, 3)
	if b := r.Block(); b.Lost != 2 || b.Fraction != 0 {
		t.Errorf("a clean interval: %+v", b)
	}
	feed(r, 2, 100, 103)
	if got := r.Totals(); got.Received != 10 || got.Expected != 14 || got.Lost != 4 {
		t.Errorf("%+v", got)
	}
	if src, ok := r.Source(); src != 2 || !ok {
		t.Errorf("source %v %v", src, ok)
	}
}

func TestDuplicatesDoNotHideLoss(t *testing.T) {
	t.Parallel()
	r := rtp.NewReceiver(8000)
	feed(r, 1, 1, 2, 2, 2, 5)
	if got := r.Totals(); got.Lost != 2 || got.Duplicates != 2 || got.Received != 3 {
		t.Errorf("%+v", got)
	}
}

func TestJitterFollowsTheFormulaAndIgnoresTheFirstTransit(t *testing.T) {
	t.Parallel()
	r := rtp.NewReceiver(8000)
	for i := range 2000 {
		at := time.Hour + time.Duration(i)*20*ms
		if i%2 == 1 {
			at += 10 * ms // every packet is 10 ms off the one before
		}
		r.Receive(at, rtp.Header{SSRC: 1, Sequence: uint16(i), Timestamp: 12345 + uint32(i)*160}, true)
	}
	if got := r.Totals().Jitter; got < 9*ms || got > 11*ms {
		t.Errorf("jitter %v, want 10ms", got)
	}
	steady := rtp.NewReceiver(8000)
	feed(steady, 1, 1, 2, 3, 4)
	if got := steady.Totals().Jitter; got != 0 {
		t.Errorf("jitter %v of a steady stream", got)
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	r := rtp.NewReceiver(8000)
	h := rtp.Header{SSRC: 1}
	if n := testing.AllocsPerRun(100, func() { h.Sequence++; r.Receive(0, h, true) }); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}
