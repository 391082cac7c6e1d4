package echoagent

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"
)

var errNoCodec = errors.New("the offer has no codec of PCMU, PCMA, G722 and opus")

// Names of formats, in lower case: they are compared without regard to it
// (RFC 8866 section 6.6).
const telephoneEvent = "telephone-event"

var (
	echoed = []string{"pcmu", "pcma", "g722", "opus"}
	static = map[string]string{"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"} // RFC 3551 section 6
)

// chosen picks of an offer's first audio m-line the first codec that we have,
// and the telephone-event of the same clock rate.
func chosen(sdp string) ([]webrtc.RTPCodecParameters, error) {
	formats := audioFormats(sdp)
	first := slices.IndexFunc(formats, func(f webrtc.RTPCodecParameters) bool {
		return slices.Contains(echoed, nameOf(f))
	})
	if first < 0 {
		return nil, errNoCodec
	}
	out := []webrtc.RTPCodecParameters{formats[first]}
	for _, f := range formats {
		if nameOf(f) == telephoneEvent && f.ClockRate == out[0].ClockRate {
			return append(out, f), nil
		}
	}
	return out, nil
}

func nameOf(f webrtc.RTPCodecParameters) string {
	return strings.ToLower(strings.TrimPrefix(f.MimeType, "audio/"))
}

func audioFormats(sdp string) []webrtc.RTPCodecParameters {
	numbers, maps := audioLine(sdp)
	var out []webrtc.RTPCodecParameters
	for _, pt := range numbers {
		mapping := maps[pt]
		if mapping == "" {
			mapping = static[pt]
		}
		if f, ok := formatOf(pt, mapping); ok {
			out = append(out, f)
		}
	}
	return out
}

func formatOf(pt, mapping string) (webrtc.RTPCodecParameters, bool) {
	part := strings.Split(mapping, "/")
	n, err := strconv.ParseUint(pt, 10, 7)
	if err != nil || len(part) < 2 {
		return webrtc.RTPCodecParameters{}, false
	}
	hz, err := strconv.ParseUint(part[1], 10, 32)
	if err != nil || hz == 0 {
		return webrtc.RTPCodecParameters{}, false
	}
	f := webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(n)}
	f.MimeType, f.ClockRate = "audio/"+part[0], uint32(hz)
	if len(part) == 3 && part[2] == "2" {
		f.Channels = 2
	}
	return f, true
}

// audioLine returns the formats of the first audio m-line and their mappings.
func audioLine(sdp string) (formats []string, maps map[string]string) {
	maps = make(map[string]string)
	inside := false
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "m=") {
			inside = formats == nil && strings.HasPrefix(line, "m=audio ")
			if f := strings.Fields(line); inside && len(f) > 3 {
				formats = f[3:]
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "a=rtpmap:"); ok && inside {
			pt, mapping, _ := strings.Cut(rest, " ")
			maps[pt] = mapping
		}
	}
	return formats, maps
}
