// Package g722 is the wideband codec of ITU-T G.722 at 64 kbit/s: 16 kHz audio
// in two sub-bands, each ADPCM coded, one byte for two samples. The test caller
// and the tests use it; in calls, media/rtp finds keys with it, and makes
// keys, ringing and the comfort tone. It encodes nothing that is said in a call.
//
// Block names in comments are those of the recommendation's chapter 6.
package g722

// A band is the adaptive predictor and quantizer of one sub-band (BLOCK 4).
type band struct {
	s, sp, sz int    // predicted signal: sum, pole part, zero part
	r, p      [3]int // reconstructed and partially reconstructed signal
	a         [3]int // pole coefficients
	d, b      [7]int // difference signal and zero coefficients
	nb, det   int    // logarithmic and linear quantizer scale
}

func clamp(v, low, high int) int { return max(low, min(v, high)) }

func sat(v int) int { return clamp(v, -32768, 32767) }

func sameSign(a, b int) bool { return (a < 0) == (b < 0) }

// adapt moves the band on by one quantized difference d.
func (n *band) adapt(d int) {
	n.d[0] = d
	n.r[0] = sat(n.s + d)
	n.p[0] = sat(n.sz + d)
	a1, a2 := n.poles()
	n.zeros()
	copy(n.d[1:], n.d[:6])
	n.r[2], n.r[1] = n.r[1], n.r[0]
	n.p[2], n.p[1] = n.p[1], n.p[0]
	n.a[1], n.a[2] = a1, a2
	n.predict()
}

// poles returns the next pole coefficients (UPPOL2, UPPOL1).
func (n *band) poles() (a1, a2 int) {
	w := sat(n.a[1] << 2)
	if sameSign(n.p[0], n.p[1]) {
		w = min(-w, 32767)
	}
	a2 = -128
	if sameSign(n.p[0], n.p[2]) {
		a2 = 128
	}
	a2 = clamp(a2+w>>7+n.a[2]*32512>>15, -12288, 12288)
	a1 = -192
	if sameSign(n.p[0], n.p[1]) {
		a1 = 192
	}
	limit := sat(15360 - a2)
	return clamp(sat(a1+n.a[1]*32640>>15), -limit, limit), a2
}

// zeros updates the zero coefficients (UPZERO).
func (n *band) zeros() {
	step := 128
	if n.d[0] == 0 {
		step = 0
	}
	for i := 1; i < 7; i++ {
		w := -step
		if sameSign(n.d[i], n.d[0]) {
			w = step
		}
		n.b[i] = sat(w + n.b[i]*32640>>15)
	}
}

// predict computes the next predicted sample (FILTEP, FILTEZ, PREDIC).
func (n *band) predict() {
	n.sp = sat(n.a[1]*sat(2*n.r[1])>>15 + n.a[2]*sat(2*n.r[2])>>15)
	sz := 0
	for i := 6; i > 0; i-- {
		sz += n.b[i] * sat(2*n.d[i]) >> 15
	}
	n.sz = sat(sz)
	n.s = sat(n.sp + n.sz)
}

// scale adapts the quantizer by weight w (LOGSCL and SCALEL, LOGSCH and SCALEH).
func (n *band) scale(w, highest, shift int) {
	n.nb = clamp(n.nb*127>>7+w, 0, highest)
	v := ilb[n.nb>>6&31]
	if by := shift - n.nb>>11; by < 0 {
		v <<= -by
	} else {
		v >>= by
	}
	n.det = v << 2
}

// low moves the lower band on by its 4 bits of the 6-bit code.
func (n *band) low(code int) {
	d := n.det * qm4[code] >> 15
	n.scale(wl[rl42[code]], 18432, 8)
	n.adapt(d)
}

// high moves the upper band on by its 2-bit code.
func (n *band) high(code int) {
	d := n.det * qm2[code] >> 15
	n.scale(wh[rh2[code]], 22528, 10)
	n.adapt(d)
}

// A filter is the 24-tap quadrature mirror filter's delay line.
type filter [24]int

// push shifts two samples in and returns the sums over the two phases.
func (f *filter) push(a, b int) (odd, even int) {
	copy(f[:], f[2:])
	f[22], f[23] = a, b
	for i, c := range qmf {
		odd += f[2*i] * c
		even += f[2*i+1] * qmf[11-i]
	}
	return odd, even
}

// An Encoder turns samples into G.722. It keeps state from call to call.
type Encoder struct {
	lower, upper band
	x            filter
}

// NewEncoder returns an encoder in the recommendation's reset state.
func NewEncoder() *Encoder {
	return &Encoder{lower: band{det: 32}, upper: band{det: 8}}
}

// Append encodes pcm, at 16000 samples a second, to dst: one byte for each two
// samples. A last odd sample is left out.
func (e *Encoder) Append(dst []byte, pcm []int16) []byte {
	for i := 0; i+1 < len(pcm); i += 2 {
		odd, even := e.x.push(int(pcm[i]), int(pcm[i+1]))
		dst = append(dst, e.code((even+odd)>>14, (even-odd)>>14))
	}
	return dst
}

// code quantizes one sample of each band (QUANTL, QUANTH).
func (e *Encoder) code(xl, xh int) byte {
	el := sat(xl - e.lower.s)
	m := el
	if el < 0 {
		m = -(el + 1)
	}
	i := 1
	for i < 30 && m >= q6[i]*e.lower.det>>12 {
		i++
	}
	low := ilp[i]
	if el < 0 {
		low = iln[i]
	}
	e.lower.low(low >> 2)

	eh := sat(xh - e.upper.s)
	m, i = eh, 1
	if eh < 0 {
		m = -(eh + 1)
	}
	if m >= 564*e.upper.det>>12 {
		i = 2
	}
	high := ihp[i]
	if eh < 0 {
		high = ihn[i]
	}
	e.upper.high(high)
	return byte(high<<6 | low)
}

// A Decoder turns G.722 into samples. It keeps state from call to call.
type Decoder struct {
	lower, upper band
	x            filter
}

// NewDecoder returns a decoder in the recommendation's reset state.
func NewDecoder() *Decoder {
	return &Decoder{lower: band{det: 32}, upper: band{det: 8}}
}

// Append decodes b to dst: two samples, at 16000 a second, for each byte.
func (d *Decoder) Append(dst []int16, b []byte) []int16 {
	for _, c := range b {
		low, high := int(c&63), int(c>>6)
		rl := clamp(d.lower.s+d.lower.det*qm6[low]>>15, -16384, 16383)
		d.lower.low(low >> 2)
		rh := clamp(d.upper.s+d.upper.det*qm2[high]>>15, -16384, 16383)
		d.upper.high(high)
		odd, even := d.x.push(rl+rh, rl-rh)
		dst = append(dst, int16(sat(even>>11)), int16(sat(odd>>11)))
	}
	return dst
}
