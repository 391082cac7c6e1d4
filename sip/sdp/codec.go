package sdp

import (
	"strconv"
	"strings"

	"patchbay/actors/call"
)

// eventName is the format name of RFC 4733 digits, and allEvents the events
// that we take: the sixteen keys and flash.
const (
	eventName = "telephone-event"
	allEvents = "0-16"
)

// static are the payload types that need no a=rtpmap (RFC 3551 6).
var static = map[uint8]call.Codec{
	0: {PayloadType: 0, Name: "PCMU", ClockRate: 8000},
	8: {PayloadType: 8, Name: "PCMA", ClockRate: 8000},
	9: {PayloadType: 9, Name: "G722", ClockRate: 8000},
}

// codecs returns the m-line's formats that we can pass on, in the offerer's
// order, and apart from them telephone-event, one per clock rate.
func (m media) codecs() (audio, events []call.Codec) {
	var seen [128]bool
	for _, format := range m.formats {
		pt, err := strconv.ParseUint(format, 10, 7)
		if err != nil || seen[pt] {
			continue
		}
		seen[pt] = true
		c, ok := m.codec(uint8(pt))
		switch {
		case !ok:
		case c.Name != eventName:
			audio = append(audio, c)
		case !hasRate(events, c.ClockRate):
			events = append(events, c)
		}
	}
	return audio, events
}

func (m media) codec(pt uint8) (call.Codec, bool) {
	c, ok := static[pt]
	if value, mapped := m.format("rtpmap", pt); mapped {
		c, ok = parseMap(pt, value)
	}
	c.Fmtp, _ = m.format("fmtp", pt)
	return c, ok
}

// parseMap reads the value of a=rtpmap after the number: "opus/48000/2".
func parseMap(pt uint8, value string) (call.Codec, bool) {
	name, rest, _ := strings.Cut(value, "/")
	clock, _, _ := strings.Cut(rest, "/")
	rate, err := strconv.ParseUint(strings.TrimSpace(clock), 10, 32)
	if err != nil {
		return call.Codec{}, false
	}
	c := call.Codec{PayloadType: pt, ClockRate: uint32(rate)}
	switch name = strings.ToUpper(strings.TrimSpace(name)); {
	case rate == 8000 && (name == "PCMU" || name == "PCMA" || name == "G722"):
		c.Name = name
	case rate == 48000 && name == "OPUS":
		c.Name, c.Channels = "opus", 2 // whatever was written: RFC 7587 7 knows no other
	case rate != 0 && strings.EqualFold(name, eventName):
		c.Name = eventName
	default:
		return call.Codec{}, false
	}
	return c, true
}

// format returns what the attribute of that name says of a payload type.
func (m media) format(name string, pt uint8) (string, bool) {
	for _, a := range m.attributes {
		if a.name != name {
			continue
		}
		number, value, _ := strings.Cut(a.value, " ")
		if n, err := strconv.ParseUint(number, 10, 7); err == nil && uint8(n) == pt {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

func hasRate(cs []call.Codec, rate uint32) bool {
	for _, c := range cs {
		if c.ClockRate == rate {
			return true
		}
	}
	return false
}
