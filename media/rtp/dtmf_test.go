package rtp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/media/rtp"
)

// event is the payload of one telephone-event packet.
func event(code byte, end bool, duration uint16) []byte {
	flags := byte(10)
	if end {
		flags |= 0x80
	}
	return []byte{code, flags, byte(duration >> 8), byte(duration)}
}

// A heard collects presses as text: "+5" for a key, "-5:100ms" for its end.
type heard struct {
	r   *rtp.DigitReader
	got []string
}

func newHeard(rate uint32) *heard { return &heard{r: rtp.NewDigitReader(rate)} }

func (h *heard) read(now time.Duration, ts uint32, payload []byte) {
	presses, n, _ := h.r.Read(now, ts, payload)
	for _, p := range presses[:n] {
		h.add(p)
	}
}

func (h *heard) add(p rtp.Press) {
	if p.Ended {
		h.got = append(h.got, fmt.Sprintf("-%c:%v", p.Digit, p.Held))
	} else {
		h.got = append(h.got, fmt.Sprintf("+%c", p.Digit))
	}
}

func (h *heard) want(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(h.got, " "); got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestOneKeyIsOnePressHoweverOftenItsPacketsCome(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	for i, d := range []uint16{160, 320, 320, 480, 640} { // one repeated
		h.read(time.Duration(i)*20*ms, 5000, event(5, false, d))
	}
	for range 3 {
		h.read(100*ms, 5000, event(5, true, 800))
	}
	h.read(120*ms, 5000, event(5, false, 640)) // a straggler
	h.want(t, "+5 -5:100ms")
}

func TestBothClockRates(t *testing.T) {
	t.Parallel()
	h := newHeard(48000)
	h.read(0, 1, event(11, false, 960))
	h.read(80*ms, 1, event(11, true, 4800))
	h.want(t, "+# -#:100ms")
}

func TestAllPacketsButTheLastMayBeLost(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	h.read(0, 1, event(10, true, 800))
	h.read(0, 1, event(10, true, 800))
	h.want(t, "+* -*:100ms")
}

func TestWithoutAnEndTheNextKeyOrTimeEndsIt(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	h.read(0, 1000, event(1, false, 160))
	h.read(20*ms, 1000, event(1, false, 320))
	h.read(140*ms, 3000, event(2, false, 160))
	if _, ok := h.r.Expire(300 * ms); ok {
		t.Error("ended too early")
	}
	if p, ok := h.r.Expire(341 * ms); ok {
		h.add(p)
	}
	if _, ok := h.r.Expire(time.Hour); ok {
		t.Error("ended twice")
	}
	h.read(360*ms, 3000, event(2, true, 800)) // it was only late
	h.want(t, "+1 -1:40ms +2 -2:20ms")
}

func TestTheSameKeyTwiceIsTwoPresses(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	h.read(0, 1000, event(7, true, 400))
	h.read(200*ms, 2600, event(7, true, 400))
	h.read(201*ms, 1000, event(7, true, 400)) // a straggler of the first
	h.want(t, "+7 -7:50ms +7 -7:50ms")
}

func TestALongPressGoesOnInSegments(t *testing.T) {
	t.Parallel()
	h := newHeard(48000)
	h.read(0, 1000, event(3, false, 48000))
	h.read(time.Second, 1000, event(3, false, 65535))
	h.read(1400*ms, 66535, event(3, false, 960))
	h.read(1500*ms, 66535, event(3, true, 30465))
	h.want(t, "+3 -3:2s")
}

func TestAClockSetBackFarBeginsANewPress(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	h.read(0, 1<<30, event(1, true, 160))
	h.read(ms, 5, event(2, true, 160))
	h.want(t, "+1 -1:20ms +2 -2:20ms")
}

func TestAKeyIsOnePressThoughItsSourceChangesMeanwhile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		then func(h *heard)
		want string
	}{
		"the same key goes on":          {func(h *heard) { h.read(40*ms, 900, event(5, false, 480)); h.read(60*ms, 900, event(5, true, 640)) }, "+5 -5:80ms"},
		"with the timestamp it had":     {func(h *heard) { h.read(40*ms, 1000, event(5, false, 480)); h.read(60*ms, 1000, event(5, true, 640)) }, "+5 -5:80ms"},
		"only its end comes":            {func(h *heard) { h.read(60*ms, 70000, event(5, true, 640)); h.read(80*ms, 70000, event(5, true, 640)) }, "+5 -5:80ms"},
		"another key":                   {func(h *heard) { h.read(40*ms, 900, event(6, true, 160)) }, "+5 -5:40ms +6 -6:20ms"},
		"the same key, pressed again":   {func(h *heard) { h.read(90*ms, 900, event(5, false, 160)); h.read(110*ms, 900, event(5, true, 320)) }, "+5 -5:40ms +5 -5:40ms"},
		"the same key, long afterwards": {func(h *heard) { h.read(400*ms, 900, event(5, true, 800)) }, "+5 -5:40ms +5 -5:100ms"},
		"nothing any more": {func(h *heard) {
			if p, ok := h.r.Expire(400 * ms); ok {
				h.add(p)
			}
		}, "+5 -5:40ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHeard(8000)
			h.read(0, 1000, event(5, false, 160))
			h.read(20*ms, 1000, event(5, false, 320))
			h.r.Move()
			tc.then(h)
			h.want(t, tc.want)
		})
	}
}

