package media

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/actors/endpoint"
	"patchbay/media/rtp"
)

// deafRig is a rig whose carrier has no telephone-event.
func deafRig(t testing.TB, codec string, change func(*legConfig)) *rig {
	return newRig(t, func(c *legConfig) {
		c.terms.answer.DTMF, c.terms.answer.Codec.Name, c.terms.agent.Name = nil, codec, codec
		if change != nil {
			change(c)
		}
	})
}

// sound sends keys as tones, and returns the payloads that left.
func (r *rig) sound(keys string, lasts time.Duration) (payloads [][]byte) {
	r.t.Helper()
	if err := r.leg.sendTones(keys); err != nil {
		r.t.Fatal(err)
	}
	before := len(r.rtp.sent)
	r.run(r.now + lasts)
	for _, b := range r.rtp.sent[before:] {
		if h, payload := parse(r.t, b); h.PayloadType == 0 {
			payloads = append(payloads, payload)
		}
	}
	return payloads
}

// TestTonesThatWeSendAreKeysToTheReader sends keys as tones from one leg, and
// has another, whose carrier they come from, hear them.
func TestTonesThatWeSendAreKeysToTheReader(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"PCMU", "PCMA", "G722"} {
		from, to := deafRig(t, codec, nil), deafRig(t, codec, nil)
		for i, payload := range from.sound("159w0D#a", 4*time.Second) {
			b := packet(0, 7, uint16(i+1), payload...)
			to.leg.receive(time.Duration(i)*20*ms, carrierRTP, b)
			if _, got := parse(t, to.agent[i]); !bytes.Equal(got, payload) {
				t.Fatalf("%s: packet %d went on changed", codec, i)
			}
		}
		want := []string{"first-rtp"}
		for _, key := range "1590D#A" {
			want = append(want, "digit "+string(key))
		}
		for i, got := range to.events {
			if i >= len(want) || !strings.HasPrefix(got, want[i]) {
				t.Fatalf("%s: %v, want %v", codec, to.events, want)
			}
		}
		if len(to.events) != len(want) {
			t.Errorf("%s: %v, want %v", codec, to.events, want)
		}
	}
}

func TestTonesInTheAudioAreKeysOnlyWhereThereIsNothingBetter(t *testing.T) {
	t.Parallel()
	event := &call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000}
	for name, tc := range map[string]struct {
		change func(*legConfig)
		heard  bool
	}{
		"no telephone-event":            {nil, true},
		"telephone-event was agreed on": {func(c *legConfig) { c.terms.answer.DTMF = event }, false},
		"switched off":                  {func(c *legConfig) { c.keys.InBand = endpoint.DTMFOff }, false},
		"Opus passes undecoded":         {func(c *legConfig) { c.terms.answer.Codec.Name = "opus" }, false},
	} {
		r := deafRig(t, "PCMU", tc.change)
		for i, payload := range deafRig(t, "PCMU", nil).sound("5", 400*ms) {
			r.leg.receive(time.Duration(i)*20*ms, carrierRTP, packet(0, 7, uint16(i), payload...))
		}
		if got := strings.Contains(strings.Join(r.events, " "), "digit 5"); got != tc.heard || len(r.agent) == 0 {
			t.Errorf("%s: %v", name, r.events)
		}
	}
}

func TestAnAgreementBeginsAndEndsTheSearchForTones(t *testing.T) {
	t.Parallel()
	r := deafRig(t, "PCMU", nil)
	event := &call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000}
	if r.leg.in.tones == nil {
		t.Fatal("nobody listens")
	}
	r.leg.update(0, agreement(func(a *call.Agreement) { a.Carrier.DTMF, a.Ours.DTMF = event, event }))
	if r.leg.in.tones != nil || !r.leg.out.keyed {
		t.Error("tones are listened for beside telephone-event")
	}
	r.leg.update(0, agreement(func(a *call.Agreement) { a.Carrier.DTMF, a.Ours.DTMF = nil, nil }))
	if r.leg.in.tones == nil || r.leg.out.keyed {
		t.Error("nobody listens any more")
	}
}

func TestOurOwnTonesAreNoKeysWhenTheyComeBack(t *testing.T) {
	t.Parallel()
	r := deafRig(t, "PCMU", nil)
	r.leg.receive(0, carrierRTP, packet(0, 7, 1, rtp.Silence("PCMU")...))
	for i, payload := range r.sound("5", 400*ms) {
		r.leg.receive(r.now-400*ms+time.Duration(i+1)*20*ms, carrierRTP, packet(0, 7, uint16(i+2), payload...))
	}
	r.want("first-rtp")
}

