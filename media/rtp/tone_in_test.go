package rtp_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
	"patchbay/media/rtp"
)

// dBm0 is the amplitude of a sine of that level in G.711.
func dBm0(level float64) float64 { return 22303 * math.Pow(10, level/20) }

// rows and columns are the tones of the keypad.
var (
	rows, columns = []float64{697, 770, 852, 941}, []float64{1209, 1336, 1477, 1633}
	keypad        = []string{"123A", "456B", "789C", "*0#D"}
)

// A line is a telephone line at 8000 samples a second.
type line struct {
	pcm   []float64
	noise *rand.Rand
}

func newLine() *line { return &line{noise: rand.New(rand.NewPCG(1, 2))} }

func (l *line) quiet(d time.Duration) *line { return l.press("", d, 0, 0, 0, 0) }

// press adds a key at two levels, with its frequencies off by shares of them.
func (l *line) press(key string, d time.Duration, low, high, offLow, offHigh float64) *line {
	fl, fh := 0.0, 0.0
	for i, keys := range keypad {
		if at := strings.Index(keys, key); at >= 0 && key != "" {
			fl, fh = rows[i]*(1+offLow), columns[at]*(1+offHigh)
		}
	}
	for i := range int(d * 8000 / time.Second) {
		t := 2 * math.Pi * float64(i) / 8000
		v := 0.0
		if key != "" {
			v = dBm0(low)*math.Sin(fl*t+1) + dBm0(high)*math.Sin(fh*t+2)
		}
		l.pcm = append(l.pcm, v)
	}
	return l
}

// hiss adds Gaussian noise of a level to all that is there.
func (l *line) hiss(level float64) *line {
	for i := range l.pcm {
		l.pcm[i] += l.noise.NormFloat64() * dBm0(level) / math.Sqrt2
	}
	return l
}

func (l *line) samples() []int16 {
	pcm := make([]int16, (len(l.pcm)+159)/160*160)
	for i, v := range l.pcm {
		pcm[i] = int16(max(-32768, min(32767, math.Round(v))))
	}
	return pcm
}

// hear has a reader listen, in packets of 20 ms; nothing is heard of those that
// lost says.
func (l *line) hear(t testing.TB, codec string, lost func(i int) bool) string {
	t.Helper()
	payload := tone.EncodePCMU(l.samples())
	switch codec {
	case "PCMA":
		payload = tone.EncodePCMA(l.samples())
	case "G722":
		var wide []int16
		pcm := l.samples()
		for i, v := range pcm { // between two samples a straight line
			wide = append(wide, v, int16((int(v)+int(pcm[min(i+1, len(pcm)-1)]))/2))
		}
		payload = g722.NewEncoder().Append(nil, wide)
	}
	h := &heard{}
	r := rtp.NewToneReader(codec)
	ts, now := uint32(math.MaxUint32-2000), time.Duration(0)
	for i := 0; len(payload) >= 160; i++ {
		if lost == nil || !lost(i) {
			presses, n := r.Read(now, ts, payload[:160])
			for _, p := range presses[:n] {
				h.add(p)
			}
		}
		payload, ts, now = payload[160:], ts+160, now+20*ms
	}
	if p, ok := r.Expire(now + time.Second); ok {
		h.add(p)
	}
	return strings.Join(h.got, " ")
}

// keysIn are the keys that were pressed and released, and nothing else.
func keysIn(t testing.TB, heard string) string {
	t.Helper()
	var keys strings.Builder
	down := byte(0)
	for word := range strings.FieldsSeq(heard) {
		switch {
		case word[0] == '+' && down == 0:
			down = word[1]
		case word[0] == '-' && down == word[1]:
			keys.WriteByte(down)
			down = 0
		default:
			t.Fatalf("heard %s", heard)
		}
	}
	return keys.String()
}

func TestEveryKeyIsHeardInEveryCodecThatIsDecoded(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"PCMU", "PCMA", "G722"} {
		l := newLine().quiet(100 * ms)
		for _, key := range "0123456789*#ABCD" {
			l.press(string(key), 80*ms, -9, -7, 0, 0).quiet(60 * ms)
		}
		if got := keysIn(t, l.hear(t, codec, nil)); got != "0123456789*#ABCD" {
			t.Errorf("%s: heard %q", codec, got)
		}
	}
	if rtp.NewToneReader("opus") != nil {
		t.Error("Opus is not decoded")
	}
}

