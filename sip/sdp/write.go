package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"patchbay/actors/call"
)

// Answer writes our answer to the description (RFC 3264 6): its m-lines in
// their order, the one that [Session.Offer] read answered with a, every other
// one refused with port 0. Where Offer fails, all are refused.
//
// The payload numbers in a are the offerer's. An empty direction is the
// widest one that the offer allows.
func (s *Session) Answer(a call.Answer, o Origin) []byte {
	chosen, offered, _ := s.audio()
	if a.Direction == "" {
		a.Direction = Mirror(offered.Direction)
	}
	var w writer
	w.head(o, a.Addr.Addr(), s.timing())
	for i, m := range s.media {
		if i != chosen {
			w.refused(m)
			continue
		}
		w.audio(m.proto, call.Offer{
			Addr:      a.Addr,
			Codecs:    []call.Codec{a.Codec},
			DTMF:      events(a),
			Ptime:     a.Ptime,
			RTCPMux:   a.RTCPMux && offered.RTCPMux, // only what was offered may be answered (RFC 5761 5.1.1)
			Direction: a.Direction,
		})
	}
	return w.buf
}

// Offer writes a description with one audio m-line, as our own caller sends
// it, and as a 200 does to an INVITE without one.
func Offer(offer call.Offer, o Origin) []byte {
	var w writer
	w.head(o, offer.Addr.Addr(), "0 0")
	w.audio(audioProto, offer)
	return w.buf
}

// events returns telephone-event as the answer has it: at the codec's clock
// rate, for both share one RTP clock (RFC 4733 2.1).
func events(a call.Answer) []call.Codec {
	if a.DTMF == nil {
		return nil
	}
	return []call.Codec{{PayloadType: a.DTMF.PayloadType, ClockRate: a.Codec.ClockRate}}
}

// timing returns the value of t= to answer with: the offer's (RFC 3264 6), if
// it is one.
func (s *Session) timing() string {
	start, stop, _ := strings.Cut(s.times, " ")
	if _, err := strconv.ParseUint(start, 10, 64); err != nil {
		return "0 0"
	}
	if _, err := strconv.ParseUint(stop, 10, 64); err != nil {
		return "0 0"
	}
	return s.times
}

// A writer gathers lines that end with CRLF.
type writer struct{ buf []byte }

func (w *writer) line(format string, args ...any) {
	w.buf = append(fmt.Appendf(w.buf, format, args...), '\r', '\n')
}

func (w *writer) head(o Origin, media netip.Addr, times string) {
	if !o.Addr.IsValid() {
		o.Addr = media
	}
	w.line("v=0")
	w.line("o=- %d %d IN %s", o.ID, o.Version, host(o.Addr))
	w.line("s=-")
	w.line("c=IN %s", host(media))
	w.line("t=%s", times)
}

// host writes an address with its type: "IP4 192.0.2.1".
func host(addr netip.Addr) string {
	switch addr = addr.Unmap(); {
	case !addr.IsValid():
		return "IP4 0.0.0.0"
	case addr.Is4():
		return "IP4 " + addr.String()
	default:
		return "IP6 " + addr.WithZone("").String()
	}
}

func (w *writer) refused(m media) {
	formats := m.formats
	if len(formats) == 0 {
		formats = []string{"0"} // the grammar wants one
	}
	w.line("m=%s 0 %s %s", m.kind, m.proto, strings.Join(formats, " "))
}

func (w *writer) audio(proto string, o call.Offer) {
	var formats strings.Builder
	for _, c := range o.Codecs {
		fmt.Fprintf(&formats, " %d", c.PayloadType)
	}
	for _, c := range o.DTMF {
		fmt.Fprintf(&formats, " %d", c.PayloadType)
	}
	w.line("m=audio %d %s%s", o.Addr.Port(), proto, formats.String())
	for _, c := range o.Codecs {
		w.codec(c)
	}
	for _, c := range o.DTMF {
		w.line("a=rtpmap:%d %s/%d", c.PayloadType, eventName, c.ClockRate)
		w.line("a=fmtp:%d %s", c.PayloadType, allEvents)
	}
	if o.Ptime > 0 {
		w.line("a=ptime:%d", o.Ptime)
	}
	if o.RTCPMux {
		w.line("a=rtcp-mux")
	} else if o.RTCP.IsValid() && o.RTCP != netip.AddrPortFrom(o.Addr.Addr(), o.Addr.Port()+1) {
		w.line("a=rtcp:%d IN %s", o.RTCP.Port(), host(o.RTCP.Addr()))
	}
	if o.Direction == "" {
		o.Direction = call.SendRecv
	}
	w.line("a=%s", o.Direction)
}

func (w *writer) codec(c call.Codec) {
	switch {
	case c.Name == "opus": // RFC 7587 7: always two channels
		w.line("a=rtpmap:%d opus/48000/2", c.PayloadType)
	case c.Channels > 1:
		w.line("a=rtpmap:%d %s/%d/%d", c.PayloadType, c.Name, c.ClockRate, c.Channels)
	default:
		w.line("a=rtpmap:%d %s/%d", c.PayloadType, c.Name, c.ClockRate)
	}
	if printable(c.Fmtp) {
		w.line("a=fmtp:%d %s", c.PayloadType, c.Fmtp)
	}
}

// printable reports whether a value fits on a line: not empty, ASCII, no
// control characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
