package sdp_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
)

// offerOfOurs has every codec.
func offerOfOurs() call.Offer {
	codecs, dtmf := call.Formats(nil)
	return call.Offer{Addr: ours, Codecs: codecs, DTMF: dtmf, Ptime: call.OfferedPtime}
}

func answerTo(t testing.TB, body string, o call.Offer) (call.Answer, error) {
	t.Helper()
	s, err := sdp.Read("application/sdp", []byte(strings.ReplaceAll(body, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s.AnswerTo(o)
}

const answerHead = "v=0\no=- 1 1 IN IP4 203.0.113.5\ns=-\nc=IN IP4 203.0.113.5\nt=0 0\n"

func TestAnAnswerSaysWhichOfOurCodecsToSendAndWhere(t *testing.T) {
	t.Parallel()
	at := netip.MustParseAddrPort("203.0.113.5:4000")
	dtmf := func(pt uint8, rate uint32, fmtp string) *call.Codec {
		return &call.Codec{PayloadType: pt, Name: "telephone-event", ClockRate: rate, Fmtp: fmtp}
	}
	for name, tc := range map[string]struct {
		body string
		want call.Answer
	}{
		"one codec": {"m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n",
			call.Answer{Codec: call.Codec{PayloadType: 8, Name: "PCMA", ClockRate: 8000}, DTMF: dtmf(101, 8000, "0-15"), Direction: call.SendRecv}},
		"the first of several": {"m=audio 4000 RTP/AVP 18 9 0\na=ptime:30\n",
			call.Answer{Codec: call.Codec{PayloadType: 9, Name: "G722", ClockRate: 8000}, Ptime: 30, Direction: call.SendRecv}},
		"another number than we offered": {"m=audio 4000 RTP/AVP 96 97\na=rtpmap:96 OPUS/48000/2\na=rtpmap:97 telephone-event/48000\na=sendonly\n",
			call.Answer{Codec: call.Codec{PayloadType: 96, Name: "opus", ClockRate: 48000, Channels: 2}, DTMF: dtmf(97, 48000, ""), Direction: call.SendOnly}},
		"digits of another clock": {"m=audio 4000 RTP/AVP 0 97\na=rtpmap:97 telephone-event/48000\n",
			call.Answer{Codec: call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}, Direction: call.SendRecv}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := answerTo(t, answerHead+tc.body, offerOfOurs())
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Addr, tc.want.RTCP = at, netip.AddrPortFrom(at.Addr(), 4001)
			if (got.DTMF == nil) != (tc.want.DTMF == nil) || got.DTMF != nil && *got.DTMF != *tc.want.DTMF {
				t.Errorf("digits %+v, want %+v", got.DTMF, tc.want.DTMF)
			}
			got.DTMF, tc.want.DTMF = nil, nil
			if got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestMultiplexedRTCPIsTakenOnlyWhereItWasOffered(t *testing.T) {
	t.Parallel()
	body := answerHead + "m=audio 4000 RTP/AVP 0\na=rtcp-mux\na=rtcp:4007\n"
	offer := offerOfOurs()
	if got, err := answerTo(t, body, offer); err != nil || got.RTCPMux || got.RTCP.Port() != 4007 {
		t.Errorf("not offered: %+v, %v", got, err)
	}
	offer.RTCPMux = true
	if got, err := answerTo(t, body, offer); err != nil || !got.RTCPMux || got.RTCP.IsValid() {
		t.Errorf("offered: %+v, %v", got, err)
	}
}

func TestAnAnswerThatIsNoneSaysWhy(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]error{
		"m=audio 0 RTP/AVP 0\n":                                  sdp.ErrRefused,
		"m=video 4000 RTP/AVP 96\n":                              sdp.ErrNoAudio,
		"m=audio 4000 RTP/AVP 18\n":                              sdp.ErrNoCodec,
		"m=audio 4000 RTP/SAVP 0\n":                              sdp.ErrSecureOnly,
		"m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n":    sdp.ErrNotOffered,
		"m=audio 4000 RTP/AVP 0\nc=IN IP4 carrier.example.net\n": sdp.ErrHostName,
	} {
		codecs, _ := call.Formats([]string{"pcmu"})
		if got, err := answerTo(t, answerHead+body, call.Offer{Addr: ours, Codecs: codecs}); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", body, got, err, want)
		}
	}
}

// FuzzAnswer holds the reader of answers to what was offered.
func FuzzAnswer(f *testing.F) {
	for _, m := range []string{"0", "8 101", "9 0\na=sendonly", "96\na=rtpmap:96 opus/48000/2\na=rtcp-mux", "18"} {
		f.Add([]byte(answerHead + "m=audio 4000 RTP/AVP " + m + "\n"))
	}
	f.Add([]byte(answerHead + "m=audio 0 RTP/AVP 0\n"))
	offer := offerOfOurs()
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := sdp.Read("application/sdp", body)
		if err != nil {
			return
		}
		a, err := s.AnswerTo(offer)
		if err != nil {
			return
		}
		offered := false
		for _, c := range offer.Codecs {
			offered = offered || c.Name == a.Codec.Name && c.ClockRate == a.Codec.ClockRate
		}
		if !offered || !a.Addr.IsValid() || a.Addr.Port() == 0 || a.DTMF != nil && a.DTMF.ClockRate != a.Codec.ClockRate || a.RTCPMux {
			t.Errorf("%q is taken as %+v", body, a)
		}
	})
}
