package peer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"patchbay/actors/call"
	"patchbay/media"
)

const telephoneEvent = "telephone-event"

// A format is a codec that the agent leg can carry, with the payload type we
// offer it under.
type format struct {
	name     string
	pt       uint8
	rate     uint32
	channels uint8
}

// formats are all that may be offered (RFC 3551 section 6, RFC 7587 section 7,
// RFC 4733 section 2.3). G.722 has a clock rate of 8000 by a slip of RFC 1890.
var formats = []format{
	{"PCMU", 0, 8000, 1}, {"PCMA", 8, 8000, 1}, {"G722", 9, 8000, 1}, {"opus", 111, 48000, 2},
	{telephoneEvent, 101, 8000, 1}, {telephoneEvent, 110, 48000, 1},
}

// formatOf finds the format of a name and a clock rate; 0 is any rate.
func formatOf(name string, rate uint32) (format, bool) {
	for _, f := range formats {
		if strings.EqualFold(f.name, name) && (rate == 0 || f.rate == rate) {
			return f, true
		}
	}
	return format{}, false
}

// offered keeps what an agent leg can carry, with our payload types.
func offered(codecs []call.Codec) []call.Codec {
	var out []call.Codec
	seen := map[uint8]bool{}
	for _, c := range codecs {
		f, ok := formatOf(c.Name, c.ClockRate)
		if !ok || seen[f.pt] {
			continue
		}
		seen[f.pt] = true
		c.Name, c.PayloadType, c.ClockRate, c.Channels = f.name, f.pt, f.rate, f.channels
		out = append(out, c)
	}
	return out
}

// engine registers codecs with the library, in their order.
func engine(codecs []call.Codec) (*webrtc.MediaEngine, error) {
	me := &webrtc.MediaEngine{}
	for _, c := range codecs {
		params := webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: "audio/" + c.Name, ClockRate: c.ClockRate, SDPFmtpLine: c.Fmtp,
			},
			PayloadType: webrtc.PayloadType(c.PayloadType),
		}
		if c.Channels > 1 {
			params.Channels = uint16(c.Channels)
		}
		if err := me.RegisterCodec(params, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, fmt.Errorf("register %s: %w", c.Name, err)
		}
	}
	return me, nil
}

// An audio is the first usable audio m-line of a description.
type audio struct {
	codecs []call.Codec // in its order, telephone-event left out
	dtmf   []call.Codec
}

// readAudio reads the formats of an agent's description. Static payload types
// need no rtpmap (RFC 3551 section 6).
func readAudio(text string) (audio, error) {
	desc := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: text}
	parsed, err := desc.Unmarshal()
	if err != nil {
		return audio{}, fmt.Errorf("%w: its SDP cannot be read", media.ErrAgentRefused)
	}
	var out audio
	for _, m := range parsed.MediaDescriptions {
		if m.MediaName.Media == "audio" && m.MediaName.Port.Value != 0 { // 0: rejected, RFC 3264 section 6
			out.read(m)
			break
		}
	}
	if len(out.codecs) == 0 {
		return audio{}, media.ErrNoCodec
	}
	return out, nil
}

func (a *audio) read(m *sdp.MediaDescription) {
	maps, fmtps := map[string]string{}, map[string]string{}
	for _, attr := range m.Attributes {
		pt, value, _ := strings.Cut(attr.Value, " ")
		switch attr.Key {
		case "rtpmap":
			maps[pt] = value
		case "fmtp":
			fmtps[pt] = value
		}
	}
	for _, pt := range m.MediaName.Formats {
		a.add(pt, maps[pt], fmtps[pt])
	}
}

func (a *audio) add(pt, rtpmap, fmtp string) {
	n, err := strconv.ParseUint(pt, 10, 7)
	if err != nil {
		return
	}
	f, ok := formatOf(static(n), 0)
	if rtpmap != "" {
		name, rest, _ := strings.Cut(rtpmap, "/")
		rate, _, _ := strings.Cut(rest, "/")
		hz, err := strconv.ParseUint(strings.TrimSpace(rate), 10, 32)
		if err != nil || hz == 0 {
			return
		}
		f, ok = formatOf(name, uint32(hz))
	}
	if !ok {
		return
	}
	c := call.Codec{PayloadType: uint8(n), Name: f.name, ClockRate: f.rate, Channels: f.channels, Fmtp: fmtp}
	if f.name == telephoneEvent {
		a.dtmf = append(a.dtmf, c)
		return
	}
	a.codecs = append(a.codecs, c)
}

func static(pt uint64) string {
	switch pt {
	case 0:
		return "PCMU"
	case 8:
		return "PCMA"
	case 9:
		return "G722"
	}
	return ""
}

// agreed picks the codec of an agent's answer: its first that we offered, and
// the telephone-event of the same clock rate.
func (a audio) agreed(wanted, dtmf []call.Codec) (call.Codec, *call.Codec, error) {
	for _, c := range a.codecs {
		if named(wanted, c) {
			return c, a.digits(c.ClockRate, dtmf), nil
		}
	}
	return call.Codec{}, nil, media.ErrNoCodec
}

// preferred picks the codec for an agent that offered: our first that it has,
// so that the carrier's order decides.
func (a audio) preferred(wanted, dtmf []call.Codec) (call.Codec, *call.Codec, error) {
	for _, w := range wanted {
		for _, c := range a.codecs {
			if named([]call.Codec{w}, c) {
				return c, a.digits(c.ClockRate, dtmf), nil
			}
		}
	}
	return call.Codec{}, nil, media.ErrNoCodec
}

func (a audio) digits(rate uint32, wanted []call.Codec) *call.Codec {
	for _, c := range a.dtmf {
		if c.ClockRate == rate && named(wanted, c) {
			return &c
		}
	}
	return nil
}

func named(in []call.Codec, c call.Codec) bool {
	for _, w := range in {
		if w.Name == c.Name && w.ClockRate == c.ClockRate {
			return true
		}
	}
	return false
}

// candidatePriority is what our candidates claim. It is low so that a node that
// takes the call over can claim more: a controlled agent only moves to a pair
// of strictly higher priority (RFC 8445 section 7.3.1.5, reference 6.2).
const candidatePriority = 1000

// withCandidates puts our own candidates in the place of the library's.
func withCandidates(text string, p place, port uint16) string {
	var b strings.Builder
	done := false
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "a=candidate:") {
			b.WriteString(line)
			continue
		}
		if done {
			continue
		}
		done = true
		for i, addr := range p.announced {
			fmt.Fprintf(&b, "a=candidate:%d 1 udp %d %s %d typ host\r\n", i+1, candidatePriority-i, addr, port)
		}
	}
	return b.String()
}
