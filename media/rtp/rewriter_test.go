package rtp_test

import (
	"testing"
	"time"

	"patchbay/media/rtp"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

// A stream feeds a rewriter and reads what comes out.
type stream struct {
	t  *testing.T
	rw *rtp.Rewriter
}

func newStream(t *testing.T) stream {
	rw := rtp.NewRewriter(0xabcd, 1000, 50000, 8000)
	rw.Map(0, 8)
	return stream{t, rw}
}

func (s stream) send(now time.Duration, ssrc uint32, seq uint16, ts uint32) rtp.Header {
	s.t.Helper()
	h, ok := s.try(now, ssrc, seq, ts)
	if !ok {
		s.t.Fatalf("packet %d of %x was dropped", seq, ssrc)
	}
	return h
}

func (s stream) try(now time.Duration, ssrc uint32, seq uint16, ts uint32) (rtp.Header, bool) {
	out, ok := s.rw.Rewrite(now, packet(rtp.Header{SSRC: ssrc, Sequence: seq, Timestamp: ts}, 1, 2))
	if !ok {
		return rtp.Header{}, false
	}
	h, start, end, err := rtp.Parse(out)
	if err != nil || end-start != 2 || h.SSRC != 0xabcd || h.PayloadType != 8 {
		s.t.Fatalf("%+v, payload %v, %v", h, out[start:end], err)
	}
	return h, true
}

func (s stream) want(h rtp.Header, seq uint16, ts uint32, marker bool) {
	s.t.Helper()
	if h.Sequence != seq || h.Timestamp != ts || h.Marker != marker {
		s.t.Fatalf("seq %d ts %d marker %v, want %d %d %v", h.Sequence, h.Timestamp, h.Marker, seq, ts, marker)
	}
}

func TestStreamStartsWhereItWasToldAndKeepsGapsOfTheSource(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	s.want(s.send(0, 1, 65535, 900), 1000, 50000, true)
	s.want(s.send(20*ms, 1, 0, 1060), 1001, 50160, false)
	s.want(s.send(60*ms, 1, 2, 1380), 1003, 50480, false) // 1 was lost
	s.want(s.send(61*ms, 1, 1, 1220), 1002, 50320, false) // or only late
	s.want(s.send(80*ms, 1, 3, 1540), 1004, 50640, false)
	if _, ok := s.try(81*ms, 1, 3, 1540); ok {
		t.Error("the same packet left twice")
	}
}

func TestSilenceSuppressionOfTheSourceKeepsItsTimestamps(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	s.send(0, 1, 1, 1000)
	s.want(s.send(3*time.Second, 1, 2, 25000), 1001, 74000, false)
}

func TestChangeOfSourceContinuesByTheWallClock(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	s.send(0, 1, 10, 1000)
	s.want(s.send(20*ms, 1, 11, 1160), 1001, 50160, false)
	s.want(s.send(120*ms, 2, 777, 4000000000), 1002, 50160+800, true)
	s.want(s.send(140*ms, 2, 778, 4000000160), 1003, 50160+960, false)
	// Two sources at once never make the stream go back.
	s.want(s.send(141*ms, 1, 12, 1320), 1004, 50160+960+160, true)
}

func TestAJumpWithinOneSourceIsAChangeOfSource(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	s.send(0, 1, 10, 1000)
	s.want(s.send(20*ms, 1, 9000, 1160), 1001, 50160, true)
	s.want(s.send(40*ms, 1, 9001, 77771320), 1002, 50320, true) // only the clock jumped
	s.want(s.send(60*ms, 1, 9002, 77771480), 1003, 50480, false)
}

func TestFilledSilenceFollowsTheWallClockAndTheSourceResumesWithAMarker(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	buf := make([]byte, 200)
	s.send(0, 1, 1, 1000)
	fill := func(now time.Duration) rtp.Header {
		out := s.rw.Fill(now, buf, 8, rtp.Silence("PCMA"))
		h, start, end, err := rtp.Parse(out)
		if err != nil || end-start != 160 || out[start] != 0xd5 || h.PayloadType != 8 {
			t.Fatalf("%+v %v", h, err)
		}
		return h
	}
	s.want(fill(61*ms), 1001, 50480, true) // 60 ms on
	s.want(fill(79*ms), 1002, 50640, false)
	s.want(fill(105*ms), 1003, 50800, false) // ticks jitter, the clock does not
	s.want(fill(122*ms), 1004, 50960, false)
	// The source counted on: its own clock is kept.
	s.want(s.send(140*ms, 1, 2, 1000+1120), 1005, 51120, true)
	s.want(s.send(160*ms, 1, 3, 1000+1280), 1006, 51280, false)
	// A straggler from before the silence has no place any more.
	if _, ok := s.try(161*ms, 1, 1, 1000); ok {
		t.Error("a packet from before the silence was sent")
	}
}

func TestASourceThatStoodStillResumesAtTheWallClock(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	buf := make([]byte, 200)
	s.send(0, 1, 1, 1000)
	for now := 60 * ms; now <= 1000*ms; now += 20 * ms {
		s.rw.Fill(now, buf, 8, rtp.Silence("PCMA"))
	}
	h := s.send(1010*ms, 1, 2, 1160) // as if no time had passed
	if behind := int32(50000 + 1010*8 - h.Timestamp); behind > 80 || behind < -160 {
		t.Errorf("resumed %d ticks off the wall clock", behind)
	}
	s.want(s.send(1030*ms, 1, 3, 1320), h.Sequence+1, h.Timestamp+160, false)
}

func TestUnmappedPacketsLeaveNoHole(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	s.send(0, 1, 1, 1000)
	for _, b := range [][]byte{
		packet(rtp.Header{SSRC: 1, Sequence: 2, Timestamp: 1160, PayloadType: 13}, 1),
		packet(rtp.Header{SSRC: 1, Sequence: 3, Timestamp: 1320}),
		{1, 2, 3},
	} {
		if out, ok := s.rw.Rewrite(20*ms, b); ok {
			t.Fatalf("%v was sent", out)
		}
	}
	s.want(s.send(60*ms, 1, 4, 1480), 1001, 50480, true)
}

func TestExtensionsAndCSRCsDoNotPass(t *testing.T) {
	t.Parallel()
	s := newStream(t)
	b := packet(rtp.Header{SSRC: 1}, 5, 5, 5, 5, 0xbe, 0xde, 0, 0, 42)
	b[0] |= 0x10 | 1
	out, ok := s.rw.Rewrite(0, b)
	if !ok || len(out) != 13 || out[0] != 0x80 || out[12] != 42 {
		t.Errorf("sent %x", out)
	}
}

// Whatever sources do, no sequence number leaves twice and none is skipped but
// for what the source skipped, and time goes on.
func TestNoSequenceNumberLeavesTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		rw := rtp.NewRewriter(1, rapid.Uint16().Draw(rt, "seq"), rapid.Uint32().Draw(rt, "ts"), 8000)
		rw.Map(0, 0)
		sent := map[uint16]bool{}
		see := func(out []byte) {
			h, _, _, _ := rtp.Parse(out)
			if sent[h.Sequence] {
				rt.Fatalf("sequence number %d left twice", h.Sequence)
			}
			sent[h.Sequence] = true
		}
		var now time.Duration
		seq, ssrc := rapid.Uint16().Draw(rt, "first"), uint32(7)
		seen := map[[2]uint32]bool{}
		buf := make([]byte, 200)
		for range rapid.IntRange(1, 300).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(0, 90).Draw(rt, "wait")) * ms
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				see(rw.Fill(now, buf, 0, []byte{1}))
			case 1:
				ssrc++
			case 2:
				rw.Skip()
			case 3:
				see(rw.Event(now, buf, 101, rtp.EventFrame{First: true, End: true, Held: 100 * ms}))
			default:
				seq += uint16(rapid.IntRange(-3, 5).Draw(rt, "move"))
				key := [2]uint32{ssrc, uint32(seq)}
				if seen[key] { // duplicates are the receiver's to stop
					continue
				}
				seen[key] = true
				if out, ok := rw.Rewrite(now, packet(rtp.Header{SSRC: ssrc, Sequence: seq, Timestamp: uint32(now / ms * 8)}, 1)); ok {
					see(out)
				}
			}
		}
	})
}

