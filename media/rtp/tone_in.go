package rtp

import (
	"math"
	"math/cmplx"
	"time"

	"patchbay/internal/g722"
	"patchbay/internal/tone"
)

// The keypad as tones (ITU-T Q.23): a key is one of the low group, its row, and
// one of the high group, its column, Hz.
var toneRows, toneColumns = [4]int{697, 770, 852, 941}, [4]int{1209, 1336, 1477, 1633}

// toneKeys are the event codes of the keys by row and column.
var toneKeys = [4][4]uint8{{1, 2, 3, 12}, {4, 5, 6, 13}, {7, 8, 9, 14}, {10, 0, 11, 15}}

// What counts as a key (ITU-T Q.24, the column of AT&T). Tones are looked for in
// blocks of 5 ms; four of them are one window, and each block ends one.
const (
	toneRate   = 8000
	toneBlock  = 40 // samples
	toneBlocks = 4  // of a window
	tonePerSec = toneRate / toneBlock
	// toneHits is how many windows in a row must hold a key: tones of 23 ms reach
	// four, those of 40 ms six.
	toneHits = 5
	// toneMisses is how many without it end one: 10 ms of silence make five, the 40
	// ms between two presses nine.
	toneMisses = 7
	// toneLeast is the least amplitude of either tone: 35 dB below 0 dBm0. Q.24
	// wants -25 dBm accepted and -55 dBm refused.
	toneLeast = 396
	// toneShare is how much of a window's energy the two tones must have. Speech
	// has its energy in many harmonics.
	toneShare = 0.8
	// toneTwistUp and toneTwistDown are how far the column may be above and below
	// the row, in power: +5 and -9 dB, where Q.24 wants +4 and -8 accepted.
	toneTwistUp, toneTwistDown = 3.17, 0.126
	// toneOff is how far the tones may be from their frequency, over the whole of a
	// key: Q.24 wants 1.5 % accepted and 3.5 % refused. One window knows less well.
	toneOff, toneOffOnce = 0.025, 0.05
	// toneGap is the longest gap in the audio that a key may go on over, ticks: two
	// packets of 20 ms were lost.
	toneGap = 320
)

// toneFilter are the constants of the eight Goertzel filters, rows first.
var toneFilter = func() (f [8]struct {
	hertz  int
	twice  float32 // 2 cos w
	cosine float32
	sine   float32
}) {
	for i := range f {
		f[i].hertz = append(toneRows[:], toneColumns[:]...)[i]
		w := 2 * math.Pi * float64(f[i].hertz) / toneRate
		f[i].twice, f[i].cosine, f[i].sine = float32(2*math.Cos(w)), float32(math.Cos(w)), float32(math.Sin(w))
	}
	return f
}()

// toneTurns are the phases that a tone of n/200 turns a block has at its end:
// all eight frequencies are whole hertz, so they repeat within a second.
var toneTurns = func() (t [tonePerSec]complex64) {
	for i := range t {
		t[i] = complex64(cmplx.Rect(1, -2*math.Pi*float64(i)/tonePerSec))
	}
	return t
}()

// toneWeights is how much each block of a window counts: the ends less, so that
// the two groups do not disturb each other.
var toneWeights = [toneBlocks]float32{1, 2, 2, 1}

const toneWeight = 6 // their sum

// A ToneReader finds keys in the audio itself, for carriers that have no
// telephone-event: two tones that stand alone, of the frequencies, levels and
// times of Q.24. It listens only: the audio goes on as it came. It allocates
// nothing after it was made.
type ToneReader struct {
	codec  string
	decode func(dst []int16, payload []byte) []int16
	wide   bool // the decoder's samples come in pairs
	pcm    [2 * maxTonePacket]int16

	any    bool
	next   uint32        // timestamp of the packet that follows
	last   time.Duration // when the last packet came
	block  [toneBlock]float32
	filled int

	number int // of the block, modulo a second
	bins   [toneBlocks][8]complex64
	energy [toneBlocks]float32
	before [8]complex64 // of the window before

	key   int // candidate: row and column, 4 bits; -1: none
	count int // windows in a row that hold it
	drift [2]float32
	down  int // key that is pressed; -1: none
	held  int // windows since its first
	miss  int
}

// maxTonePacket is the longest packet that is listened to, samples: 100 ms.
const maxTonePacket = 800

