package sdp_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay/actors/call"
	"patchbay/internal/golden"
	"patchbay/sip/sdp"
)

var (
	ours   = netip.MustParseAddrPort("192.0.2.1:20000")
	origin = sdp.Origin{ID: 7, Version: 1, Addr: ours.Addr()}
)

// answer is what a bridge makes of an offer whose agent took the first codec.
func answer(o call.Offer) call.Answer {
	a := call.Answer{Addr: ours, Codec: o.Codecs[0], Ptime: 20, RTCPMux: o.RTCPMux}
	for _, d := range o.DTMF {
		if d.ClockRate == a.Codec.ClockRate {
			a.DTMF = &d
		}
	}
	return a
}

// TestBodiesOfCarriers reads each body in testdata and pins what was made of
// it and what we answer, in one file that a person can review.
func TestBodiesOfCarriers(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sdp")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bodies: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".sdp"), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := sdp.Read("application/sdp", body)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			o, err := s.Offer()
			if err != nil {
				out.WriteString("error: " + err.Error() + "\n\n")
				out.Write(s.Answer(call.Answer{Addr: ours}, origin))
			} else {
				enc := json.NewEncoder(&out)
				enc.SetIndent("", "  ")
				if err := enc.Encode(o); err != nil {
					t.Fatal(err)
				}
				out.WriteString("\n")
				out.Write(s.Answer(answer(o), origin))
			}
			golden.Compare(t, strings.TrimSuffix(file, ".sdp")+".golden", bytes.ReplaceAll(out.Bytes(), []byte("\r\n"), []byte("\n")))
		})
	}
}