func TestEndPacketsOfAnotherSourceAreNoSecondPress(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	h.read(0, 1000, event(5, false, 640))
	h.read(20*ms, 1000, event(5, true, 800))
	h.r.Move()
	h.read(40*ms, 77, event(5, true, 800))
	h.read(60*ms, 77, event(5, true, 800))
	h.want(t, "+5 -5:100ms")
	h.read(200*ms, 2000, event(5, true, 800)) // of the same source, later: pressed again
	h.want(t, "+5 -5:100ms +5 -5:100ms")
}

func TestKeysThatOverlapAreBothPresses(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	for i := range 5 {
		h.read(time.Duration(i)*20*ms, 1000, event(1, false, uint16(i+1)*160))
	}
	h.read(100*ms, 1640, event(2, false, 160)) // began before the first had lasted its 100 ms
	h.read(110*ms, 1000, event(1, true, 800))  // its end comes all the same
	h.read(120*ms, 1640, event(2, false, 320))
	h.read(125*ms, 1000, event(1, true, 800))
	h.read(140*ms, 1640, event(2, true, 480))
	h.read(150*ms, 2000, event(2, true, 160)) // the same key, again within what the last claimed
	h.want(t, "+1 -1:100ms +2 -2:60ms +2 -2:20ms")
}

func TestNoMarkerIsNeededAndEndsMayBeOneOrThreeOrNone(t *testing.T) {
	t.Parallel()
	for ends, want := range map[int]string{0: "+9 -9:80ms", 1: "+9 -9:100ms", 3: "+9 -9:100ms", 9: "+9 -9:100ms"} {
		h := newHeard(8000) // it never sees a marker: nothing of it goes by one
		for i := range 4 {
			h.read(time.Duration(i)*20*ms, 4000, event(9, false, uint16(i+1)*160))
		}
		for range ends {
			h.read(100*ms, 4000, event(9, true, 800))
		}
		if p, ok := h.r.Expire(time.Second); ok {
			h.add(p)
		}
		h.want(t, want)
	}
}

func TestALongPressIsOneThoughTheEndOfASegmentIsLost(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	h.read(8100*ms, 1000, event(4, false, 64800))
	h.read(8220*ms, 1000+65535, event(4, false, 160)) // what came between was lost
	h.read(8240*ms, 1000+65535, event(4, true, 320))
	h.want(t, "+4 -4:8.231875s")
}

func TestUnknownEventsAndShortPayloadsAreIgnored(t *testing.T) {
	t.Parallel()
	h := newHeard(8000)
	h.read(0, 1, event(16, true, 160)) // flash
	h.read(0, 1, []byte{1, 0x80, 0})
	h.read(0, 1, nil)
	h.want(t, "")
}

func FuzzDTMF(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 5, 10, 0, 160, 0, 0, 0, 1, 5, 138, 3, 32})
	f.Add([]byte{0, 0, 0, 1, 5, 10, 255, 255, 0, 1, 0, 0, 5, 10, 0, 160})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := rtp.NewDigitReader(8000)
		open := 0
		see := func(p rtp.Press) {
			if p.Ended {
				open--
			} else {
				open++
			}
			if open < 0 || open > 1 || !strings.ContainsRune("0123456789*#ABCD", rune(p.Digit)) || p.Held < 0 {
				t.Fatalf("%+v with %d keys down", p, open)
			}
		}
		var now time.Duration
		for ; len(b) >= 8; b = b[8:] {
			now += 20 * ms
			ts := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
			presses, n, _ := r.Read(now, ts, b[4:8])
			for _, p := range presses[:n] {
				see(p)
			}
		}
		if p, ok := r.Expire(now + time.Second); ok {
			see(p)
		}
		if open != 0 {
			t.Fatal("a key stays down")
		}
	})
}

