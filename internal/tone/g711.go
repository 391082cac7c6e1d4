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

// EncodePCMU returns pcm as µ-law.
func EncodePCMU(pcm []int16) []byte { return encode(pcm, compressUlaw) }

// EncodePCMA returns pcm as A-law.
func EncodePCMA(pcm []int16) []byte { return encode(pcm, compressAlaw) }

// DecodePCMU returns the samples of µ-law bytes.
func DecodePCMU(b []byte) []int16 { return AppendPCMU(make([]int16, 0, len(b)), b) }

// DecodePCMA returns the samples of A-law bytes.
func DecodePCMA(b []byte) []int16 { return AppendPCMA(make([]int16, 0, len(b)), b) }

// AppendPCMU appends the samples of µ-law bytes.
func AppendPCMU(dst []int16, b []byte) []int16 { return appendDecoded(dst, b, &ulawTable) }

// AppendPCMA appends the samples of A-law bytes.
func AppendPCMA(dst []int16, b []byte) []int16 { return appendDecoded(dst, b, &alawTable) }

func encode(pcm []int16, compress func(int16) byte) []byte {
	out := make([]byte, len(pcm))
	for i, s := range pcm {
		out[i] = compress(s)
	}
	return out
}

func appendDecoded(dst []int16, b []byte, t *[256]int16) []int16 {
	for _, c := range b {
		dst = append(dst, t[c])
	}
	return dst
}
