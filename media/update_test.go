package media_test

import (
	"net/netip"
	"testing"
	"time"

	"patchbay/actors/call"
	"patchbay/media/rtp"
)

// agreed is what the bench's carrier and we agree on anew.
func (b *bench) agreed(at netip.AddrPort, carrier call.Direction) call.Agreement {
	codec := b.answer.Codec
	return call.Agreement{
		Carrier: call.Answer{Addr: at, RTCP: addr(b.rtcp), Codec: codec, Direction: carrier},
		Ours:    call.Answer{Addr: b.answer.Addr, Codec: codec, Direction: carrier.Mirror()},
		Source:  at.Addr(),
	}
}

func TestACarrierThatMovesIsFollowedAndNobodyElse(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	b.send(b.rtp, packet(0, 1, payload(0, 0xca)...))
	eventually(t, "the carrier is heard", func() bool { return len(b.agent.packets()) == 1 })
	there, evil := udp(t, "127.0.0.1"), udp(t, "127.0.0.2")

	b.bridge.Update(b.agreed(addr(there), call.SendRecv))
	b.agent.rx(packet(0, 1, payload(0, 0xa9)...))
	same(t, receive(t, there, 1, patience), 0, 0xa9)
	for i := range 20 {
		b.send(evil, packet(0, uint16(i), payload(i, 0xee)...))
	}
	eventually(t, "the stranger was refused", func() bool { return b.bridge.Quality().Rejected == 20 })
	b.send(there, packet(0, 2, payload(1, 0xca)...))
	eventually(t, "it is heard where it is now", func() bool { return len(b.agent.packets()) == 2 })
	b.send(b.rtp, packet(0, 3, payload(2, 0xee)...)) // where it was
	b.send(there, packet(0, 3, payload(2, 0xca)...))
	eventually(t, "it is heard on", func() bool { return len(b.agent.packets()) == 3 })
	same(t, b.agent.packets(), 0, 0xca)
	if got := receive(t, b.rtp, 1, 20*time.Millisecond); len(got) != 0 {
		t.Errorf("%d packets went to where the carrier was", len(got))
	}
}

func TestACarrierThatMovesBehindNATProvesItselfAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.join()
	b.send(b.rtp, packet(0, 1, payload(0, 0xca)...))
	eventually(t, "the carrier is heard", func() bool { return len(b.agent.packets()) == 1 })
	named, mapped := udp(t, "127.0.0.1"), udp(t, "127.0.0.1")
	b.bridge.Update(b.agreed(addr(named), call.SendRecv))
	for i := range 4 {
		b.send(mapped, packet(0, uint16(2+i), payload(i, 0xca)...))
	}
	eventually(t, "its fourth packet is heard", func() bool { return len(b.agent.packets()) == 2 })
	b.agent.rx(packet(0, 1, payload(0, 0xa9)...))
	same(t, receive(t, mapped, 1, patience), 0, 0xa9)
}

func TestHoldStopsTheAgentsAudioAndResumeBringsItBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.req.Asked.Agent.WebRTC.NoSilence = false
	b.join()
	b.send(b.rtp, packet(0, 1, payload(0, 0xca)...))
	b.agent.rx(packet(0, 1, payload(0, 0xa9)...))
	if got := receive(t, b.rtp, 1, patience); len(got) != 1 {
		t.Fatal("the carrier hears nothing")
	}
	b.bridge.Update(b.agreed(addr(b.rtp), call.SendOnly))
	for receive(t, b.rtp, 1, 50*time.Millisecond) != nil { // what was on its way
	}
	for i := range 20 {
		b.agent.rx(packet(0, uint16(2+i), payload(i, 0xa9)...))
		b.send(b.rtp, packet(0, uint16(2+i), payload(1+i, 0xca)...))
	}
	if got := receive(t, b.rtp, 1, 200*time.Millisecond); len(got) != 0 {
		t.Error("a carrier on hold gets audio, or silence in its place")
	}
	eventually(t, "the agent hears what the carrier plays", func() bool { return len(b.agent.packets()) == 21 })
	b.bridge.Update(b.agreed(addr(b.rtp), call.SendRecv))
	b.agent.rx(packet(0, 40, payload(0, 0xa9)...))
	if got := receive(t, b.rtp, 1, patience); len(got) != 1 {
		t.Error("the carrier hears nothing after it resumed")
	}
}

