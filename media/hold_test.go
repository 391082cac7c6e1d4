package media

import (
	"net/netip"
	"testing"
	"time"

	"patchbay/actors/call"
)

// agreement is one with the rig's carrier, after change.
func agreement(change func(*call.Agreement)) call.Agreement {
	codec := call.Codec{PayloadType: 0, Name: "PCMU", ClockRate: 8000}
	event := call.Codec{PayloadType: 101, Name: "telephone-event", ClockRate: 8000}
	a := call.Agreement{
		Carrier: call.Answer{Addr: carrierRTP, RTCP: carrierRTCP, Codec: codec, DTMF: &event, Direction: call.SendRecv},
		Ours:    call.Answer{Codec: codec, DTMF: &event, Direction: call.SendRecv},
	}
	if change != nil {
		change(&a)
	}
	return a
}

func directed(carrier call.Direction) func(*call.Agreement) {
	return func(a *call.Agreement) { a.Carrier.Direction, a.Ours.Direction = carrier, carrier.Mirror() }
}

func TestACarrierOnHoldIsSentReportsAndNoAudioAndMayBeSilent(t *testing.T) {
	t.Parallel()
	for _, direction := range []call.Direction{call.SendOnly, call.Inactive} {
		r := newRig(t, nil)
		r.leg.answered(0)
		r.leg.receive(0, carrierRTP, packet(0, 7, 1, 1))
		r.leg.fromAgent(0, 1, packet(96, 8, 600, 4))
		r.leg.update(0, agreement(directed(direction)))
		for r.now = 0; r.now < 100*time.Second; r.now += wheelTurn {
			r.leg.tick(r.now)
			r.leg.fromAgent(r.now, 1, packet(96, 8, uint16(601+r.now/wheelTurn), 4))
		}
		if len(r.rtp.sent) != 1 || len(r.rtcp.sent) < 15 {
			t.Errorf("%s: %d packets and %d reports were sent", direction, len(r.rtp.sent), len(r.rtcp.sent))
		}
		r.leg.receive(r.now, carrierRTP, packet(0, 7, 2, 9))
		if len(r.agent) != 2 {
			t.Errorf("%s: what the carrier plays does not reach the agent", direction)
		}
		r.want("first-rtp, first-agent-rtp")

		r.leg.update(r.now, agreement(nil))
		r.leg.fromAgent(r.now, 1, packet(96, 8, 7000, 5))
		if len(r.rtp.sent) != 2 {
			t.Fatalf("%s: %d packets after it resumed", direction, len(r.rtp.sent)-1)
		}
		before, _ := parse(t, r.rtp.sent[0])
		after, _ := parse(t, r.rtp.sent[1])
		if after.Sequence != before.Sequence+1 || !after.Marker || after.SSRC != before.SSRC || after.Timestamp-before.Timestamp < 60*8000 {
			t.Errorf("%s: %+v after %+v", direction, after, before)
		}
		r.run(r.now + 14*time.Second)
		r.want("first-rtp, first-agent-rtp")
		r.run(r.now + 2*time.Second)
		r.want("first-rtp, first-agent-rtp, timeout rtp_timeout")
	}
}

func TestANullAddressIsSentNothingAtAllAndForgetsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.leg.answered(0)
	for i := range 4 {
		r.leg.receive(0, natted, packet(0, 7, uint16(i), 1))
	}
	r.leg.update(0, agreement(func(a *call.Agreement) {
		directed(call.SendOnly)(a)
		a.Carrier.Addr, a.Carrier.RTCP = netip.MustParseAddrPort("0.0.0.0:4000"), netip.MustParseAddrPort("0.0.0.0:4001")
	}))
	r.run(60 * time.Second)
	r.leg.fromAgent(r.now, 1, packet(96, 8, 1, 4))
	if len(r.rtp.sent)+len(r.rtcp.sent) != 0 {
		t.Errorf("%d packets and %d reports were sent", len(r.rtp.sent), len(r.rtcp.sent))
	}
	r.leg.update(r.now, agreement(nil))
	r.leg.fromAgent(r.now, 1, packet(96, 8, 2, 4))
	if len(r.rtp.sent) != 1 || r.rtp.to[0] != natted || r.rtp.fixed != natted {
		t.Errorf("resumed: %d packets to %v, the socket held to %v; want one to where the carrier was", len(r.rtp.sent), r.rtp.to, r.rtp.fixed)
	}
}

