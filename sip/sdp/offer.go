package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"patchbay/actors/call"
)

// Bounds of a packet's length that we believe, ms.
const (
	minPtime = 5
	maxPtime = 200
)

// Offer returns the audio that the description offers: its first usable audio
// m-line, with the formats that we can pass on in the offerer's order. The
// same reading serves an answer, which has the form of an offer.
//
// It returns ErrNoAudio, ErrSecureOnly, ErrNoCodec, ErrNoAddress or
// ErrHostName: where several audio m-lines fail, the error of the first.
func (s *Session) Offer() (call.Offer, error) {
	_, o, err := s.audio()
	return o, err
}

// audio returns the index of the m-line that carries the audio, and what it
// offers.
func (s *Session) audio() (int, call.Offer, error) {
	var failed error
	for i, m := range s.media {
		if m.kind != "audio" || m.port == 0 {
			continue
		}
		o, err := s.offerOf(m)
		if err == nil {
			return i, o, nil
		}
		if failed == nil {
			failed = err
		}
	}
	if failed == nil {
		failed = ErrNoAudio
	}
	return -1, call.Offer{}, failed
}

func (s *Session) offerOf(m media) (call.Offer, error) {
	switch strings.ToUpper(m.proto) {
	case "RTP/AVP", "RTP/AVPF":
	case "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF":
		return call.Offer{}, ErrSecureOnly
	default:
		return call.Offer{}, ErrNoAudio
	}
	connection := m.connection
	if connection == "" {
		connection = s.common.connection
	}
	addr, err := parseConnection(connection)
	if err != nil {
		return call.Offer{}, err
	}
	o := call.Offer{
		Addr:      netip.AddrPortFrom(addr, m.port),
		Ptime:     m.ptime(s.common),
		Direction: s.direction(m, addr),
	}
	if o.Codecs, o.DTMF = m.codecs(); len(o.Codecs) == 0 {
		return call.Offer{}, ErrNoCodec
	}
	if _, o.RTCPMux = m.first("rtcp-mux"); !o.RTCPMux {
		o.RTCP = m.rtcp(o.Addr)
	}
	return o, nil
}

// parseConnection reads the value of c=: "IN IP4 192.0.2.1/127".
func parseConnection(value string) (netip.Addr, error) {
	f := strings.Fields(value)
	if len(f) == 0 {
		return netip.Addr{}, fmt.Errorf("%w: no c= line", ErrNoAddress)
	}
	host, _, _ := strings.Cut(f[len(f)-1], "/") // without TTL and count
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && (addr.IsMulticast() || addr.Zone() != ""):
		return netip.Addr{}, fmt.Errorf("%w: not unicast", ErrNoAddress)
	case err == nil:
		return addr.Unmap(), nil
	case strings.HasSuffix(strings.ToLower(host), ".invalid"):
		return netip.IPv6Unspecified(), nil // how IPv6 writes the hold that IPv4 writes 0.0.0.0
	default:
		return netip.Addr{}, ErrHostName
	}
}

// direction is the m-line's, else the session's, else sendrecv (RFC 8866
// 6.7). An unspecified address is the hold of RFC 2543: send nothing there
// (RFC 3264 8.4).
func (s *Session) direction(m media, addr netip.Addr) call.Direction {
	d, ok := m.ownDirection()
	if !ok {
		d, _ = s.common.ownDirection()
	}
	if !addr.IsUnspecified() {
		return d
	}
	if d == call.SendRecv || d == call.SendOnly {
		return call.SendOnly
	}
	return call.Inactive
}

func (s section) ownDirection() (call.Direction, bool) {
	for _, a := range s.attributes {
		switch d := call.Direction(a.name); d {
		case call.SendRecv, call.SendOnly, call.RecvOnly, call.Inactive:
			return d, true
		}
	}
	return call.SendRecv, false
}

// ptime returns the packet length to send, ms: what the m-line, else the
// session, asks for, and never over maxptime. 0: not said.
func (m media) ptime(common section) int {
	wanted := m.milliseconds("ptime", common)
	longest := m.milliseconds("maxptime", common)
	if longest != 0 && (wanted > longest || wanted == 0 && longest < 20) {
		return longest
	}
	return wanted
}

func (m media) milliseconds(name string, common section) int {
	value, ok := m.first(name)
	if !ok {
		value, _ = common.first(name)
	}
	whole, _, _ := strings.Cut(value, ".") // some write 20.0
	n, err := strconv.Atoi(whole)
	if err != nil || n < minPtime || n > maxPtime {
		return 0
	}
	return n
}

// rtcp returns where RTCP goes: a=rtcp (RFC 3605), else the next port.
func (m media) rtcp(rtp netip.AddrPort) netip.AddrPort {
	value, _ := m.first("rtcp")
	if f := strings.Fields(value); len(f) > 0 {
		if port, err := strconv.ParseUint(f[0], 10, 16); err == nil && port != 0 {
			addr, err := netip.ParseAddr(f[len(f)-1])
			if len(f) < 4 || err != nil || addr.IsMulticast() || addr.Zone() != "" {
				addr = rtp.Addr()
			}
			return netip.AddrPortFrom(addr.Unmap(), uint16(port))
		}
	}
	if rtp.Port() == 65535 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1)
}