func TestACarrierWithoutAnOfferIsOfferedWhatTheAgentHas(t *testing.T) {
	t.Parallel()
	chosen := pcma
	chosen.PayloadType = 120
	b := newBench(t, newAgent(chosen), settings(), "127.0.0.1")
	b.req.Invitation.Offer = nil
	b.open()
	b.event() // an agent is chosen
	ev := b.event()
	if ev.Kind != call.AgentJoined || ev.Offer == nil || ev.Answer == nil {
		t.Fatalf("%+v, want agent-joined with an offer", ev)
	}
	if codecs := b.agent.req.Codecs; len(codecs) != 4 || codecs[0].Name != "PCMU" || len(b.agent.req.DTMF) != 2 {
		t.Errorf("the agent was offered %v and %v", codecs, b.agent.req.DTMF)
	}
	if o := ev.Offer; len(o.Codecs) != 1 || o.Codecs[0] != pcma || len(o.DTMF) != 1 || o.DTMF[0].ClockRate != 8000 ||
		o.Direction != call.SendRecv || o.Addr.Addr() != addr(b.rtp).Addr() || o.Addr != ev.Answer.Addr {
		t.Errorf("our offer: %+v", o)
	}
	b.answer = *ev.Answer
	<-b.agent.started
	b.bridge.Answered()
	b.send(b.rtp, packet(8, 1, payload(0, 0xee)...)) // nobody knows yet whose it is
	b.agent.rx(packet(120, 1, payload(0, 0xee)...))
	eventually(t, "it was refused", func() bool { return b.bridge.Quality().Rejected == 1 })

	b.bridge.Update(b.agreed(addr(b.rtp), call.SendRecv))
	b.send(b.rtp, packet(8, 2, payload(0, 0xca)...))
	eventually(t, "the carrier is heard", func() bool { return len(b.agent.packets()) == 1 })
	same(t, b.agent.packets(), 120, 0xca)
	b.agent.rx(packet(120, 2, payload(0, 0xa9)...))
	same(t, receive(t, b.rtp, 1, patience), 8, 0xa9)
}

func TestACarrierWithoutAnOfferKeepsToTheOwnersPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.req.Invitation.Offer, b.req.Codecs = nil, []string{"G729"}
	b.open()
	if ev := b.event(); ev.Kind != call.AgentFailed || ev.Status != 488 || ev.Cause != call.CauseNoCodec {
		t.Errorf("%+v, want 488", ev)
	}
}

// TestACarrierThatDropsRTCPMuxIsHeardOnTheSecondPort has RTCP beside RTP at
// first, and apart after a re-INVITE without rtcp-mux: both ways.
func TestACarrierThatDropsRTCPMuxIsHeardOnTheSecondPort(t *testing.T) {
	t.Parallel()
	b := newBench(t, newAgent(pcmu), settings(), "127.0.0.1")
	b.req.Invitation.Offer.RTCPMux, b.req.Invitation.Offer.RTCP = true, netip.AddrPort{}
	b.join()
	b.send(b.rtp, packet(0, 1, payload(0, 0xca)...))
	eventually(t, "the carrier is heard", func() bool { return len(b.agent.packets()) == 1 })

	agreed := b.agreed(addr(b.rtp), call.SendRecv)
	b.bridge.Update(agreed)
	b.bridge.Update(agreed) // a second agreement opens nothing anew
	b.send(b.rtp, packet(0, 2, payload(1, 0xca)...))
	eventually(t, "it is heard on", func() bool { return len(b.agent.packets()) == 2 })
	b.agent.rx(packet(0, 1, payload(0, 0xa9)...))
	ssrc := uint32(0)
	for _, p := range receive(t, b.rtp, 1, patience) {
		h, _, _, err := rtp.Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		ssrc = h.SSRC
	}
	second := netip.AddrPortFrom(b.answer.Addr.Addr(), b.answer.Addr.Port()+1)
	report := rtp.AppendReport(nil, 99, nil, &rtp.ReportBlock{SSRC: ssrc, Lost: 4}, "x")
	eventually(t, "its report is taken on the second port", func() bool {
		if _, err := b.rtcp.WriteToUDPAddrPort(report, second); err != nil {
			t.Fatal(err)
		}
		return b.bridge.Quality().RemoteLost == 4
	})
	b.bridge.Close(call.CauseNormal)
	if got := receive(t, b.rtcp, 1, patience); len(got) != 1 || !rtp.IsRTCP(got[0]) {
		t.Errorf("%d reports came to where it wants them", len(got))
	}
	eventually(t, "the ports are given back", func() bool { return b.node.Stats().PortsUsed == 0 })
}
