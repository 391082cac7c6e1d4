package rtp

import "bytes"

// Silence of 20 ms, by codec. G.722's two codes alternate the smallest step of
// the lower band, so that a decoder's state decays: -60 dB after full-scale
// noise, -87 dB from reset. Opus is a CELT frame that codes nothing.
var (
	silencePCMU = bytes.Repeat([]byte{0xff}, 160)
	silencePCMA = bytes.Repeat([]byte{0xd5}, 160)
	silenceG722 = bytes.Repeat([]byte{0xfd, 0xff}, 80)
	silenceOpus = []byte{0xf8, 0xff, 0xfe}
)

// Silence returns the payload of 20 ms of silence in a codec, by its canonical
// name, or nil where none is known. It is shared: do not write to it.
func Silence(codec string) []byte {
	switch codec {
	case "PCMU":
		return silencePCMU
	case "PCMA":
		return silencePCMA
	case "G722":
		return silenceG722
	case "opus":
		return silenceOpus
	}
	return nil
}
