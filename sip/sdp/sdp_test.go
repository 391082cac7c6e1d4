package sdp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
)

// body is a description with audio lines of its own and LF line ends.
func body(audio ...string) string {
	return "v=0\no=- 1 1 IN IP4 192.0.2.9\ns=-\nc=IN IP4 192.0.2.9\nt=0 0\n" + strings.Join(audio, "\n") + "\n"
}

func read(t *testing.T, text string) *sdp.Session {
	t.Helper()
	s, err := sdp.Read("application/sdp", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func offer(t *testing.T, text string) call.Offer {
	t.Helper()
	o, err := read(t, text).Offer()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheBodyIsFoundByItsContentType(t *testing.T) {
	t.Parallel()
	plain := body("m=audio 4000 RTP/AVP 0")
	part := "--x\r\nContent-Type: application/isup; version=itu-t92+\r\n\r\n\x01\x02\r\n--x\r\nContent-Type: Application/SDP\r\n\r\n" + plain + "\r\n--x--\r\n"
	nested := "--y\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n" + part + "\r\n--y--\r\n"
	tooDeep := "--z\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n" + nested + "\r\n--z--\r\n"
	many := strings.Repeat("--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n", sdp.MaxParts) + part
	for name, c := range map[string]struct {
		kind, body string
		err        error
	}{
		"plain":                        {"application/sdp", plain, nil},
		"with a parameter":             {"Application/SDP; charset=utf-8", plain, nil},
		"with a broken parameter":      {"application/sdp; =", plain, nil},
		"multipart beside ISUP":        {`multipart/mixed; boundary="x"`, part, nil},
		"multipart with LF only":       {`multipart/mixed; boundary=x`, strings.ReplaceAll(part, "\r\n", "\n"), nil},
		"alternative in mixed":         {"multipart/mixed; boundary=y", nested, nil},
		"three levels deep":            {"multipart/mixed; boundary=z", tooDeep, sdp.ErrNotSDP},
		"multipart without a boundary": {"multipart/mixed", part, sdp.ErrNotSDP},
		"multipart without SDP":        {"multipart/mixed; boundary=x", "--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x--\r\n", sdp.ErrNotSDP},
		"after too many parts":         {"multipart/mixed; boundary=x", many, sdp.ErrNotSDP},
		"another type":                 {"application/dtmf-relay", plain, sdp.ErrNotSDP},
		"no type":                      {"", plain, sdp.ErrNotSDP},
		"empty":                        {"application/sdp", "", sdp.ErrMalformed},
		"no line of SDP":               {"application/sdp", "hello\nworld\n", sdp.ErrMalformed},
		"too large":                    {"application/sdp", plain + strings.Repeat("a=x\n", sdp.MaxBytes/4), sdp.ErrTooLarge},
		"m-line of two fields":         {"application/sdp", body("m=audio 4000"), sdp.ErrMalformed},
		"m-line with a control":        {"application/sdp", body("m=audio 4000 RTP/AVP 0\x07"), sdp.ErrMalformed},
		"ten m-lines":                  {"application/sdp", body(strings.Repeat("m=audio 4000 RTP/AVP 0\n", sdp.MaxMedia)), nil},
		"eleven m-lines":               {"application/sdp", body(strings.Repeat("m=audio 4000 RTP/AVP 0\n", sdp.MaxMedia+1)), sdp.ErrTooManyMedia},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := sdp.Read(c.kind, []byte(c.body))
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			if o, err := s.Offer(); err != nil || o.Addr.String() != "192.0.2.9:4000" {
				t.Errorf("got %v (%v)", o.Addr, err)
			}
		})
	}
}

func TestAnOfferThatCannotBeUsedSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"no m-line":                         {body(), sdp.ErrNoAudio},
		"video only":                        {body("m=video 4000 RTP/AVP 96"), sdp.ErrNoAudio},
		"audio refused (RFC 3264 6)":        {body("m=audio 0 RTP/AVP 0"), sdp.ErrNoAudio},
		"port out of range":                 {body("m=audio 65536 RTP/AVP 0"), sdp.ErrNoAudio},
		"port not a number":                 {body("m=audio x RTP/AVP 0"), sdp.ErrNoAudio},
		"unknown proto":                     {body("m=audio 4000 TCP/MRCPv2 1"), sdp.ErrNoAudio},
		"SDES only":                         {body("m=audio 4000 RTP/SAVP 0"), sdp.ErrSecureOnly},
		"DTLS only":                         {body("m=audio 4000 UDP/TLS/RTP/SAVPF 0"), sdp.ErrSecureOnly},
		"G.729 only":                        {body("m=audio 4000 RTP/AVP 18 101", "a=rtpmap:101 telephone-event/8000"), sdp.ErrNoCodec},
		"dynamic type without rtpmap":       {body("m=audio 4000 RTP/AVP 96"), sdp.ErrNoCodec},
		"static type mapped elsewhere":      {body("m=audio 4000 RTP/AVP 0", "a=rtpmap:0 EVS/16000"), sdp.ErrNoCodec},
		"PCMU at another rate":              {body("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 PCMU/16000"), sdp.ErrNoCodec},
		"no format":                         {body("m=audio 4000 RTP/AVP"), sdp.ErrNoCodec},
		"host name in c=":                   {body("m=audio 4000 RTP/AVP 0", "c=IN IP4 media.example.net"), sdp.ErrHostName},
		"empty c=":                          {"v=0\nc=\nm=audio 4000 RTP/AVP 0\n", sdp.ErrNoAddress},
		"no c=":                             {"v=0\nm=audio 4000 RTP/AVP 0\n", sdp.ErrNoAddress},
		"multicast":                         {body("m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"), sdp.ErrNoAddress},
		"scoped IPv6":                       {body("m=audio 4000 RTP/AVP 0", "c=IN IP6 fe80::1%eth0"), sdp.ErrNoAddress},
		"the first of two failures is told": {body("m=audio 4000 RTP/AVP 18", "m=audio 4002 RTP/SAVP 0"), sdp.ErrNoCodec},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(t, c.body).Offer(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestDirectionAndHold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines string
		want  call.Direction
	}{
		"nothing said is sendrecv":              {"", call.SendRecv},
		"hold by sendonly (RFC 3264 8.4)":       {"a=sendonly", call.SendOnly},
		"recvonly":                              {"a=recvonly", call.RecvOnly},
		"hold by inactive":                      {"a=inactive", call.Inactive},
		"hold by 0.0.0.0 (RFC 2543)":            {"c=IN IP4 0.0.0.0", call.SendOnly},
		"0.0.0.0 with recvonly":                 {"c=IN IP4 0.0.0.0\na=recvonly", call.Inactive},
		"hold by :: ":                           {"c=IN IP6 ::", call.SendOnly},
		"hold by the .invalid of IPv6":          {"c=IN IP6 hold.invalid", call.SendOnly},
		"the first of two wins":                 {"a=inactive\na=sendrecv", call.Inactive},
		"case of the attribute does not matter": {"a=SendOnly", call.SendOnly},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := offer(t, body("m=audio 4000 RTP/AVP 0", c.lines)).Direction; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	session := "v=0\nc=IN IP4 192.0.2.9\na=sendonly\nm=audio 4000 RTP/AVP 0\n"
	if got := offer(t, session).Direction; got != call.SendOnly {
		t.Errorf("session level: got %s", got)
	}
	if got := offer(t, session+"a=sendrecv\n").Direction; got != call.SendRecv {
		t.Errorf("media level over session level: got %s", got)
	}
}

func TestMirrorIsTheTableOfRFC3264(t *testing.T) {
	t.Parallel()
	for d, want := range map[call.Direction]call.Direction{
		call.SendRecv: call.SendRecv, call.SendOnly: call.RecvOnly, call.RecvOnly: call.SendOnly, call.Inactive: call.Inactive, "": call.SendRecv,
	} {
		if got := sdp.Mirror(d); got != want {
			t.Errorf("%q: got %q, want %q", d, got, want)
		}
	}
}

func TestPacketLength(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]int{
		"":                          0,
		"a=ptime:30":                30,
		"a=ptime:20.5":              20,
		"a=ptime:0":                 0,
		"a=ptime:x":                 0,
		"a=ptime:1000":              0,
		"a=maxptime:10":             10, // less than the usual 20
		"a=maxptime:60":             0,
		"a=ptime:60\na=maxptime:40": 40,
	} {
		if got := offer(t, body("m=audio 4000 RTP/AVP 0", lines)).Ptime; got != want {
			t.Errorf("%q: got %d, want %d", lines, got, want)
		}
	}
}

