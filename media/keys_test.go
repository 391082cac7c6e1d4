package media

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media/rtp"
)

// keys sends one key of 100 ms as a carrier does.
func (r *rig) keys(code byte, first uint16) {
	for i := range 8 {
		d, flags := min(uint16(i+1)*160, 800), byte(10)
		if i >= 5 {
			flags |= 0x80
		}
		b := packet(101, 7, first+uint16(i), code, flags, byte(d>>8), byte(d))
		rtp.Header{PayloadType: 101, SSRC: 7, Sequence: first + uint16(i), Timestamp: uint32(first) * 160, Marker: i == 0}.Put(b)
		r.leg.receive(r.now+time.Duration(i)*20*ms, carrierRTP, b)
	}
}

func TestADigitIsOneEventAndTheAgentGetsItsOwnTelephoneEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *legConfig) {
		c.terms.agentDTMF = &call.Codec{PayloadType: 110, Name: "telephone-event", ClockRate: 8000}
	})
	r.leg.receive(0, carrierRTP, packet(0, 7, 1, 1))
	r.keys(5, 2)
	if len(r.agent) != 9 {
		t.Fatalf("the agent got %d packets", len(r.agent))
	}
	if h, payload := parse(t, r.agent[1]); h.PayloadType != 110 || payload[0] != 5 {
		t.Errorf("%+v %v", h, payload)
	}
	r.want("first-rtp, digit 5 100ms")
}

func TestAnAgentWithoutTelephoneEventGetsSilenceInItsPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.leg.receive(0, carrierRTP, packet(0, 7, 1, 1))
	r.keys(11, 2)
	r.leg.receive(200*ms, carrierRTP, packet(0, 7, 10, 9))
	if len(r.agent) != 1+5+1 {
		t.Fatalf("the agent got %d packets, want audio, 100 ms of silence, audio", len(r.agent))
	}
	before, _ := parse(t, r.agent[0])
	for i, b := range r.agent[1:6] {
		h, payload := parse(t, b)
		if h.PayloadType != 96 || len(payload) != 160 || payload[0] != 0xff {
			t.Errorf("silence %d: %+v, %d bytes", i, h, len(payload))
		}
		if h.Sequence != before.Sequence+1 || h.Timestamp != before.Timestamp+160 {
			t.Errorf("silence %d: seq %d ts %d after %d %d", i, h.Sequence, h.Timestamp, before.Sequence, before.Timestamp)
		}
		before = h
	}
	if h, payload := parse(t, r.agent[6]); h.Sequence != before.Sequence+1 || payload[0] != 9 {
		t.Errorf("after the key: %+v", h)
	}
	r.want("first-rtp, digit # 100ms")
}

// TestAKeyWhoseSourceChangesIsOneEvent has the source of a key change while it
// is held: its SSRC, its sequence numbers and its timestamps.
func TestAKeyWhoseSourceChangesIsOneEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.leg.receive(0, carrierRTP, packet(0, 7, 1, 1))
	for i := range 6 {
		ssrc, seq, ts := uint32(7), uint16(2+i), uint32(320)
		if i >= 3 {
			ssrc, seq, ts = 8, uint16(900+i), 70000
		}
		flags, held := byte(10), byte(160/8*(i+1)) // in units of 8 ticks
		if i == 5 {
			flags |= 0x80
		}
		b := packet(101, ssrc, seq, 5, flags, held>>5, held<<3)
		rtp.Header{PayloadType: 101, SSRC: ssrc, Sequence: seq, Timestamp: ts}.Put(b)
		r.leg.receive(time.Duration(i)*20*ms, carrierRTP, b)
	}
	r.run(time.Second)
	r.want("first-rtp, digit 5 120ms")
}

func TestAKeyWhoseEndIsLostEndsWithTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.leg.receive(0, carrierRTP, packet(101, 7, 1, 3, 10, 1, 64))
	r.run(time.Second)
	r.want("first-rtp, digit 3 40ms")
}

func TestAFloodOfKeysIsCutToWhatHandsCanPress(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i := range 2000 { // each packet claims to be a whole key
		r.leg.receive(time.Duration(i)*ms, carrierRTP, packet(101, 7, uint16(i), 1, 0x8a, 0, 80))
	}
	if n := len(r.events) - 1; n < 40 || n > 60 {
		t.Errorf("%d keys in two seconds, want 20 at once and 20 a second", n)
	}
}

func TestDigitsTakeThePlaceOfTheAgentsAudio(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.leg.fromAgent(0, 1, packet(96, 8, 1, 1))
	if err := r.leg.sendDigits("4", nil); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		r.run(r.now + 20*ms)
		r.leg.fromAgent(r.now, 1, packet(96, 8, uint16(i+2), 1))
	}
	var types []string
	seq, _ := parse(t, r.rtp.sent[0])
	for i, b := range r.rtp.sent {
		h, _ := parse(t, b)
		types = append(types, fmt.Sprint(h.PayloadType))
		if h.Sequence != seq.Sequence+uint16(i) {
			t.Errorf("packet %d has sequence number %d", i, h.Sequence)
		}
	}
	if got := strings.Join(types, " "); got != "0 101 101 101 101 101 101 101 0 0 0 0" {
		t.Errorf("types %s", got)
	}
}

func TestDigitsAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for digits, want := range map[string]error{"12a": nil, "": ErrBadDigits, "1 2": ErrBadDigits, strings.Repeat("1", 70): ErrDigitsFull} {
		if err := r.leg.sendDigits(digits, nil); err != want {
			t.Errorf("%q: %v, want %v", digits, err, want)
		}
	}
	none := newRig(t, func(c *legConfig) { c.terms.answer.DTMF, c.keys.Out = nil, endpoint.DTMFRFC4733 })
	if err := none.leg.sendDigits("1", nil); err != ErrNoDTMF {
		t.Errorf("without telephone-event: %v", err)
	}
}
