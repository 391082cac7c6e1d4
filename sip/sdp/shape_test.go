package sdp_test

import (
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
)

func TestALaterOfferHasTheLinesOfTheDescriptionBefore(t *testing.T) {
	t.Parallel()
	ours := call.Offer{Addr: netip.MustParseAddrPort("198.51.100.9:20000"), Codecs: []call.Codec{{PayloadType: 0, Name: "PCMU", ClockRate: 8000}}, Ptime: 20}
	for name, tc := range map[string]struct{ lines, want string }{
		"audio alone":        {"m=audio 4000 RTP/AVP 0\r\n", "m=audio 20000 RTP/AVP 0"},
		"video first":        {"m=video 4002 RTP/AVP 97\r\nm=audio 4000 RTP/AVP 0\r\n", "m=video 0 RTP/AVP 97 | m=audio 20000 RTP/AVP 0"},
		"fax after it":       {"m=audio 4000 RTP/AVP 0\r\nm=image 4004 udptl t38\r\n", "m=audio 20000 RTP/AVP 0 | m=image 0 udptl t38"},
		"another profile":    {"m=audio 4000 RTP/AVPF 0\r\n", "m=audio 20000 RTP/AVPF 0"},
		"a refused audio":    {"m=audio 0 RTP/AVP 0\r\nm=audio 4000 RTP/AVP 0\r\n", "m=audio 0 RTP/AVP 0 | m=audio 20000 RTP/AVP 0"},
		"nothing to talk on": {"m=video 4002 RTP/AVP 97\r\n", "m=audio 20000 RTP/AVP 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := sdp.Read("application/sdp", []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"+tc.lines))
			if err != nil {
				t.Fatal(err)
			}
			text := s.Shape().Offer(ours, sdp.Origin{ID: 7, Version: 3})
			var lines []string
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "m=") {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
			if got := strings.Join(lines, " | "); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if again, err := sdp.Read("application/sdp", text); err != nil || again.OriginLine() != "- 7 3 IN IP4 198.51.100.9" {
				t.Errorf("our own reader says %v of\n%s", err, text)
			}
		})
	}
}
