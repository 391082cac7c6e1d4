package media

import (
	"testing"
	"time"

	"patchbay/media/rtp"
)

// ringing is a leg that rings, without an agent yet.
func ringingRig(t testing.TB) *rig {
	r := newRig(t, func(c *legConfig) { c.terms.hold, c.number, c.toAgent = true, 0, nil })
	r.leg.ring("uk")
	return r
}

func TestRingingIsOnePacketForEachTurnOfTheClock(t *testing.T) {
	t.Parallel()
	r := ringingRig(t)
	round := rtp.Ringback("uk", "PCMU")
	r.run(2 * 3 * time.Second)
	if len(r.rtp.sent) != 2*len(round) {
		t.Fatalf("%d packets in 6 s, want %d", len(r.rtp.sent), 2*len(round))
	}
	first, _ := parse(t, r.rtp.sent[0])
	for i, p := range r.rtp.sent {
		h, payload := parse(t, p)
		if h.Sequence != first.Sequence+uint16(i) || h.Timestamp != first.Timestamp+uint32(160*i) || string(payload) != string(round[i%len(round)]) {
			t.Fatalf("packet %d: %+v", i, h)
		}
	}
}

func TestAnAgentBeginsWhereTheRingingEnds(t *testing.T) {
	t.Parallel()
	r := ringingRig(t)
	r.leg.receive(0, carrierRTP, packet(0, 7, 1, 1)) // latches, before the answer
	if r.rtp.fixed != carrierRTP {
		t.Errorf("the socket is held to %v", r.rtp.fixed)
	}
	r.run(time.Second)
	r.leg.attach(r.now, r.leg.terms.agentTerms, 1, func([]byte) {})
	r.leg.fromAgent(r.now, 1, packet(96, 8, 600, 4))
	rung := len(r.rtp.sent)
	r.leg.answered(r.now)
	r.leg.ringOff(r.now)
	r.leg.fromAgent(r.now, 1, packet(96, 8, 601, 5))
	if len(r.rtp.sent) != rung+1 {
		t.Fatalf("%d packets after the answer", len(r.rtp.sent)-rung)
	}
	before, _ := parse(t, r.rtp.sent[rung-1])
	after, payload := parse(t, r.rtp.sent[rung])
	if after.Sequence != before.Sequence+1 || !after.Marker || after.SSRC != before.SSRC || after.Timestamp-before.Timestamp < 160 || payload[0] != 5 {
		t.Errorf("%+v after %+v", after, before)
	}
	r.want("first-rtp, first-agent-rtp")
}

func TestRingingOnHoldIsSilentAndComesBack(t *testing.T) {
	t.Parallel()
	r := ringingRig(t)
	r.run(200 * ms)
	sent := len(r.rtp.sent)
	r.leg.update(r.now, agreement(directed("sendonly")))
	r.run(3 * time.Second)
	if len(r.rtp.sent) != sent {
		t.Error("a carrier that takes no audio hears ringing")
	}
	r.leg.update(r.now, agreement(nil))
	r.run(r.now + 200*ms)
	if len(r.rtp.sent) < sent+9 {
		t.Errorf("%d packets after it resumed", len(r.rtp.sent)-sent)
	}
}

func TestRingingAllocatesNothing(t *testing.T) {
	r := ringingRig(t)
	r.rtp.quiet = true
	r.leg.tick(0)
	now := time.Duration(0)
	if n := testing.AllocsPerRun(100, func() { now += wheelTurn; r.leg.out.tick(now, r.rtp) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkRinging(b *testing.B) {
	r := ringingRig(b)
	r.rtp.quiet = true
	b.ReportAllocs()
	for now := time.Duration(0); b.Loop(); now += wheelTurn {
		r.leg.out.tick(now, r.rtp)
	}
}
