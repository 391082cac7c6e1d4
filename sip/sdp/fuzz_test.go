package sdp_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"patchbay/actors/call"
	"patchbay/sip/sdp"
)

// FuzzSDP holds the reader to its limits and the writer to the reader: what
// we answer must be read back as what was meant.
func FuzzSDP(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.sdp")
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("application/sdp", body)
	}
	f.Add(`multipart/mixed; boundary="b"`, []byte("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 0\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		s, err := sdp.Read(contentType, body)
		if err != nil {
			return
		}
		o, err := s.Offer()
		if err != nil {
			refused, err := sdp.Read("application/sdp", s.Answer(call.Answer{Addr: ours}, origin))
			if err != nil {
				t.Fatalf("refusal not readable: %v", err)
			}
			if got, err := refused.Offer(); err == nil {
				t.Fatalf("refusal read as audio: %+v", got)
			}
			return
		}
		a := answer(o)
		wire := s.Answer(a, origin)
		back, err := sdp.Read("application/sdp", wire)
		if err != nil {
			t.Fatalf("answer not readable: %v\n%s", err, wire)
		}
		got, err := back.Offer()
		if err != nil {
			t.Fatalf("answer without audio: %v\n%s", err, wire)
		}
		if got.Addr != a.Addr || len(got.Codecs) != 1 || got.Codecs[0].PayloadType != a.Codec.PayloadType ||
			got.Codecs[0].Name != a.Codec.Name || got.Direction != sdp.Mirror(o.Direction) {
			t.Fatalf("answer read back as %+v, meant %+v", got, a)
		}
		again, err := sdp.Read("application/sdp", sdp.Offer(o, origin))
		if err != nil {
			t.Fatalf("offer not readable: %v", err)
		}
		if twice, err := again.Offer(); err != nil || !slices.EqualFunc(twice.Codecs, o.Codecs, sameFormat) {
			t.Fatalf("offer read back as %+v (%v), meant %+v", twice, err, o)
		}
	})
}

func sameFormat(a, b call.Codec) bool {
	return a.PayloadType == b.PayloadType && a.Name == b.Name && a.ClockRate == b.ClockRate
}
