package dialog_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
)

// TestAnInviteIsAnsweredClauseByClause sends descriptions as carriers write
// them, and reads the m-lines and attributes of our 200, or the status where
// nothing fits.
func TestAnInviteIsAnsweredClauseByClause(t *testing.T) {
	t.Parallel()
	const head = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
	for name, tc := range map[string]struct {
		text   string
		status int
		want   string // lines of the answer, in their order
	}{
		"T.38 and video beside audio":    {head + "m=video 1 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 8 0\r\nm=image 2 udptl t38\r\n", 200, "m=video 0 RTP/AVP 96 | m=audio 20000 RTP/AVP 8 | m=image 0 udptl t38"},
		"unknown m-lines":                {head + "m=x 1 y/z q\r\nm=audio 4000 RTP/AVP 0\r\n", 200, "m=x 0 y/z q | m=audio 20000 RTP/AVP 0"},
		"lines out of order and missing": {"c=IN IP4 192.0.2.10\r\nv=0\r\nm=audio 4000 RTP/AVP 0\r\n", 200, "v=0 | m=audio 20000 RTP/AVP 0"},
		"LF only":                        {strings.ReplaceAll(head, "\r", "") + "m=audio 4000 RTP/AVP 0\n", 200, "m=audio 20000 RTP/AVP 0"},
		"no trailing newline":            {head + "m=audio 4000 RTP/AVP 0", 200, "m=audio 20000 RTP/AVP 0"},
		"the offerer's numbers":          {head + "m=audio 4000 RTP/AVP 99 98\r\na=rtpmap:99 PCMA/8000\r\na=rtpmap:98 telephone-event/8000\r\n", 200, "m=audio 20000 RTP/AVP 99 98 | a=rtpmap:99 PCMA/8000 | a=rtpmap:98 telephone-event/8000"},
		"telephone-event at two clocks":  {head + "m=audio 4000 RTP/AVP 97 98 99\r\na=rtpmap:97 opus/48000/2\r\na=rtpmap:98 telephone-event/8000\r\na=rtpmap:99 telephone-event/48000\r\n", 200, "m=audio 20000 RTP/AVP 97 99 | a=rtpmap:99 telephone-event/48000"},
		"a packet length":                {head + "m=audio 4000 RTP/AVP 0\r\na=ptime:60\r\n", 200, "m=audio 20000 RTP/AVP 0 | a=ptime:20"},
		"rtcp-mux":                       {head + "m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\n", 200, "m=audio 20000 RTP/AVP 0 | a=rtcp-mux"},
		"c= at several levels":           {head + "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.20\r\n", 200, "m=audio 20000 RTP/AVP 0"},
		"IPv6":                           {"v=0\r\nc=IN IP6 2001:db8::a\r\nm=audio 4000 RTP/AVP 0\r\n", 200, "m=audio 20000 RTP/AVP 0"},
		"on hold from the beginning":     {head + "m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n", 200, "m=audio 20000 RTP/AVP 0 | a=recvonly"},
		"T.38 alone":                     {head + "m=image 2 udptl t38\r\n", 488, ""},
		"video alone":                    {head + "m=video 2 RTP/AVP 96\r\n", 488, ""},
		"no codec in common":             {head + "m=audio 4000 RTP/AVP 18\r\n", 488, ""},
		"audio with port 0":              {head + "m=audio 0 RTP/AVP 0\r\n", 488, ""},
		"secure alone":                   {head + "m=audio 4000 RTP/SAVP 0\r\n", 488, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, inv, err := newFactory(t, "").New(epoch, 1, inviteWith(t, body(tc.text)))
			var refusal *call.Refusal
			if errors.As(err, &refusal) {
				if refusal.Response.Status != tc.status {
					t.Errorf("refused with %d, want %d", refusal.Response.Status, tc.status)
				}
				return
			}
			a := call.Answer{Addr: netip.MustParseAddrPort("198.51.100.9:20000"), Codec: inv.Offer.Codecs[0], Ptime: 20, RTCPMux: inv.Offer.RTCPMux, Direction: inv.Offer.Direction.Mirror()}
			for _, e := range inv.Offer.DTMF {
				if e.ClockRate == a.Codec.ClockRate {
					a.DTMF = &e
				}
			}
			out := d.Respond(epoch, call.Response{Status: 200, Answer: &a})
			if len(out) != 1 || statusOf(string(out[0].Send.Raw)) != tc.status {
				t.Fatalf("got %+v", out)
			}
			_, rest, _ := strings.Cut(string(out[0].Send.Raw), "\r\n\r\n")
			lines := strings.Count(rest, "\r\nm=")
			for line := range strings.SplitSeq(tc.want, " | ") {
				_, after, found := strings.Cut("\r\n"+rest, "\r\n"+line+"\r\n")
				if !found {
					t.Fatalf("no %q, in its place, in\n%s", line, out[0].Send.Raw)
				}
				rest = after
			}
			if want := strings.Count("\r\n"+strings.ReplaceAll(tc.text, "\r", ""), "\nm="); lines != want {
				t.Errorf("%d m-lines, want %d", lines, want)
			}
		})
	}
}
