package sdp_test

import (
	"strconv"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
)

// TestTheReaderTakesWhatCarriersSend has one case for each way in which
// descriptions of carriers depart from RFC 8866: where the audio goes, what it
// may be, and which m-lines the answer has.
func TestTheReaderTakesWhatCarriersSend(t *testing.T) {
	t.Parallel()
	const head = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
	for name, tc := range map[string]struct{ text, addr, codecs, answer string }{
		"T.38 beside audio":         {head + "m=audio 4000 RTP/AVP 0\r\nm=image 4002 udptl t38\r\n", "192.0.2.9:4000", "PCMU", "audio 20000, image 0"},
		"T.38 before audio":         {head + "m=image 4002 udptl t38\r\nm=audio 4000 RTP/AVP 0\r\n", "192.0.2.9:4000", "PCMU", "image 0, audio 20000"},
		"T.38 over TCP":             {head + "m=audio 4000 RTP/AVP 0\r\nm=image 4002 TCP t38\r\n", "192.0.2.9:4000", "PCMU", "audio 20000, image 0"},
		"video":                     {head + "m=video 4002 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 0\r\n", "192.0.2.9:4000", "PCMU", "video 0, audio 20000"},
		"unknown m-lines":           {head + "m=whiteboard 1 udp wb\r\nm=audio 4000 RTP/AVP 0\r\nm=application 2 TCP/MRCPv2 1\r\nm=x-y 3 a/b c d\r\n", "192.0.2.9:4000", "PCMU", "whiteboard 0, audio 20000, application 0, x-y 0"},
		"an m-line without formats": {head + "m=message 2855 TCP/MSRP\r\nm=audio 4000 RTP/AVP 0\r\n", "192.0.2.9:4000", "PCMU", "message 0, audio 20000"},
		"lines in another order":    {"t=0 0\r\nc=IN IP4 192.0.2.9\r\ns=-\r\no=- 1 1 IN IP4 192.0.2.9\r\nv=0\r\nm=audio 4000 RTP/AVP 0\r\n", "192.0.2.9:4000", "PCMU", "audio 20000"},
		"c= behind the attributes":  {"v=0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\nc=IN IP4 192.0.2.9\r\n", "192.0.2.9:4000", "PCMU", "audio 20000"},
		"no v=":                     {head[5:] + "m=audio 4000 RTP/AVP 0\r\n", "192.0.2.9:4000", "PCMU", "audio 20000"},
		"no o=, s= and t=":          {"v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\n", "192.0.2.9:4000", "PCMU", "audio 20000"},
		"no rtpmap":                 {head + "m=audio 4000 RTP/AVP 9 8 0\r\n", "192.0.2.9:4000", "G722 PCMA PCMU", "audio 20000"},
		"LF only":                   {strings.ReplaceAll(head, "\r", "") + "m=audio 4000 RTP/AVP 0\n", "192.0.2.9:4000", "PCMU", "audio 20000"},
		"LF and CRLF mixed":         {head + "m=audio 4000 RTP/AVP 0\na=sendrecv\r\n", "192.0.2.9:4000", "PCMU", "audio 20000"},
		"no trailing newline":       {head + "m=audio 4000 RTP/AVP 8", "192.0.2.9:4000", "PCMA", "audio 20000"},
		"an empty line at the end":  {head + "m=audio 4000 RTP/AVP 8\r\n\r\n", "192.0.2.9:4000", "PCMA", "audio 20000"},
		"blanks around values":      {strings.ReplaceAll(head, "c=IN", "c= IN") + "m=audio  4000  RTP/AVP  0 \r\n", "192.0.2.9:4000", "PCMU", "audio 20000"},
		"c= of the m-line counts":   {head + "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 198.51.100.4\r\n", "198.51.100.4:4000", "PCMU", "audio 20000"},
		"c= of another m-line does": {head + "m=video 4002 RTP/AVP 96\r\nc=IN IP4 198.51.100.4\r\nm=audio 4000 RTP/AVP 0\r\n", "192.0.2.9:4000", "PCMU", "video 0, audio 20000"},
		"c= of the m-line alone":    {"v=0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 198.51.100.4\r\n", "198.51.100.4:4000", "PCMU", "audio 20000"},
		"IPv6":                      {"v=0\r\nc=IN IP6 2001:db8::9\r\nm=audio 4000 RTP/AVP 0\r\n", "[2001:db8::9]:4000", "PCMU", "audio 20000"},
		"IPv6 in the m-line":        {head + "m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::9\r\n", "[2001:db8::9]:4000", "PCMU", "audio 20000"},
		"two audio lines":           {head + "m=audio 4000 RTP/AVP 18\r\nm=audio 4002 RTP/AVP 0\r\n", "192.0.2.9:4002", "PCMU", "audio 0, audio 20000"},
		"secure and plain":          {head + "m=audio 4000 RTP/SAVP 0\r\nm=audio 4002 RTP/AVP 0\r\n", "192.0.2.9:4002", "PCMU", "audio 0, audio 20000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := read(t, tc.text)
			o, err := s.Offer()
			if err != nil {
				t.Fatal(err)
			}
			var codecs, lines []string
			for _, c := range o.Codecs {
				codecs = append(codecs, c.Name)
			}
			if got := strings.Join(codecs, " "); o.Addr.String() != tc.addr || got != tc.codecs {
				t.Errorf("audio at %s, of %s; want %s, of %s", o.Addr, got, tc.addr, tc.codecs)
			}
			for line := range strings.Lines(string(s.Answer(answer(o), origin))) {
				if f := strings.Fields(line); strings.HasPrefix(line, "m=") {
					lines = append(lines, f[0][2:]+" "+f[1])
				}
			}
			if got := strings.Join(lines, ", "); got != tc.answer {
				t.Errorf("the answer has %s, want %s", got, tc.answer)
			}
		})
	}
}