func TestRewritingAllocatesNothing(t *testing.T) {
	rw := rtp.NewRewriter(1, 0, 0, 8000)
	rw.Map(0, 0)
	b := packet(rtp.Header{SSRC: 5}, make([]byte, 160)...)
	h := rtp.Header{SSRC: 5}
	var now time.Duration
	if n := testing.AllocsPerRun(1000, func() {
		h.Sequence++
		h.Timestamp += 160
		now += 20 * ms
		h.Put(b)
		if _, ok := rw.Rewrite(now, b); !ok {
			t.Fatal("dropped")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a packet", n)
	}
}

func BenchmarkRewrite(b *testing.B) {
	rw := rtp.NewRewriter(1, 0, 0, 8000)
	rw.Map(0, 0)
	rx := rtp.NewReceiver(8000)
	p := packet(rtp.Header{SSRC: 5}, make([]byte, 160)...)
	h := rtp.Header{SSRC: 5}
	var now time.Duration
	b.ReportAllocs()
	for b.Loop() {
		h.Sequence++
		h.Timestamp += 160
		now += 20 * ms
		h.Put(p)
		rx.Receive(now, h, true)
		rw.Rewrite(now, p)
	}
}

// TestAKeyKeepsItsTimestampThoughSilenceWasSentMeanwhile has the packets of one
// key come so late that silence took their place: with another timestamp the
// rest would be a second press. The audio after it goes on from the silence.
func TestAKeyKeepsItsTimestampThoughSilenceWasSentMeanwhile(t *testing.T) {
	t.Parallel()
	rw := rtp.NewRewriter(1, 100, 8000, 8000)
	rw.Map(0, 0)
	rw.Map(101, 101)
	buf := make([]byte, 300)
	type sent struct {
		seq    uint16
		ts     uint32
		marker bool
	}
	var got []sent
	see := func(b []byte, ok bool) {
		h, _, _, err := rtp.Parse(b)
		if !ok || err != nil {
			t.Fatalf("packet %d: %v, %v", len(got), ok, err)
		}
		got = append(got, sent{h.Sequence, h.Timestamp, h.Marker})
	}
	in := func(now time.Duration, pt uint8, seq uint16, ts uint32, payload ...byte) {
		b := append(make([]byte, rtp.HeaderSize), payload...)
		rtp.Header{PayloadType: pt, SSRC: 9, Sequence: seq, Timestamp: ts, Marker: seq == 2}.Put(b)
		see(rw.Rewrite(now, b))
	}
	in(0, 0, 1, 0, 1)
	in(20*ms, 101, 2, 160, event(5, false, 160)...)
	for i := range 4 {
		see(rw.Fill(time.Duration(80+20*i)*ms, buf, 0, make([]byte, 160)), true)
	}
	in(150*ms, 101, 3, 160, event(5, false, 320)...)
	in(151*ms, 101, 4, 160, event(5, true, 480)...)
	in(152*ms, 101, 5, 160, event(5, true, 480)...)
	in(160*ms, 0, 6, 640, 1)
	in(180*ms, 0, 7, 800, 1)
	key, last := got[1].ts, uint32(0)
	for i, p := range got {
		if p.seq != 100+uint16(i) {
			t.Errorf("packet %d has sequence number %d", i, p.seq)
		}
		isKey := i == 1 || i >= 6 && i <= 8
		switch {
		case isKey && (p.ts != key || p.marker != (i == 1)):
			t.Errorf("packet %d of the key: timestamp %d, marker %v; it began at %d", i, p.ts, p.marker, key)
		case !isKey && i > 0 && p.ts <= last:
			t.Errorf("packet %d of audio has timestamp %d after %d", i, p.ts, last)
		case !isKey:
			last = p.ts
		}
	}
}
