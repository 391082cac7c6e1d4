package rtp_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"patchbay/media/rtp"
)

// audio is a packet whose octets count on from its timestamp.
func audio(seq uint16, ts uint32, octets int) []byte {
	b := make([]byte, rtp.HeaderSize+octets)
	rtp.Header{PayloadType: 96, Sequence: seq, Timestamp: ts, SSRC: 7}.Put(b)
	for i := range octets {
		b[rtp.HeaderSize+i] = byte(ts + uint32(i))
	}
	return b
}

// cut takes packets and returns what leaves.
func cut(c *rtp.Cutter, packets ...[]byte) (out [][]byte) {
	for _, p := range packets {
		c.Take(p)
		for b, ok := c.Next(); ok; b, ok = c.Next() {
			out = append(out, bytes.Clone(b))
		}
	}
	return out
}

func TestPacketsOfAnyLengthAreCutToWhatTheCarrierAsksFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c rtp.Cutter
		ptime := rapid.SampledFrom([]int{10, 30, 40, 50, 60}).Draw(t, "ptime")
		c.Set(96, "PCMA", ptime)
		ts, seq := rapid.Uint32().Draw(t, "timestamp"), rapid.Uint16().Draw(t, "sequence")
		begun, total := ts, 0
		var out [][]byte
		for range rapid.IntRange(1, 30).Draw(t, "packets") {
			n := rapid.IntRange(1, 120).Draw(t, "ms") * 8
			out = append(out, cut(&c, audio(seq, ts, n))...)
			ts, seq, total = ts+uint32(n), seq+1, total+n
		}
		if want := total / (ptime * 8); len(out) != want {
			t.Fatalf("%d packets, want %d", len(out), want)
		}
		if b, ok := c.Flush(); ok {
			out = append(out, bytes.Clone(b))
		}
		next, place := begun, uint16(0)
		for i, b := range out {
			h, start, end, err := rtp.Parse(b)
			if err != nil || h.Timestamp != next || h.PayloadType != 96 || h.SSRC != 7 {
				t.Fatalf("packet %d: %+v, %v; want the timestamp %d", i, h, err, next)
			}
			if i > 0 && h.Sequence != place+1 {
				t.Fatalf("packet %d has number %d after %d", i, h.Sequence, place)
			}
			for j, octet := range b[start:end] {
				if octet != byte(next+uint32(j)) {
					t.Fatalf("packet %d: octet %d is another one's", i, j)
				}
			}
			next, place = next+uint32(end-start), h.Sequence
		}
		if next != ts {
			t.Errorf("audio ends at %d, want %d", next, ts)
		}
	})
}

func TestWhatIsLostIsAGapInTheCutStreamToo(t *testing.T) {
	t.Parallel()
	var c rtp.Cutter
	c.Set(96, "PCMU", 30)
	out := cut(&c, audio(1, 0, 160), audio(2, 160, 160), // 240 and 80 octets
		audio(6, 800, 160), audio(5, 640, 160), audio(7, 960, 160)) // three are lost, one is late
	var got [][3]int
	for _, b := range out {
		h, start, end, _ := rtp.Parse(b)
		got = append(got, [3]int{int(h.Sequence), int(h.Timestamp), end - start})
	}
	// The three that are lost held two packets of this length.
	if want := [][3]int{{1, 0, 240}, {2, 240, 80}, {5, 800, 240}}; !slices.Equal(got, want) {
		t.Errorf("number, timestamp, octets: %v, want %v", got, want)
	}
}

func TestKeysPauseTheCutAndStartsOfSpeechBeginAPacket(t *testing.T) {
	t.Parallel()
	var c rtp.Cutter
	c.Set(96, "G722", 60)
	key := audio(2, 160, 4)
	key[1] = 101
	speech := audio(3, 8000, 480)
	speech[1] |= 0x80
	out := cut(&c, audio(1, 0, 160), key, speech)
	if len(out) != 3 {
		t.Fatalf("%d packets, want 3", len(out))
	}
	for i, want := range []rtp.Header{{PayloadType: 96, Sequence: 1, SSRC: 7}, {PayloadType: 101, Sequence: 2, Timestamp: 160, SSRC: 7},
		{PayloadType: 96, Marker: true, Sequence: 3, Timestamp: 8000, SSRC: 7}} {
		if h, _, _, err := rtp.Parse(out[i]); err != nil || h != want {
			t.Errorf("packet %d: %+v, %v; want %+v", i, h, err, want)
		}
	}
}

func TestNothingIsCutForMostCarriers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		codec string
		ptime int
		cuts  bool
	}{{"PCMU", 0, false}, {"PCMU", 20, false}, {"PCMU", 30, true}, {"pcma", 10, true}, {"G722", 60, true}, {"G722", 70, false}, {"PCMA", 9, false}, {"opus", 40, false}} {
		var c rtp.Cutter
		if c.Set(96, tc.codec, tc.ptime); c.Cuts() != tc.cuts {
			t.Errorf("%s in %d ms: %v", tc.codec, tc.ptime, !tc.cuts)
		}
	}
}

func FuzzCutter(f *testing.F) {
	f.Add(audio(1, 0, 160), audio(2, 160, 160), 30)
	f.Add([]byte{0x80}, audio(9, 7, 0), 10)
	f.Fuzz(func(t *testing.T, a, b []byte, ptime int) {
		var c rtp.Cutter
		c.Set(96, "PCMU", ptime)
		if !c.Cuts() {
			return
		}
		for _, out := range cut(&c, a, b, bytes.Clone(a)) {
			if _, _, _, err := rtp.Parse(out); err != nil {
				t.Fatal(err)
			}
		}
	})
}
