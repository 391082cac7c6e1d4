package tone

import "math/bits"

// G.711 (ITU-T G.711): 8-bit logarithmic PCM at 8000 samples a second.

// Decoding tables, and the bias of µ-law on the 16-bit scale.
var (
	ulawTable = table(expandUlaw)
	alawTable = table(expandAlaw)
)

const ulawBias = 0x84

func table(expand func(byte) int16) (t [256]int16) {
	for i := range t {
		t[i] = expand(byte(i))
	}
	return t
}

func expandUlaw(u byte) int16 {
	u = ^u
	v := ((int(u&0x0f) << 3) + ulawBias) << (u >> 4 & 7)
	if u&0x80 != 0 {
		return int16(ulawBias - v)
	}
	return int16(v - ulawBias)
}

func expandAlaw(a byte) int16 {
	a ^= 0x55
	v := int(a&0x0f)<<4 + 8
	if segment := a >> 4 & 7; segment > 0 {
		v = (v + 0x100) << (segment - 1)
	}
	if a&0x80 == 0 {
		return int16(-v)
	}
	return int16(v)
}

func compressUlaw(s int16) byte {
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, 32635) + ulawBias
	segment := bits.Len(uint(v)) - 8
	return ^(sign | byte(segment)<<4 | byte(v>>(segment+3))&0x0f)
}

func compressAlaw(s int16) byte {
	v, sign := int(s), byte(0x80)
	if v < 0 {
		v, sign = ^v, 0
	}
	segment := max(bits.Len(uint(v))-8, 0)
	mantissa := v >> 4
	if segment > 0 {
		mantissa = v >> (segment + 3)
	}
	return (sign | byte(segment)<<4 | byte(mantissa)&0x0f) ^ 0x55
}

// AppendPCMU appends pcm as µ-law to dst.
func AppendPCMU(dst []byte, pcm []int16) []byte {
	for _, s := range pcm {
		dst = append(dst, compressUlaw(s))
	}
	return dst
}

// AppendPCMA appends pcm as A-law to dst.
func AppendPCMA(dst []byte, pcm []int16) []byte {
	for _, s := range pcm {
		dst = append(dst, compressAlaw(s))
	}
	return dst
}

// DecodePCMU appends µ-law bytes to dst as samples.
func DecodePCMU(dst []int16, b []byte) []int16 {
	for _, u := range b {
		dst = append(dst, ulawTable[u])
	}
	return dst
}

// DecodePCMA appends A-law bytes to dst as samples.
func DecodePCMA(dst []int16, b []byte) []int16 {
	for _, a := range b {
		dst = append(dst, alawTable[a])
	}
	return dst
}