// TestTheAnswerHasTheOfferersNumbersAndTheClockOfItsCodec takes each codec of an
// offer with numbers of its own, and telephone-event at two clock rates.
func TestTheAnswerHasTheOfferersNumbersAndTheClockOfItsCodec(t *testing.T) {
	t.Parallel()
	s := read(t, body("m=audio 4000 RTP/AVP 100 101 102 103 104 105",
		"a=rtpmap:100 opus/48000/2", "a=rtpmap:101 PCMA/8000", "a=rtpmap:102 G722/8000", "a=rtpmap:103 PCMU/8000",
		"a=rtpmap:104 telephone-event/8000", "a=rtpmap:105 telephone-event/48000"))
	o, err := s.Offer()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"m=audio 20000 RTP/AVP 100 105", "m=audio 20000 RTP/AVP 101 104", "m=audio 20000 RTP/AVP 102 104", "m=audio 20000 RTP/AVP 103 104"}
	for i := range o.Codecs {
		only := o
		only.Codecs = o.Codecs[i : i+1]
		if got := string(s.Answer(answer(only), origin)); !strings.Contains(got, want[i]+"\r\n") {
			t.Errorf("want %s in\n%s", want[i], got)
		}
	}
	alone := read(t, body("m=audio 4000 RTP/AVP 100 104", "a=rtpmap:100 opus/48000/2", "a=rtpmap:104 telephone-event/8000"))
	o, err = alone.Offer()
	if got := string(alone.Answer(answer(o), origin)); err != nil || strings.Contains(got, "telephone-event") {
		t.Errorf("%v: telephone-event of another clock was agreed on\n%s", err, got)
	}
}

func TestPacketLengthsOf10To60AreTaken(t *testing.T) {
	t.Parallel()
	for _, ptime := range []string{"10", "20", "30", "40", "50", "60"} {
		s := read(t, body("m=audio 4000 RTP/AVP 0", "a=ptime:"+ptime))
		o, err := s.Offer()
		if err != nil || strconv.Itoa(o.Ptime) != ptime {
			t.Errorf("%s: %d, %v", ptime, o.Ptime, err)
		}
		if got := string(s.Answer(answer(o), origin)); !strings.Contains(got, "a=ptime:20\r\n") {
			t.Errorf("%s: what we want to receive is not in\n%s", ptime, got)
		}
	}
}

func TestMultiplexedRTCPIsAnsweredWhereItIsOffered(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]bool{"a=rtcp-mux": true, "a=rtcp:4001": false, "a=RTCP-MUX": true} {
		s := read(t, body("m=audio 4000 RTP/AVP 0", lines))
		o, err := s.Offer()
		if err != nil {
			t.Fatal(err)
		}
		a := answer(o)
		a.RTCPMux = true
		if got := strings.Contains(string(s.Answer(a, origin)), "a=rtcp-mux\r\n"); got != want {
			t.Errorf("%s: in the answer %v, want %v", lines, got, want)
		}
	}
}

// TestWhereNothingFitsAllIsRefused is what a 488 is made of.
func TestWhereNothingFitsAllIsRefused(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"T.38 alone": "m=image 4002 udptl t38", "video alone": "m=video 4002 RTP/AVP 96", "G.729 alone": "m=audio 4000 RTP/AVP 18",
		"audio refused": "m=audio 0 RTP/AVP 0\nm=image 4002 udptl t38", "nothing": "",
	} {
		s := read(t, body(lines))
		if o, err := s.Offer(); err == nil {
			t.Errorf("%s: read as %+v", name, o)
		}
		for line := range strings.Lines(string(s.Answer(call.Answer{Addr: ours}, sdp.Origin{ID: 1, Version: 1}))) {
			if f := strings.Fields(line); strings.HasPrefix(line, "m=") && f[1] != "0" {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}