func TestWhereRTCPGoes(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"":                              "192.0.2.9:4001",
		"a=rtcp:53020":                  "192.0.2.9:53020", // RFC 3605
		"a=rtcp:53020 IN IP4 192.0.2.8": "192.0.2.8:53020",
		"a=rtcp:53020 IN IP4 host.test": "192.0.2.9:53020",
		"a=rtcp:0":                      "192.0.2.9:4001",
		"a=rtcp-mux":                    "invalid AddrPort", // RFC 5761
	} {
		o := offer(t, body("m=audio 4000 RTP/AVP 0", lines))
		if got := o.RTCP.String(); got != want {
			t.Errorf("%q: got %s, want %s", lines, got, want)
		}
		if o.RTCPMux != (lines == "a=rtcp-mux") {
			t.Errorf("%q: mux %v", lines, o.RTCPMux)
		}
	}
	if o := offer(t, body("m=audio 65535 RTP/AVP 0")); o.RTCP.IsValid() {
		t.Errorf("no port follows 65535: got %s", o.RTCP)
	}
}

func TestDescriptionsOfIPv6AndMappedAddresses(t *testing.T) {
	t.Parallel()
	for connection, want := range map[string]string{
		"IN IP6 2001:db8::7":      "[2001:db8::7]:4000",
		"IN IP4 2001:db8::7":      "[2001:db8::7]:4000", // the type is wrong, the address is not
		"IN IP6 ::ffff:192.0.2.7": "192.0.2.7:4000",
		"IN IP4 192.0.2.7/127":    "192.0.2.7:4000",
		"IN  IP4  192.0.2.7":      "192.0.2.7:4000",
	} {
		if got := offer(t, body("m=audio 4000 RTP/AVP 0", "c="+connection)).Addr.String(); got != want {
			t.Errorf("%s: got %s, want %s", connection, got, want)
		}
	}
}