func TestOtherNumbersOfTheSameFormats(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *legConfig) {
		c.terms.agentDTMF = &call.Codec{PayloadType: 97, Name: "telephone-event", ClockRate: 8000}
	})
	r.leg.receive(0, carrierRTP, packet(0, 7, 1, 1))
	r.leg.update(0, agreement(func(a *call.Agreement) {
		keys := call.Codec{PayloadType: 98, Name: "telephone-event", ClockRate: 8000}
		heard := call.Codec{PayloadType: 100, Name: "telephone-event", ClockRate: 8000}
		a.Carrier.Codec.PayloadType, a.Ours.Codec.PayloadType = 99, 102
		a.Carrier.DTMF, a.Ours.DTMF = &keys, &heard
	}))
	r.leg.receive(0, carrierRTP, packet(0, 7, 2, 1))
	if len(r.agent) != 1 {
		t.Error("a packet with the number of before reaches the agent")
	}
	r.leg.receive(0, carrierRTP, packet(102, 7, 3, 2))
	r.leg.receive(0, carrierRTP, packet(100, 7, 4, 5, 0x8a, 3, 32))
	if len(r.agent) != 3 {
		t.Fatalf("the agent has %d packets, want 3", len(r.agent))
	}
	audio, _ := parse(t, r.agent[1])
	key, _ := parse(t, r.agent[2])
	if audio.PayloadType != 96 || key.PayloadType != 97 {
		t.Errorf("the agent got types %d and %d", audio.PayloadType, key.PayloadType)
	}
	r.leg.fromAgent(0, 1, packet(96, 8, 1, 4))
	r.leg.fromAgent(0, 1, packet(97, 8, 2, 5, 0, 0, 160))
	said, _ := parse(t, r.rtp.sent[0])
	pressed, _ := parse(t, r.rtp.sent[1])
	if said.PayloadType != 99 || pressed.PayloadType != 98 {
		t.Errorf("the carrier got types %d and %d", said.PayloadType, pressed.PayloadType)
	}
	r.want("first-rtp, digit 5 100ms, first-agent-rtp")

	r.leg.update(0, agreement(func(a *call.Agreement) { a.Carrier.DTMF, a.Ours.DTMF = nil, nil }))
	if err := r.leg.sendDigits("1", r.leg.post); err != nil {
		t.Errorf("digits for a carrier without telephone-event: %v", err)
	}
	r.want("first-rtp, digit 5 100ms, first-agent-rtp, digits-asked 1")
	r.leg.fromAgent(0, 1, packet(97, 8, 3, 5, 0, 0, 160))
	if len(r.rtp.sent) != 2 {
		t.Error("a key was sent to a carrier that takes none")
	}
	if r.faults != 0 {
		t.Errorf("%d faults", r.faults)
	}
}

// A source that the latch of before has found may not hold the socket once
// another latch is open.
func TestALatchThatWasReplacedChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	_, news := r.leg.in.take(0, carrierRTP, packet(0, 7, 1, 1))
	if !news.latched {
		t.Fatal("the SDP's address was not believed")
	}
	r.leg.update(0, agreement(func(a *call.Agreement) { a.Carrier.Addr = natted }))
	r.leg.out.retarget(carrierRTP, news.latch, r.rtp)
	if r.rtp.fixed.IsValid() || r.leg.out.target != natted {
		t.Errorf("the socket is held to %v, packets go to %v", r.rtp.fixed, r.leg.out.target)
	}
	r.leg.receive(0, natted, packet(0, 9, 1, 1))
	if r.rtp.fixed != natted {
		t.Errorf("the socket is held to %v", r.rtp.fixed)
	}
}

func TestALatchOfAnEarlierAnswerChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *legConfig) { c.terms.hold = true })
	_, news := r.leg.in.take(0, carrierRTP, packet(0, 7, 1, 1))
	if !news.latched {
		t.Fatal("the SDP's address was not believed")
	}
	other := r.leg.agreed()
	other.offer.Addr = natted // another of those who ring has picked up
	r.leg.renew(0, other)
	r.leg.out.retarget(carrierRTP, news.latch, r.rtp)
	if r.leg.out.target != natted {
		t.Errorf("packets go to %v, want %v, which has answered", r.leg.out.target, natted)
	}
	r.leg.receive(0, natted, packet(0, 9, 1, 1))
	r.leg.release()
	if r.rtp.fixed != natted {
		t.Errorf("the socket is held to %v", r.rtp.fixed)
	}
}

// BenchmarkUpdate is one hold.
func BenchmarkUpdate(b *testing.B) {
	r := newRig(b, nil)
	r.leg.receive(0, carrierRTP, packet(0, 7, 1, 1))
	held, resumed := agreement(directed(call.SendOnly)), agreement(nil)
	for b.Loop() {
		r.leg.update(0, held)
		r.leg.update(0, resumed)
	}
}