// NewToneReader returns a reader of a codec's payloads, by its canonical name,
// or nil where it is none that we decode: Opus passes unheard.
func NewToneReader(codec string) *ToneReader {
	r := &ToneReader{codec: codec, key: -1, down: -1}
	switch codec {
	case "PCMU":
		r.decode = tone.AppendPCMU
	case "PCMA":
		r.decode = tone.AppendPCMA
	case "G722":
		r.decode, r.wide = g722.NewDecoder().Append, true
	default:
		return nil
	}
	return r
}

// Codec is the name of the codec that is listened to.
func (r *ToneReader) Codec() string { return r.codec }

// Read takes the payload of one packet of audio that came at now, and returns
// what it tells, as [DigitReader.Read] does. Packets that come late are passed
// over.
func (r *ToneReader) Read(now time.Duration, ts uint32, payload []byte) (presses [3]Press, n int) {
	if len(payload) == 0 || len(payload) > maxTonePacket || r.late(ts) {
		return presses, 0
	}
	if p, ok := r.skip(ts); ok {
		presses[n] = p
		n++
	}
	pcm := r.decode(r.pcm[:0], payload)
	if r.wide {
		pcm = halve(pcm)
	}
	r.any, r.last, r.next = true, now, ts+uint32(len(pcm))
	for _, v := range pcm {
		r.block[r.filled] = float32(v)
		if r.filled++; r.filled < toneBlock {
			continue
		}
		r.filled = 0
		if p, ok := r.listen(); ok && n < len(presses) {
			presses[n] = p
			n++
		}
	}
	return presses, n
}

// late reports whether a packet comes after the one that follows it.
func (r *ToneReader) late(ts uint32) bool {
	behind := int32(r.next - ts)
	return r.any && behind > 0 && behind < toneRate
}

// skip passes over a gap before a packet. What was said in it is not known, but
// the phase goes on; a long one ends a key.
func (r *ToneReader) skip(ts uint32) (Press, bool) {
	gap := int32(ts - r.next)
	switch {
	case !r.any || gap == 0:
	case gap < 0 || gap > toneGap:
		return r.Reset()
	default:
		r.number, r.filled = (r.number+int(gap)/toneBlock)%tonePerSec, 0
	}
	return Press{}, false
}

// halve has one sample for two: what is over 4 kHz hardly counts.
func halve(pcm []int16) []int16 {
	n := len(pcm) / 2
	for i := range n {
		pcm[i] = int16((int(pcm[2*i]) + int(pcm[2*i+1])) / 2)
	}
	return pcm[:n]
}

// Expire ends a key whose audio has stopped.
func (r *ToneReader) Expire(now time.Duration) (Press, bool) {
	if r.down < 0 || now-r.last < missingEnd {
		return Press{}, false
	}
	return r.Reset()
}

// Reset forgets what was heard: the audio has a new source. A key that is
// pressed is released.
func (r *ToneReader) Reset() (Press, bool) {
	var p Press
	down := r.down >= 0
	if down {
		p = r.release()
	}
	r.any, r.filled, r.key, r.count = false, 0, -1, 0
	r.bins, r.energy, r.before = [toneBlocks][8]complex64{}, [toneBlocks]float32{}, [8]complex64{}
	return p, down
}

// listen takes a block that is full, and says whether the window that it ends
// begins or ends a key.
func (r *ToneReader) listen() (Press, bool) {
	copy(r.bins[:], r.bins[1:])
	copy(r.energy[:], r.energy[1:])
	r.bins[toneBlocks-1], r.energy[toneBlocks-1] = r.measure()
	r.number = (r.number + 1) % tonePerSec
	key, off := r.window()
	if key < 0 || key != r.key {
		r.key, r.count, r.drift = key, 0, [2]float32{}
	}
	if key >= 0 {
		if r.count++; r.count > 1 { // the first window may hold the beginning of the tone only
			r.drift[0], r.drift[1] = r.drift[0]+off[0], r.drift[1]+off[1]
		}
	}
	return r.judge()
}

// judge decides what the latest window means.
func (r *ToneReader) judge() (Press, bool) {
	fresh := r.key >= 0 && r.key != r.down && r.count >= toneHits && r.steady()
	switch {
	case r.down < 0 && fresh:
		r.down, r.held, r.miss = r.key, r.count, 0
		return Press{Digit: digits[toneKeys[r.down>>2][r.down&3]]}, true
	case r.down < 0:
		return Press{}, false
	case r.key == r.down:
		r.held, r.miss = r.held+1+r.miss, 0
		return Press{}, false
	}
	if r.miss++; r.miss < toneMisses && !fresh {
		return Press{}, false
	}
	p := r.release()
	if fresh { // the next window begins it
		r.count--
	}
	return p, true
}