// TestKeysAreAcceptedAndRefusedAsQ24Says presses a key seven times, each a
// little later within the packets than the one before.
func TestKeysAreAcceptedAndRefusedAsQ24Says(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		held            time.Duration
		low, high       float64
		offLow, offHigh float64
		pause           time.Duration
		hiss            float64
		accept          bool
	}{
		"40 ms":                        {held: 40 * ms, accept: true},
		"23 ms":                        {held: 23 * ms},
		"10 ms":                        {held: 10 * ms},
		"a pause of 40 ms":             {held: 40 * ms, pause: 40 * ms, accept: true},
		"1.5 % high":                   {offLow: 0.015, offHigh: 0.015, accept: true},
		"1.5 % low":                    {offLow: -0.015, offHigh: -0.015, accept: true},
		"1.5 % apart":                  {offLow: 0.015, offHigh: -0.015, accept: true},
		"1.5 % high for 40 ms":         {held: 40 * ms, offLow: 0.015, offHigh: 0.015, accept: true},
		"row 3.5 % high":               {offLow: 0.035},
		"row 3.5 % low":                {offLow: -0.035},
		"column 3.5 % high":            {offHigh: 0.035},
		"column 3.5 % low":             {offHigh: -0.035},
		"column 4 dB over its row":     {low: -12, high: -8, accept: true},
		"column 8 dB under its row":    {low: -6, high: -14, accept: true},
		"column 7 dB over its row":     {low: -14, high: -7},
		"column 11 dB under its row":   {low: -5, high: -16},
		"as loud as can be":            {low: -1, high: -1, accept: true},
		"-25 dBm0":                     {low: -25, high: -25, accept: true},
		"-29 dBm0":                     {low: -29, high: -29, accept: true},
		"-45 dBm0":                     {low: -45, high: -45},
		"-55 dBm0":                     {low: -55, high: -55},
		"15 dB over noise":             {low: -10, high: -10, hiss: -25, accept: true},
		"15 dB over noise for 40 ms":   {held: 40 * ms, low: -10, high: -10, hiss: -25, accept: true},
		"twist, off and noise at once": {low: -10, high: -14, offLow: 0.012, offHigh: -0.012, hiss: -30, accept: true},
		"under noise":                  {low: -20, high: -20, hiss: -18},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for key := range strings.SplitSeq("1 5 * D", " ") {
				for i := range 7 {
					l := newLine().quiet(100*ms + time.Duration(i)*3*ms)
					if tc.low == 0 {
						tc.low, tc.high = -10, -8
					}
					if tc.held == 0 {
						tc.held = 80 * ms
					}
					if tc.pause == 0 {
						tc.pause = 100 * ms
					}
					for range 3 {
						l.press(key, tc.held, tc.low, tc.high, tc.offLow, tc.offHigh).quiet(tc.pause)
					}
					l.quiet(100 * ms)
					if tc.hiss != 0 {
						l.hiss(tc.hiss)
					}
					want := map[bool]string{true: strings.Repeat(key, 3)}[tc.accept]
					if got := keysIn(t, l.hear(t, "PCMU", nil)); got != want {
						t.Errorf("%s, %d: heard %q, want %q", key, i, got, want)
					}
				}
			}
		})
	}
}

func TestAnInterruptionOfTenMillisecondsIsNoSecondPress(t *testing.T) {
	t.Parallel()
	for i := range 16 {
		l := newLine().quiet(100*ms+time.Duration(i)*1250*time.Microsecond).press("5", 60*ms, -9, -7, 0, 0).
			quiet(10*ms).press("5", 60*ms, -9, -7, 0, 0).quiet(200 * ms)
		if got := keysIn(t, l.hear(t, "PCMU", nil)); got != "5" {
			t.Errorf("%d: heard %q", i, got)
		}
	}
}

func TestAKeyIsOneOverALostPacketAndEndsWithTheAudio(t *testing.T) {
	t.Parallel()
	l := newLine().quiet(100*ms).press("8", 200*ms, -9, -7, 0.01, -0.01).quiet(100 * ms)
	for lost := 5; lost < 15; lost++ {
		if got := keysIn(t, l.hear(t, "PCMU", func(i int) bool { return i == lost })); got != "8" {
			t.Errorf("without packet %d: heard %q", lost, got)
		}
	}
	if got := keysIn(t, l.hear(t, "PCMU", func(i int) bool { return i >= 10 })); got != "8" {
		t.Errorf("cut off: heard %q", got)
	}
}

