package sdp

import (
	"errors"
	"strings"

	"patchbay/actors/call"
)

// Errors of [Session.AnswerTo], beside those of [Session.Offer].
var (
	// ErrRefused says that our audio m-line was answered with port 0.
	ErrRefused = errors.New("sdp: our audio was refused")
	// ErrNotOffered says that no codec of the answer was offered.
	ErrNotOffered = errors.New("sdp: answer with codecs that were not offered")
)

// AnswerTo reads the description as the answer to an offer of ours, which had
// one audio m-line (RFC 3264 6, 7): where the audio goes, and the first codec
// in it that we offered, by its name and with the number it has in the answer,
// which is the one to send. What stands beside it, telephone-event apart, is
// passed over: nobody may begin to send it unasked.
func (s *Session) AnswerTo(offer call.Offer) (call.Answer, error) {
	i, o, err := s.audio()
	if err != nil {
		if errors.Is(err, ErrNoAudio) && s.refused() {
			err = ErrRefused
		}
		return call.Answer{}, err
	}
	a := call.Answer{Addr: o.Addr, RTCP: o.RTCP, RTCPMux: o.RTCPMux && offer.RTCPMux, Ptime: o.Ptime, Direction: o.Direction}
	if !a.RTCPMux {
		a.RTCP = s.media[i].rtcp(o.Addr)
	}
	for _, c := range o.Codecs {
		if offered(offer.Codecs, c) {
			a.Codec = c
			break
		}
	}
	if a.Codec.Name == "" {
		return call.Answer{}, ErrNotOffered
	}
	for _, e := range o.DTMF {
		if e.ClockRate == a.Codec.ClockRate && hasRate(offer.DTMF, e.ClockRate) {
			a.DTMF = &call.Codec{PayloadType: e.PayloadType, Name: eventName, ClockRate: e.ClockRate, Fmtp: e.Fmtp}
		}
	}
	return a, nil
}

// refused reports whether there is an audio m-line, and every one has port 0.
func (s *Session) refused() bool {
	audio := false
	for _, m := range s.media {
		if m.kind == "audio" {
			if m.port != 0 {
				return false
			}
			audio = true
		}
	}
	return audio
}

func offered(cs []call.Codec, c call.Codec) bool {
	for _, o := range cs {
		if strings.EqualFold(o.Name, c.Name) && o.ClockRate == c.ClockRate {
			return true
		}
	}
	return false
}