func TestATonePressedWhileTheAgentSpeaksTakesItsPlace(t *testing.T) {
	t.Parallel()
	r := deafRig(t, "PCMU", nil)
	r.leg.fromAgent(0, 1, packet(96, 8, 1, 1))
	if err := r.leg.sendTones("4"); err != nil {
		t.Fatal(err)
	}
	before, _ := parse(t, r.rtp.sent[0])
	for i := range 10 {
		r.run(r.now + 20*ms)
		r.leg.fromAgent(r.now, 1, packet(96, 8, uint16(i+2), 1))
	}
	tones := 0
	for i, b := range r.rtp.sent[1:] {
		h, payload := parse(t, b)
		if h.Sequence != before.Sequence+uint16(i+1) {
			t.Errorf("packet %d has sequence number %d", i, h.Sequence)
		}
		if len(payload) == 160 && !bytes.Equal(payload, rtp.Silence("PCMU")) {
			tones++
		}
	}
	if tones != 5 {
		t.Errorf("%d packets of tone, want 100 ms", tones)
	}
}

// TestHowKeysLeave is the table of dtmf_out.
func TestHowKeysLeave(t *testing.T) {
	t.Parallel()
	event := &call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000}
	for name, tc := range map[string]struct {
		out    string
		agreed *call.Codec
		err    error
		want   string
	}{
		"auto, agreed on":        {"", event, nil, ""},
		"auto, else":             {endpoint.DTMFAuto, nil, nil, "digits-asked 12"},
		"rfc4733, agreed on":     {endpoint.DTMFRFC4733, event, nil, ""},
		"rfc4733, else":          {endpoint.DTMFRFC4733, nil, ErrNoDTMF, ""},
		"info, for all that":     {endpoint.DTMFInfo, event, nil, "digits-asked 12 by INFO"},
		"info, nothing agreed":   {endpoint.DTMFInfo, nil, nil, "digits-asked 12 by INFO"},
		"auto, but not answered": {"held", event, ErrNoDTMF, ""},
	} {
		r := newRig(t, func(c *legConfig) {
			c.keys.Out, c.terms.answer.DTMF, c.terms.hold = tc.out, tc.agreed, tc.out == "held"
		})
		if err := r.leg.sendDigits("12", r.leg.post); err != tc.err {
			t.Errorf("%s: %v, want %v", name, err, tc.err)
		}
		r.run(100 * ms)
		r.want(tc.want)
		if sent := len(r.rtp.sent) > 0 && r.rtp.sent[0][1]&0x7f == 101; sent != (tc.err == nil && tc.want == "") {
			t.Errorf("%s: as telephone-event: %v", name, sent)
		}
	}
	for digits, want := range map[string]error{"": ErrBadDigits, "x": ErrBadDigits, strings.Repeat("1", 65): ErrDigitsFull} {
		if err := deafRig(t, "PCMU", nil).leg.sendDigits(digits, nil); err != want {
			t.Errorf("%q: %v, want %v", digits, err, want)
		}
	}
	if err := deafRig(t, "opus", nil).leg.sendTones("1"); err != ErrNoDTMF {
		t.Errorf("tones in Opus: %v", err)
	}
}

func TestTheHotPathAllocatesNothingWhileItListensForTones(t *testing.T) {
	r := deafRig(t, "PCMU", func(c *legConfig) { c.toAgent = func([]byte) {} })
	tones := deafRig(t, "PCMU", nil).sound("5", 100*ms)
	b, seq := packet(0, 7, 0, tones[0]...), uint16(0)
	if n := testing.AllocsPerRun(500, func() {
		seq++
		rtp.Header{PayloadType: 0, SSRC: 7, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(b)
		r.leg.receive(time.Duration(seq)*20*ms, carrierRTP, b)
	}); n > 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkReceiveWhileListeningForTones(b *testing.B) {
	r := deafRig(b, "PCMU", func(c *legConfig) { c.toAgent = func([]byte) {} })
	tones := deafRig(b, "PCMU", nil).sound("5", 100*ms)
	p, seq := packet(0, 7, 0, tones[0]...), uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		rtp.Header{PayloadType: 0, SSRC: 7, Sequence: seq, Timestamp: uint32(seq) * 160}.Put(p)
		r.leg.receive(time.Duration(seq)*20*ms, carrierRTP, p)
	}
}