func TestHowLongAKeyWasHeldIsTold(t *testing.T) {
	t.Parallel()
	for _, held := range []time.Duration{50 * ms, 100 * ms, time.Second} {
		got := newLine().quiet(100*ms).press("3", held, -9, -7, 0, 0).quiet(100*ms).hear(t, "PCMU", nil)
		var told time.Duration
		if i := strings.Index(got, "-3:"); i >= 0 {
			told, _ = time.ParseDuration(got[i+3:])
		}
		if d := told - held; d < -10*ms || d > 10*ms {
			t.Errorf("held %v: %s", held, got)
		}
	}
}

func TestPacketsOfEveryLengthAndOldOnesAreTaken(t *testing.T) {
	t.Parallel()
	payload := tone.EncodePCMA(newLine().quiet(90*ms).press("7", 90*ms, -9, -7, 0, 0).quiet(180 * ms).samples())
	for _, size := range []int{80, 120, 160, 240, 320, 480} { // 10 to 60 ms
		h, r, ts := &heard{}, rtp.NewToneReader("PCMA"), uint32(7)
		for b := payload; len(b) >= size; b = b[size:] {
			for range 2 { // the second is a copy
				presses, n := r.Read(0, ts, b[:size])
				for _, p := range presses[:n] {
					h.add(p)
				}
			}
			ts += uint32(size)
		}
		if got := keysIn(t, strings.Join(h.got, " ")); got != "7" {
			t.Errorf("%d samples a packet: heard %q", size, got)
		}
	}
}

// speaker is a voice: a pulse at its pitch through three resonators that move
// from vowel to vowel, with sibilants between.
func (l *line) speaker(d time.Duration) *line {
	vowels := [][3]float64{{730, 1090, 2440}, {270, 2290, 3010}, {660, 1720, 2410}, {300, 870, 2240}, {490, 1350, 1690}, {570, 840, 2410}, {690, 1220, 2600}, {850, 1340, 2800}}
	type resonator struct{ y1, y2 float64 }
	var formants [3]resonator
	from, to, phase, pitch, at, long := vowels[0], vowels[1], 0.0, 120.0, 0, 1600
	voiced := true
	for range int(d * 8000 / time.Second) {
		if at++; at > long {
			from, to, at, long = to, vowels[l.noise.IntN(len(vowels))], 0, 400+l.noise.IntN(2400)
			pitch, voiced = 80+200*l.noise.Float64(), l.noise.IntN(5) > 0
		}
		mix := min(1, 2*float64(at)/float64(long))
		v := 0.0
		if phase += pitch * (1 + 0.02*math.Sin(float64(at)/500)) / 8000; phase >= 1 {
			phase--
			v = 1
		}
		if !voiced {
			v = 0.1 * l.noise.NormFloat64()
		}
		for i := range formants {
			f, band := from[i]*(1-mix)+to[i]*mix, 60+40*float64(i)
			r := math.Exp(-math.Pi * band / 8000)
			y := v + 2*r*math.Cos(2*math.Pi*f/8000)*formants[i].y1 - r*r*formants[i].y2
			formants[i].y2, formants[i].y1 = formants[i].y1, y
			v = y * (1 - r)
		}
		l.pcm = append(l.pcm, v*400000)
	}
	return l
}

