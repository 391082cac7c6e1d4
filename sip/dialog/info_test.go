package dialog_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"patchbay/actors/call"
)

// furtherOf returns the header fields and the body that a row's options ask for:
// "relay=5,160" and "dtmf=5" are the two forms of a key, "type=x/y" a body of
// that type, "package=x" an Info package; "se=600,uac" asks for a session timer,
// "supported=", "require=", "allow=", "min-se=" and "rseq="
// are header fields, and "rack=1,2" is that of a PRACK.
func furtherOf(options map[string]string) (further []string, body string) {
	kind := options["type"]
	if kind != "" {
		body = "body\r\n"
	}
	if v, ok := options["relay"]; ok {
		signal, duration, _ := strings.Cut(v, ",")
		kind, body = "application/dtmf-relay", "Signal="+signal+"\r\nDuration="+duration+"\r\n"
	}
	if v, ok := options["dtmf"]; ok {
		kind, body = "application/dtmf", v
	}
	if v, ok := options["package"]; ok {
		further = append(further, "Info-Package: "+v)
	}
	if v, ok := options["se"]; ok {
		seconds, refresher, named := strings.Cut(v, ",")
		if named {
			seconds += ";refresher=" + refresher
		}
		further = append(further, "Session-Expires: "+seconds)
	}
	for option, name := range map[string]string{"supported": "Supported", "require": "Require", "allow": "Allow", "min-se": "Min-SE", "rseq": "RSeq", "early-media": "P-Early-Media"} {
		if v, ok := options[option]; ok {
			further = append(further, name+": "+v)
		}
	}
	if rseq, cseq, ok := strings.Cut(options["rack"], ","); ok {
		further = append(further, "RAck: "+rseq+" "+cseq+" INVITE")
	}
	if kind != "" {
		further = append(further, "Content-Type: "+kind)
	}
	return further, body
}

func TestKeysByInfoAreReadInEveryFormThatCarriersSend(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind, body string
		status     string
		digit      string
		held       time.Duration
	}{
		{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "200", "5", 160 * time.Millisecond},
		{"application/dtmf-relay", "Signal= # \nDuration= 250\n", "200", "#", 250 * time.Millisecond},
		{"Application/DTMF-Relay; x=y", "signal=d\r\n", "200", "D", 0},
		{"application/dtmf-relay", "Signal:7\r\nDuration:99999999\r\n", "200", "7", 20 * time.Second},
		{"application/dtmf-relay", "Signal=11\r\nDuration=x\r\n", "200", "#", 0},
		{"application/dtmf-relay", "Duration=160\r\nSignal=*\r\n", "200", "*", 160 * time.Millisecond},
		{"application/dtmf-relay", "Signal=16\r\n", "200", "", 0}, // hook flash
		{"application/dtmf-relay", "Signal=17\r\n", "400", "", 0},
		{"application/dtmf-relay", "Duration=160\r\n", "400", "", 0},
		{"application/dtmf-relay", "Signal=\r\n", "400", "", 0},
		{"application/dtmf", "5", "200", "5", 0},
		{"application/dtmf", " 12\r\n", "200", "A", 0},
		{"application/dtmf", "!", "200", "", 0},
		{"application/dtmf", "55", "400", "", 0},
		{"application/dtmf", "-1", "400", "", 0},
		{"application/media_control+xml", "<x/>", "415", "", 0},
		{"", "", "200", "", 0},
	} {
		s := answeredSim(t)
		digits := digitsOf(s)
		s.peer.seq++
		raw := string(s.peer.write("INFO", "z9hG4bK-i", s.peer.seq, nil))
		if tc.kind != "" {
			raw = strings.Replace(raw, "Content-Length: 0", "Content-Type: "+tc.kind+"\r\nContent-Length: "+strconv.Itoa(len(tc.body)), 1) + tc.body
		}
		status := ""
		s.sent = func(tx call.Transmission) { status = string(tx.Raw[8:11]) }
		s.receive(call.Packet{Flow: s.peer.flow("edge-1"), Raw: []byte(raw)})
		if got := *digits; status != tc.status || tc.digit == "" && len(got) != 0 || tc.digit != "" && (len(got) != 1 || got[0].Digit != tc.digit || got[0].Held != tc.held) {
			t.Errorf("%s %q: %s and %v, want %s and %q for %v", tc.kind, tc.body, status, got, tc.status, tc.digit, tc.held)
		}
	}
}

// answeredSim is a call that was answered and acknowledged.
func answeredSim(t testing.TB) *sim {
	s := newSim(t, sceneOf(nil))
	s.do(step{from: carrier, text: "INVITE"})
	s.do(step{from: agent, text: "joined PCMU"})
	s.do(step{from: carrier, text: "ACK"})
	return s
}

// digitsOf collects the keys that the call tells of from now on.
func digitsOf(s *sim) *[]call.Event {
	var all []call.Event
	s.heardEvents = func(name string, ev call.Event) {
		if name == call.EventDigit {
			all = append(all, ev)
		}
	}
	return &all
}

// TestEveryPressIsToldOnceHoweverTheCarrierTellsIt presses random keys, each
// told of by RTP, by INFO, or by both in either order within the second that it
// may take: as many digits come out as were pressed.
func TestEveryPressIsToldOnceHoweverTheCarrierTellsIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := answeredSim(t)
		digits := digitsOf(s)
		way := rapid.SampledFrom([]string{"rtp", "info", "rtp info", "info rtp"}).Draw(r, "way")
		pressed := ""
		for range rapid.IntRange(1, 12).Draw(r, "presses") {
			key := rapid.SampledFrom([]string{"5", "5", "#", "1"}).Draw(r, "key")
			pressed += key
			for one := range strings.FieldsSeq(way) {
				if one == "rtp" {
					s.do(step{from: agent, text: "digit " + key})
				} else {
					s.do(step{from: carrier, text: "INFO relay=" + key + ",100"})
				}
				s.runUntil(s.now + time.Duration(rapid.IntRange(0, 400).Draw(r, "apart"))*time.Millisecond)
			}
			s.runUntil(s.now + 120*time.Millisecond)
		}
		got := ""
		for _, ev := range *digits {
			got += ev.Digit
		}
		if got != pressed {
			r.Fatalf("pressed %s, told %s by %s\n%s", pressed, got, way, s.String())
		}
	})
}

func TestKeysByInfoAreBoundedInRate(t *testing.T) {
	t.Parallel()
	s := answeredSim(t)
	digits := digitsOf(s)
	for range 100 {
		s.do(step{from: carrier, text: "INFO dtmf=1"})
	}
	if n := len(*digits); n != 20 {
		t.Errorf("%d keys of 100 at once, want 20", n)
	}
}

func FuzzNoInfoBreaksACall(f *testing.F) {
	f.Add("application/dtmf-relay", "Signal=5\r\nDuration=160")
	f.Add("application/dtmf", "16")
	f.Fuzz(func(t *testing.T, kind, body string) {
		s := answeredSim(t)
		if strings.ContainsAny(kind, "\r\n\x00") {
			return
		}
		s.peer.seq++
		raw := string(s.peer.write("INFO", "z9hG4bK-i", s.peer.seq, nil))
		raw = strings.Replace(raw, "Content-Length: 0", "Content-Type: "+kind+"\r\nContent-Length: "+strconv.Itoa(len(body)), 1) + body
		s.receive(call.Packet{Flow: s.peer.flow("edge-1"), Raw: []byte(raw)})
		s.do(step{from: carrier, text: "BYE"})
		if s.runUntil(s.now + patience); !s.machine.Done() {
			t.Error("something is left of the call")
		}
	})
}
