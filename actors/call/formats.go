package call

import "strings"

// formats are what we can offer, in the order of an offer without a policy:
// first what every WebRTC agent speaks (RFC 7874 3), for the agent must take
// what the carrier chooses.
var formats = []Codec{
	{PayloadType: 111, Name: "opus", ClockRate: 48000, Channels: 2, Fmtp: "minptime=10;useinbandfec=1"},
	{PayloadType: 0, Name: "PCMU", ClockRate: 8000},
	{PayloadType: 8, Name: "PCMA", ClockRate: 8000},
	{PayloadType: 9, Name: "G722", ClockRate: 8000},
}

// events are the telephone-event formats of an offer, one per clock rate
// (RFC 4733 2.1).
var events = []Codec{
	{PayloadType: 101, Name: "telephone-event", ClockRate: 8000, Fmtp: "0-16"},
	{PayloadType: 110, Name: "telephone-event", ClockRate: 48000, Fmtp: "0-16"},
}

// OfferedPtime is the packet length that an offer of ours asks for, ms.
const OfferedPtime = 20

// Formats returns the codecs of an offer of ours, and its telephone-event: those
// that policy names, in its order and in any case; all where it names none.
// A name that we cannot offer is passed over.
func Formats(policy []string) (codecs, dtmf []Codec) {
	for _, name := range policy {
		for _, c := range formats {
			if strings.EqualFold(c.Name, name) && !named(codecs, c.Name) {
				codecs = append(codecs, c)
			}
		}
	}
	if len(policy) == 0 {
		codecs = append(codecs, formats...)
	}
	for _, e := range events {
		for _, c := range codecs {
			if c.ClockRate == e.ClockRate {
				dtmf = append(dtmf, e)
				break
			}
		}
	}
	return codecs, dtmf
}

func named(cs []Codec, name string) bool {
	for _, c := range cs {
		if c.Name == name {
			return true
		}
	}
	return false
}

// OtherLaw is the other of the two laws of G.711, and empty for every other
// codec. One becomes the other octet by octet: nothing else is transcoded.
func OtherLaw(codec string) string {
	switch {
	case strings.EqualFold(codec, "PCMU"):
		return "PCMA"
	case strings.EqualFold(codec, "PCMA"):
		return "PCMU"
	}
	return ""
}

// Joinable reports whether audio of one codec can be heard in the other: they
// are the same, whatever their payload numbers, or the two laws of G.711.
func Joinable(a, b Codec) bool {
	return a.ClockRate == b.ClockRate && (strings.EqualFold(a.Name, b.Name) || strings.EqualFold(OtherLaw(a.Name), b.Name))
}