// steady reports whether both tones of the candidate were near their frequency
// all the time.
func (r *ToneReader) steady() bool {
	over := float32(r.count - 1)
	return math.Abs(float64(r.drift[0]/over)) <= toneOff && math.Abs(float64(r.drift[1]/over)) <= toneOff
}

// release ends the key that is pressed. A window is as long as four blocks, and
// counts when three of them hold the tones.
func (r *ToneReader) release() Press {
	p := Press{Digit: digits[toneKeys[r.down>>2][r.down&3]], Ended: true, Held: time.Duration(r.held+1) * time.Second / tonePerSec}
	r.down, r.held, r.miss = -1, 0, 0
	return p
}

// measure runs the filters over the block. Silence has no tones.
func (r *ToneReader) measure() (bins [8]complex64, energy float32) {
	for _, v := range r.block {
		energy += v * v
	}
	if energy < toneBlock*toneLeast*toneLeast/8 {
		return bins, energy
	}
	for i := 0; i < len(toneFilter); i += 2 { // two at a time: each step waits for the one before
		f, g := &toneFilter[i], &toneFilter[i+1]
		var f1, f2, g1, g2 float32
		for _, v := range r.block {
			f1, f2 = v+f.twice*f1-f2, f1
			g1, g2 = v+g.twice*g1-g2, g1
		}
		bins[i] = complex(f1-f.cosine*f2, f.sine*f2) * toneTurns[r.number*f.hertz%tonePerSec]
		bins[i+1] = complex(g1-g.cosine*g2, g.sine*g2) * toneTurns[r.number*g.hertz%tonePerSec]
	}
	return bins, energy
}

// window returns the key that the last four blocks hold, and how far its tones
// are from their frequencies, as shares of them; -1: none.
func (r *ToneReader) window() (key int, off [2]float32) {
	var now [8]complex64
	var energy float32
	for b, w := range toneWeights {
		energy += w * r.energy[b]
		for i := range now {
			now[i] += complex(w, 0) * r.bins[b][i]
		}
	}
	row, column := strongest(now[:4]), 4+strongest(now[4:])
	before := r.before
	r.before = now
	low, offLow := r.tone(row, now[row], before[row])
	high, offHigh := r.tone(column, now[column], before[column])
	least := float32(toneLeast * toneLeast)
	switch {
	case low < least || high < least:
	case high > low*toneTwistUp || high < low*toneTwistDown:
	case max(offLow, -offLow, offHigh, -offHigh) > toneOffOnce:
	case (low+high)/2*toneWeight*toneBlock < toneShare*energy:
	default:
		return row*4 + column - 4, [2]float32{offLow, offHigh}
	}
	return -1, off
}

func strongest(bins []complex64) int {
	best, most := 0, float32(-1)
	for i, b := range bins {
		if p := power(b); p > most {
			best, most = i, p
		}
	}
	return best
}

func power(c complex64) float32 { return real(c)*real(c) + imag(c)*imag(c) }

// tone returns the square of a tone's amplitude, and how far it is from its
// frequency. Its phase, from one window to the next, says how far that is; with
// it the blocks are turned back, so that a tone beside its filter is measured
// whole.
func (r *ToneReader) tone(i int, now, before complex64) (amplitude, off float32) {
	turn := now * complex(real(before), -imag(before))
	if turn == 0 {
		return 0, 0
	}
	angle := math.Atan2(float64(imag(turn)), float64(real(turn)))
	hertz := angle * tonePerSec / (2 * math.Pi)
	step := complex64(cmplx.Rect(1, -angle))
	var sum complex64
	for b := toneBlocks - 1; b >= 0; b-- { // Horner's scheme
		sum = sum*step + complex(toneWeights[b], 0)*r.bins[b][i]
	}
	whole := float32(toneWeight * toneBlock / 2)
	if x := math.Pi * hertz / tonePerSec; math.Abs(x) > 1e-3 {
		whole *= float32(math.Sin(x) / x) // what a block itself loses
	}
	return power(sum) / (whole * whole), float32(hertz) / float32(toneFilter[i].hertz)
}