// sent runs a writer through a rewriter in ticks of 20 ms and returns a line
// for each packet.
func sent(t *testing.T, w *rtp.DigitWriter, rate uint32, ticks int) []string {
	t.Helper()
	rw := rtp.NewRewriter(1, 100, 8000, rate)
	rw.Map(0, 0)
	rw.Rewrite(0, packet(rtp.Header{}, 1))
	buf := make([]byte, 100)
	var lines []string
	for i := range ticks {
		now := time.Duration(i+1) * 20 * ms
		for {
			f, ok := w.Next(now)
			if !ok {
				break
			}
			h, start, _, err := rtp.Parse(rw.Event(now, buf, 101, f))
			if err != nil || h.PayloadType != 101 {
				t.Fatalf("%+v %v", h, err)
			}
			p := buf[start:]
			lines = append(lines, fmt.Sprintf("%v seq=%d ts=%d m=%v code=%d e=%v d=%d",
				now, h.Sequence, h.Timestamp, h.Marker, p[0], p[1]&0x80 != 0, int(p[2])<<8|int(p[3])))
		}
	}
	return lines
}

func TestDigitsLeaveAsRFC4733Wants(t *testing.T) {
	t.Parallel()
	var w rtp.DigitWriter
	if err := w.Push("1w2"); err != nil {
		t.Fatal(err)
	}
	got := sent(t, &w, 8000, 60)
	want := []string{
		"20ms seq=101 ts=8160 m=true code=1 e=false d=160",
		"40ms seq=102 ts=8160 m=false code=1 e=false d=320",
		"60ms seq=103 ts=8160 m=false code=1 e=false d=480",
		"80ms seq=104 ts=8160 m=false code=1 e=false d=640",
		"100ms seq=105 ts=8160 m=false code=1 e=true d=800",
		"120ms seq=106 ts=8160 m=false code=1 e=true d=800",
		"140ms seq=107 ts=8160 m=false code=1 e=true d=800",
		"720ms seq=108 ts=13920 m=true code=2 e=false d=160",
		"740ms seq=109 ts=13920 m=false code=2 e=false d=320",
		"760ms seq=110 ts=13920 m=false code=2 e=false d=480",
		"780ms seq=111 ts=13920 m=false code=2 e=false d=640",
		"800ms seq=112 ts=13920 m=false code=2 e=true d=800",
		"820ms seq=113 ts=13920 m=false code=2 e=true d=800",
		"840ms seq=114 ts=13920 m=false code=2 e=true d=800",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDigitsSentAreDigitsRead(t *testing.T) {
	t.Parallel()
	for _, rate := range []uint32{8000, 48000} {
		var w rtp.DigitWriter
		if err := w.Push("0123456789*#ABCDd"); err != nil {
			t.Fatal(err)
		}
		rw, h := rtp.NewRewriter(1, 65530, 1<<32-1000, rate), newHeard(rate)
		buf := make([]byte, 100)
		for now := time.Duration(0); now < 5*time.Second; now += 20 * ms {
			for f, ok := w.Next(now); ok; f, ok = w.Next(now) {
				out := rw.Event(now, buf, 101, f)
				header, start, end, _ := rtp.Parse(out)
				h.read(now, header.Timestamp, out[start:end])
			}
		}
		var want []string
		for _, d := range "0123456789*#ABCDD" {
			want = append(want, fmt.Sprintf("+%c -%c:100ms", d, d))
		}
		h.want(t, strings.Join(want, " "))
	}
}

func TestAtMostFiveKeysLeaveInASecond(t *testing.T) {
	t.Parallel()
	var w rtp.DigitWriter
	if err := w.Push("1111111111"); err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, line := range sent(t, &w, 8000, 50) {
		if strings.Contains(line, "m=true") {
			keys++
		}
	}
	if keys != 5 {
		t.Errorf("%d keys in a second", keys)
	}
}

func TestDigitsAreTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	var w rtp.DigitWriter
	for _, s := range []string{"", "12x", "1 2", "ü", "W"} {
		if err := w.Push(s); !errors.Is(err, rtp.ErrDigits) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if err := w.Push(strings.Repeat("1", rtp.MaxDigits)); err != nil {
		t.Fatal(err)
	}
	if err := w.Push("2"); !errors.Is(err, rtp.ErrDigitsFull) {
		t.Errorf("one more: %v", err)
	}
	if _, ok := w.Next(0); !ok || !w.Busy() {
		t.Fatal("nothing is due")
	}
	if err := w.Push("2"); err != nil {
		t.Errorf("after one left the queue: %v", err)
	}
}