func TestFormatsAreNamedAsWeNameThem(t *testing.T) {
	t.Parallel()
	o := offer(t, body("m=audio 4000 RTP/AVP 111 9 8 96 97 98",
		"a=rtpmap:111 OPUS/48000", "a=fmtp:111 useinbandfec=1",
		"a=rtpmap:8 pcma/8000/1",
		"a=rtpmap:96 Telephone-Event/8000", "a=rtpmap:97 telephone-event/8000", "a=rtpmap:98 telephone-event/48000"))
	var got []string
	for _, c := range append(o.Codecs, o.DTMF...) {
		got = append(got, fmt.Sprintf("%d=%s/%d/%d", c.PayloadType, c.Name, c.ClockRate, c.Channels))
	}
	want := "111=opus/48000/2 9=G722/8000/0 8=PCMA/8000/0 96=telephone-event/8000/0 98=telephone-event/48000/0"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if o.Codecs[0].Fmtp != "useinbandfec=1" {
		t.Errorf("fmtp %q", o.Codecs[0].Fmtp)
	}
}

func TestTheAnswerKeepsToItsOffer(t *testing.T) {
	t.Parallel()
	s := read(t, "v=0\nc=IN IP4 192.0.2.9\nt=3724394400 3724398000\nm=video 6000/2 RTP/AVP 31 32\nm=audio 4000 RTP/AVP 100 0 110\n"+
		"a=rtpmap:100 opus/48000/2\na=rtpmap:110 telephone-event/8000\na=sendonly\nm=audio 4002 RTP/AVP 0\n")
	a := call.Answer{
		Addr:    netip.MustParseAddrPort("[2001:db8::1]:20000"),
		Codec:   call.Codec{PayloadType: 100, Name: "opus", ClockRate: 48000, Fmtp: "bad\r\nvalue"},
		DTMF:    &call.Codec{PayloadType: 110, ClockRate: 8000},
		RTCPMux: true,
	}
	got := string(s.Answer(a, sdp.Origin{ID: 1, Version: 18446744073709551615, Addr: netip.MustParseAddr("::ffff:192.0.2.1")}))
	want := strings.Join([]string{
		"v=0",
		"o=- 1 18446744073709551615 IN IP4 192.0.2.1",
		"s=-",
		"c=IN IP6 2001:db8::1",
		"t=3724394400 3724398000", // RFC 3264 6: the offer's
		"m=video 0 RTP/AVP 31 32", // RFC 3264 6: as many m-lines, in order, refused by port 0
		"m=audio 20000 RTP/AVP 100 110",
		"a=rtpmap:100 opus/48000/2",          // RFC 7587 7
		"a=rtpmap:110 telephone-event/48000", // the codec's clock
		"a=fmtp:110 0-16",
		"a=recvonly", // RFC 3264 6.1; no rtcp-mux, for none was offered
		"m=audio 0 RTP/AVP 0",
		"",
	}, "\r\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAnAnswerToWhatCannotBeUsedRefusesAll(t *testing.T) {
	t.Parallel()
	got := string(read(t, body("m=audio 4000 RTP/SAVP 0", "m=image 4002 udptl t38")).Answer(call.Answer{Addr: ours}, origin))
	if !strings.HasSuffix(got, "m=audio 0 RTP/SAVP 0\r\nm=image 0 udptl t38\r\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestOurOfferReadsBackAsItself(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]call.Offer{
		"G.711 with its own RTCP port": {
			Addr: ours, RTCP: netip.MustParseAddrPort("192.0.2.1:30000"), Ptime: 20, Direction: call.SendRecv,
			Codecs: []call.Codec{{PayloadType: 0, Name: "PCMU", ClockRate: 8000}},
			DTMF:   []call.Codec{{PayloadType: 101, Name: "telephone-event", ClockRate: 8000, Fmtp: "0-16"}},
		},
		"opus over IPv6, multiplexed": {
			Addr: netip.MustParseAddrPort("[2001:db8::1]:4000"), RTCPMux: true, Direction: call.SendOnly,
			Codecs: []call.Codec{{PayloadType: 96, Name: "opus", ClockRate: 48000, Channels: 2, Fmtp: "useinbandfec=1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wire := sdp.Offer(o, origin)
			if got := fmt.Sprintf("%+v", offer(t, string(wire))); got != fmt.Sprintf("%+v", o) {
				t.Errorf("got  %s\nwant %+v\n%s", got, o, wire)
			}
		})
	}
}

func TestTheOriginLineTellsARefreshFromAChange(t *testing.T) {
	t.Parallel()
	if got := read(t, body("m=audio 4000 RTP/AVP 0")).OriginLine(); got != "- 1 1 IN IP4 192.0.2.9" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkReadOfferAnswer(b *testing.B) {
	text := []byte(strings.ReplaceAll(body("m=audio 4000 RTP/AVP 0 8 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000",
		"a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", "a=sendrecv"), "\n", "\r\n"))
	b.ReportAllocs()
	for b.Loop() {
		s, err := sdp.Read("application/sdp", text)
		if err != nil {
			b.Fatal(err)
		}
		o, err := s.Offer()
		if err != nil {
			b.Fatal(err)
		}
		s.Answer(answer(o), origin)
	}
}