func TestSpeechNoiseMusicAndTonesOfTheNetworkAreNoKeys(t *testing.T) {
	t.Parallel()
	chirp := func(l *line, a, b float64, d time.Duration) *line {
		for i := range int(d * 8000 / time.Second) {
			t := float64(i) / 8000
			l.pcm = append(l.pcm, dBm0(-9)*(math.Sin(2*math.Pi*(a*t+1500*t*t))+math.Sin(2*math.Pi*(b*t+1900*t*t))))
		}
		return l
	}
	steady := func(d time.Duration, hertz ...float64) *line {
		l := newLine()
		for i := range int(d * 8000 / time.Second) {
			v := 0.0
			for _, f := range hertz {
				v += dBm0(-10) * math.Sin(2*math.Pi*f*float64(i)/8000)
			}
			l.pcm = append(l.pcm, v)
		}
		return l
	}
	for name, l := range map[string]*line{
		"a voice for two minutes":  newLine().speaker(2 * time.Minute),
		"white noise for a minute": newLine().quiet(time.Minute).hiss(-15),
		"silence":                  newLine().quiet(time.Second),
		"a chirp":                  chirp(newLine(), 600, 1100, 300*ms),
		"dial tone":                steady(time.Second, 350, 440),
		"ringback":                 steady(time.Second, 440, 480),
		"busy":                     steady(time.Second, 480, 620),
		"425 Hz":                   steady(time.Second, 425),
		"information tones":        steady(time.Second, 950, 1400),
		"a fax":                    steady(time.Second, 1100),
		"a modem":                  steady(time.Second, 2100),
		"one row":                  steady(time.Second, 770),
		"one column":               steady(time.Second, 1336),
		"two rows":                 steady(time.Second, 697, 941),
		"two columns":              steady(time.Second, 1209, 1477),
		"a chord":                  steady(time.Second, 697, 1209, 1000),
		"two keys":                 steady(time.Second, 697, 770, 1209, 1336),
		"multi-frequency":          steady(time.Second, 700, 1100),
		"multi-frequency 2":        steady(time.Second, 900, 1300),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := l.hear(t, "PCMU", nil); got != "" {
				t.Errorf("heard %s", got)
			}
		})
	}
}

func TestAKeyIsHeardBesideAVoiceThatPauses(t *testing.T) {
	t.Parallel()
	l := newLine().speaker(2*time.Second).quiet(60*ms).press("4", 100*ms, -9, -7, 0, 0).quiet(60 * ms)
	l.speaker(2 * time.Second)
	if got := keysIn(t, l.hear(t, "PCMU", nil)); got != "4" {
		t.Errorf("heard %q", got)
	}
}

func TestListeningForKeysAllocatesNothing(t *testing.T) {
	for _, codec := range []string{"PCMU", "G722"} {
		r, ts := rtp.NewToneReader(codec), uint32(0)
		payload := tone.EncodePCMU(newLine().press("5", 20*ms, -9, -7, 0, 0).samples())
		if n := testing.AllocsPerRun(200, func() { r.Read(0, ts, payload); ts += 160 }); n > 0 {
			t.Errorf("%s: %v allocations a packet", codec, n)
		}
	}
}

// FuzzTones holds the reader to keys that are released once, whatever it hears.
func FuzzTones(f *testing.F) {
	f.Add(uint8(0), tone.EncodePCMU(newLine().press("5", 100*ms, -9, -7, 0, 0).quiet(100*ms).samples()))
	f.Add(uint8(200), make([]byte, 3000))
	f.Fuzz(func(t *testing.T, odd uint8, b []byte) {
		r, ts, h := rtp.NewToneReader("PCMU"), uint32(0), &heard{}
		for i := 0; len(b) > 0; i++ {
			size := min(len(b), 1+int(odd)+int(b[0]))
			presses, n := r.Read(time.Duration(i)*20*ms, ts, b[:size])
			for _, p := range presses[:n] {
				h.add(p)
			}
			ts += uint32(size) + uint32(b[0])/200*uint32(odd)
			b = b[size:]
		}
		if p, ok := r.Reset(); ok {
			h.add(p)
		}
		keysIn(t, strings.Join(h.got, " "))
	})
}

func BenchmarkListenForKeys(b *testing.B) {
	speech, key := newLine().speaker(10*time.Second), newLine().press("5", 10*time.Second, -9, -7, 0, 0)
	for _, codec := range []string{"PCMU", "G722"} {
		for name, l := range map[string]*line{"speech": speech, "key": key, "silence": newLine().quiet(10 * time.Second)} {
			b.Run(fmt.Sprint(codec, "/", name), func(b *testing.B) {
				payload, r := tone.EncodePCMU(l.samples()), rtp.NewToneReader(codec)
				b.ReportAllocs()
				ts := uint32(0)
				for b.Loop() {
					at := int(ts) % (len(payload) - 160)
					r.Read(0, ts, payload[at:at+160])
					ts += 160
				}
			})
		}
	}
}
